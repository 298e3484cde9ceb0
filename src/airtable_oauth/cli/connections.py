"""`airtable-oauth connections`: lists and disconnects connections."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime

import click

from airtable_oauth.cli.environment import run_with_integration
from airtable_oauth.errors import NotConnected
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.settings import PREFIX
from airtable_oauth.vault.model import Connection

_COLUMNS = "{:<26}  {:<13}  {:<12}  {:<24}  {}"


@click.group()
def connections() -> None:
    """List and disconnect connections. Tokens are never shown."""


@connections.command("list")
@click.option("--owner", help="List only this owner's connections.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_connections(owner: str | None, as_json: bool) -> None:  # noqa: FBT001 (an option)
    """List connections and their status."""

    async def show(airtable: AirtableOAuth) -> None:
        if not as_json:
            click.echo(_COLUMNS.format("ID", "STATUS", "RECONNECT BY", "AIRTABLE USER", "OWNER"))
        found = False
        async for connection in _find(airtable, owner):
            found = True
            click.echo(_json_line(connection) if as_json else _row(connection))
        if not found:
            name = airtable.settings.name
            click.echo(f"No connection found under {PREFIX}NAME={name}.", err=True)

    run_with_integration(show)


@connections.command()
@click.argument("connection_id")
def disconnect(connection_id: str) -> None:
    """Erase a connection's tokens. The user must still remove the integration in Airtable."""

    async def erase(airtable: AirtableOAuth) -> None:
        try:
            await airtable.disconnect(connection_id)
        except NotConnected:
            raise click.ClickException(
                f"This store has no connection {connection_id!r}. "
                "To list them, run `airtable-oauth connections list`."
            ) from None

    run_with_integration(erase)
    click.echo(f"{connection_id} is disconnected.")


async def _find(airtable: AirtableOAuth, owner: str | None) -> AsyncIterator[Connection]:
    if owner is None:
        async for connection in airtable.all_connections():
            yield connection
        return
    for connection in await airtable.connections(owner):
        yield connection


def _json_line(connection: Connection) -> str:
    return json.dumps(asdict(connection))


def _row(connection: Connection) -> str:
    """A line of the table. Escapes control characters: a host app chooses owner ids."""
    user, reason = connection.user, connection.reason
    by = connection.reconnect_by
    row = _COLUMNS.format(
        connection.id,
        connection.status if reason is None else reason,
        "" if by is None else datetime.fromtimestamp(by, UTC).strftime("%Y-%m-%d"),
        "" if user is None else user.email or user.id,
        connection.owner,
    )
    return row.rstrip().encode("unicode_escape").decode()
