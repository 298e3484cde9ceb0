from click.testing import CliRunner

from airtable_oauth.cli.main import main
from tests.cli.helpers import adopted


def test_refresh_idle_says_what_became_of_each(lasting: dict[str, str]) -> None:
    """1 as long as something is left to do, for whoever minds the cron job."""
    run = CliRunner()
    assert run.invoke(main, ["refresh-idle"], env=lasting).output == "0 renewed, 0 ended, 0 later\n"
    adopted(lasting, "ann")
    soon = adopted(lasting, "bob", life=86400)
    result = run.invoke(main, ["refresh-idle", "--within", "7"], env=lasting)
    assert result.exit_code == 1
    assert result.output == f"{soon} later\n0 renewed, 0 ended, 1 later\n"
