"""Settings for the commands under test."""

import asyncio

from airtable_oauth import AirtableOAuth, TokenSet
from airtable_oauth.settings import PREFIX
from tests.helpers import settings_of

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
VALID = {
    f"{PREFIX}CLIENT_ID": "an-id",
    f"{PREFIX}REDIRECT_URI": "http://localhost:4200/auth-callback",
    f"{PREFIX}SCOPES": "data.records:read",
}


def adopt_connection(environment: dict[str, str], owner: str, life: int = 60 * 86400) -> str:
    """Add a connection to the store of these settings. Returns its id."""

    async def adopt() -> str:
        airtable = AirtableOAuth(settings_of(environment))
        async with airtable.lifespan():
            tokens = TokenSet("oaa-CANARY", "oar-CANARY", "data.records:read", 3600, life)
            return (await airtable.adopt(owner, tokens)).id

    return asyncio.run(adopt())
