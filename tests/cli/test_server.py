import socket

import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from tests.cli.helpers import VALID


@pytest.mark.parametrize(
    "command",
    [
        ["serve"],
        ["simulator"],
        ["pages"],
        ["demo", "--api-port", "3999", "--simulator-port", "3998"],
    ],
)
def test_port_that_is_taken_is_a_clear_error(command: list[str]) -> None:
    """The error is one line, without the event loop's traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, [*command, "--port", port], env=VALID)
    assert result.exit_code == 1
    assert f":{port}: Address already in use" in result.stderr
    assert isinstance(result.exception, SystemExit)
