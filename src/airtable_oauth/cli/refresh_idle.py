"""`airtable-oauth refresh-idle`: refreshes unused connections."""

from collections import Counter

import click

from airtable_oauth.cli.environment import run_with_integration
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.vault.idle import IdleOutcome


@click.command()
@click.option(
    "--within",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True, max=60),
    help="Refresh connections that would end within this number of days.",
)
def refresh_idle(within: float) -> None:
    """Refresh unused connections, which Airtable ends after sixty days.

    Run it daily, on any machine; concurrent runs do no harm. Exit status 1 means that some
    connections could not be refreshed for now, or that the run stopped: the message says why. Skips
    connections of browser sessions: they end with their sessions. If a connection has ended, the
    webhook is called, but not the hooks of an app.
    """

    async def refresh(airtable: AirtableOAuth) -> Counter[IdleOutcome]:
        outcomes: Counter[IdleOutcome] = Counter()
        async for connection_id, outcome in airtable.refresh_idle(within):
            click.echo(f"{connection_id} {outcome}")
            outcomes[outcome] += 1
        return outcomes

    outcomes = run_with_integration(refresh)
    click.echo(", ".join(f"{outcomes[each]} {each}" for each in IdleOutcome))
    if outcomes[IdleOutcome.LATER]:
        raise SystemExit(1)
