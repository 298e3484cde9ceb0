import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--app", "http://127.0.0.1:5173"], "must begin with http://localhost"),
        (["--app", "https://localhost:5173"], "must begin with http://localhost"),
        (["--app", "http://localhost.evil.example"], "must begin with http://localhost"),
        (["--app", "http://a@localhost:5173"], "must begin with http://localhost"),
        (["--app", "localhost:5173"], "must begin with http://localhost"),
        (["--app", "http://localhost:5173/app"], "an origin without a path"),
        (["--app", "http://localhost:99999"], "must be an origin"),
        (["--app", "http://localhost:3000"], "--app and --api-port name the same port"),
        (["--app", "http://localhost:1", "--simulator-port", "1"], "name the same port"),
        (["--app", "http://localhost:5173", "--port", "4200"], "--port configures the pages"),
        (["--app", "http://localhost:5173", "--tokens", "server"], "--tokens configures the pages"),
    ],
)
def test_app_that_could_not_connect_to_the_demo_is_refused(
    arguments: list[str], words: str
) -> None:
    """The command gives the reason before it starts anything."""
    result = CliRunner().invoke(main, ["demo", *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.replace("│", "").split())
