import sys

import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from airtable_oauth.settings import PREFIX
from tests.cli.helpers import KEY, VALID
from tests.helpers import free_port

COMMANDS = [["connections", "list"], ["refresh-idle"], ["keys", "rotate"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_store_that_fails_is_named_with_its_cause(command: list[str]) -> None:
    """The person who runs the command can then correct it."""
    settings = {
        f"{PREFIX}STORE_URL": f"redis://127.0.0.1:{free_port()}",
        f"{PREFIX}ENCRYPTION_KEYS": KEY,
    }
    result = CliRunner().invoke(main, command, env=VALID | settings)
    assert result.exit_code == 1
    assert (
        "can't reach its store. Try again in a few seconds. Cause: ConnectionRefusedError"
        in result.stderr
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_missing_driver_is_one_line(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the extra to install."""
    monkeypatch.setitem(sys.modules, "airtable_oauth.stores.redis", None)
    settings = {f"{PREFIX}STORE_URL": "redis://127.0.0.1:1", f"{PREFIX}ENCRYPTION_KEYS": KEY}
    result = CliRunner().invoke(main, command, env=VALID | settings)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {PREFIX}STORE_URL needs a driver: pip install 'airtable-oauth[redis]'\n"
    )
