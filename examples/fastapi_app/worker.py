"""A nightly job, for cron: `python -m fastapi_app.worker`.

It needs the app's variables, and a store that both processes can reach (`sqlite:///`, `redis://`,
`postgresql://`).
"""

import asyncio

from airtable_oauth import AirtableOAuthError, NotConnected, ReconnectRequired, raise_for_error
from fastapi_app.app import airtable


async def renew() -> None:
    """Refresh unused connections, which Airtable would otherwise end after 60 days."""
    async for connection_id, outcome in airtable.refresh_idle():
        print(connection_id, outcome)


async def count() -> None:
    """Call Airtable without a request of the user: the id of a connection is enough."""
    async for connection in airtable.all_connections():
        try:
            async with airtable.client(connection.id) as client:
                answer = raise_for_error(await client.get("/v0/meta/bases"))
        except (NotConnected, ReconnectRequired):
            continue  # on_reconnect_required has already notified the user
        except AirtableOAuthError as error:
            print(f"{connection.owner}: {error.error}")  # continue with the other users
            continue
        print(f"{connection.owner}: {len(answer.json()['bases'])} bases")


async def main() -> None:
    """Run both jobs."""
    async with airtable.lifespan():
        await renew()
        await count()


if __name__ == "__main__":
    asyncio.run(main())
