from pathlib import Path

import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from airtable_oauth.settings import PREFIX
from tests.cli.helpers import VALID


def test_serve_names_every_fault_on_a_line() -> None:
    """The service does not start."""
    result = CliRunner().invoke(main, ["serve"], env={f"{PREFIX}ALLOWED_ORIGINS": "CANARY"})
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{PREFIX}CLIENT_ID: is missing",
        f"{PREFIX}REDIRECT_URI: is missing",
        f"{PREFIX}SCOPES: is missing",
        f"{PREFIX}ALLOWED_ORIGINS: must list origins, without a path: https://app.example.com",
    ]


def test_settings_come_from_a_dotenv_file(tmp_path: Path) -> None:
    """The file is in the working directory of the command."""
    lines = [f"{name}={value}" for name, value in VALID.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, f"{PREFIX}STORE_URL=redis://localhost"]))
    result = CliRunner().invoke(main, ["serve"])
    assert result.stderr.splitlines() == [
        f"{PREFIX}ENCRYPTION_KEYS: is missing, and this store needs it: create one with "
        "`airtable-oauth keys new`"
    ]


@pytest.mark.parametrize(
    "arguments", [["refresh-idle"], ["connections", "list"], ["connections", "disconnect", "con_1"]]
)
def test_connections_in_memory_are_visible_only_to_their_process(arguments: list[str]) -> None:
    """The command reports this instead of an empty list, and names a store that would work."""
    result = CliRunner().invoke(main, arguments, env=VALID)
    assert result.exit_code == 1
    assert "memory:// is visible only inside" in result.output
    assert "such as sqlite:///" in result.output
