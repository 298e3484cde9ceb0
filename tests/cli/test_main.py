import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main


@pytest.mark.parametrize(
    "command",
    [
        *([], ["serve"], ["demo"], ["pages"], ["check"], ["simulator"]),
        *(["keys"], ["keys", "new"], ["keys", "rotate"]),
    ],
)
def test_help_helps(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output
