from click.testing import CliRunner

from airtable_oauth.cli.main import main
from tests.cli.helpers import adopt_connection


def test_refresh_idle_reports_each_outcome(persistent: dict[str, str]) -> None:
    """A cron job gets exit status 1 while a refresh still has to be tried again."""
    run = CliRunner()
    assert (
        run.invoke(main, ["refresh-idle"], env=persistent).output == "0 renewed, 0 ended, 0 later\n"
    )
    adopt_connection(persistent, "ann")
    soon = adopt_connection(persistent, "bob", life=86400)
    result = run.invoke(main, ["refresh-idle", "--within", "7"], env=persistent)
    assert result.exit_code == 1
    assert result.output == f"{soon} later\n0 renewed, 0 ended, 1 later\n"
