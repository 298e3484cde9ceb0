import socket

import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from tests.cli.helpers import VALID


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["serve"], "--port"),
        (["simulator"], "--port"),
        (["pages"], "--port"),
        (["demo", "--api-port", "3999", "--simulator-port", "3998"], "--port"),
        (["demo", "--port", "3999", "--simulator-port", "3998"], "--api-port"),
        (["demo", "--port", "3999", "--api-port", "3998"], "--simulator-port"),
    ],
)
def test_port_that_is_taken_is_a_clear_error(command: list[str], option: str) -> None:
    """The error is one line, without the event loop's traceback, and names the option to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, [*command, option, port], env=VALID)
    assert result.exit_code == 1
    assert f":{port}: Address already in use. Choose another port with {option}" in result.stderr
    assert isinstance(result.exception, SystemExit)
