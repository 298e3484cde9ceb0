"""Print a table with pyairtable: `python read_table.py CONNECTION BASE TABLE`.

It reads the variables of AirtableOAuth, from the environment or a `.env` file.
`airtable-oauth connections list` shows the ids of connections.
"""

import asyncio
import sys

from pyairtable import Api

from airtable_oauth import AirtableOAuth, Settings


async def access_token(settings: Settings, connection_id: str) -> str:
    """An access token that is valid for at least a minute. It is refreshed if necessary."""
    airtable = AirtableOAuth(settings)
    async with airtable.lifespan():
        return await airtable.access_token(connection_id)


def main() -> None:
    """Print the records, page by page."""
    connection_id, base, table = sys.argv[1:]
    settings = Settings()
    token = asyncio.run(access_token(settings, connection_id))
    api = Api(token, endpoint_url=settings.airtable_api_url)
    for page in api.table(base, table).iterate():
        for record in page:
            print(record["id"], record["fields"])


if __name__ == "__main__":
    main()
