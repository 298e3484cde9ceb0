"""`airtable-oauth refresh-idle`: for a scheduler, once a day."""

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
    help="Renew what would end within so many days.",
)
def refresh_idle(within: float) -> None:
    """Renew connections that nobody uses, which Airtable ends after sixty days.

    Run it daily, on any machine; runs at the same time do no harm. Exit status 1 if some could not
    be renewed for now. Connections of browser sessions end with their sessions and are left alone.
    Of connections that have ended, this tells the webhook, not the hooks of an app.
    """

    async def renew(airtable: AirtableOAuth) -> Counter[IdleOutcome]:
        outcomes: Counter[IdleOutcome] = Counter()
        async for connection_id, outcome in airtable.refresh_idle(within):
            click.echo(f"{connection_id} {outcome}")
            outcomes[outcome] += 1
        return outcomes

    outcomes = run_with_integration(renew)
    click.echo(", ".join(f"{outcomes[each]} {each}" for each in IdleOutcome))
    if outcomes[IdleOutcome.LATER]:
        raise SystemExit(1)
