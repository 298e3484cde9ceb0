import pytest
from click.testing import CliRunner

from airtable_oauth.cli.main import main
from airtable_oauth.settings import PREFIX
from tests.cli.helpers import VALID


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--workers", "2"], {}), ([], {"WEB_CONCURRENCY": "2"})],
)
def test_memory_store_belongs_to_one_process(
    arguments: list[str], environment: dict[str, str]
) -> None:
    """A login that begins in one worker would be unknown to the others."""
    result = CliRunner().invoke(main, ["serve", *arguments], env=VALID | environment)
    assert result.exit_code == 1
    assert f"{PREFIX}STORE_URL: memory:// belongs to one process" in result.stderr
