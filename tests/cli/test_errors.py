import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from airtable_oauth.settings import PREFIX
from tests.cli.helpers import KEY, VALID
from tests.helpers import free_port


@pytest.mark.parametrize("command", [["connections", "list"], ["refresh-idle"], ["keys", "rotate"]])
def test_store_that_fails_is_named_with_its_cause(command: list[str]) -> None:
    """The person who runs the command can then correct it."""
    settings = {
        f"{PREFIX}STORE_URL": f"redis://127.0.0.1:{free_port()}",
        f"{PREFIX}ENCRYPTION_KEYS": KEY,
    }
    result = CliRunner().invoke(main, command, env=VALID | settings)
    assert result.exit_code == 1
    assert "cannot reach its store at the moment. Cause: ConnectionRefusedError" in result.stderr
