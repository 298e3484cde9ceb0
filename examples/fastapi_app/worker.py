"""Every night, from cron: `python -m fastapi_app.worker`.

It needs the app's variables, and a store that both see (`sqlite:///`, `redis://`, `postgresql://`).
"""

import asyncio

from airtable_oauth import AirtableOAuthError, NotConnected, ReconnectRequired, raise_for_error
from fastapi_app.app import airtable


async def renew() -> None:
    """Nothing ends because its user was on holiday."""
    async for connection_id, outcome in airtable.refresh_idle():
        print(connection_id, outcome)


async def count() -> None:
    """No request at hand: the id of a connection is enough."""
    async for connection in airtable.all_connections():
        try:
            async with airtable.client(connection.id) as client:
                answer = raise_for_error(await client.get("/v0/meta/bases"))
        except (NotConnected, ReconnectRequired):
            continue  # its user knows: on_reconnect_required has told them
        except AirtableOAuthError as error:
            print(f"{connection.owner}: {error.error}")  # the others have their turn all the same
            continue
        print(f"{connection.owner}: {len(answer.json()['bases'])} bases")


async def main() -> None:
    """Both."""
    async with airtable.lifespan():
        await renew()
        await count()


if __name__ == "__main__":
    asyncio.run(main())
