"""An app that embeds the library, for tests that run it as a process."""

import os
import time
from typing import Annotated

from fastapi import FastAPI, Header

from airtable_oauth import AirtableOAuth, Settings
from airtable_oauth.factories import open_store
from tests.world import FaultyStore


def create_app() -> FastAPI:
    """An app whose users name themselves in a header, and whose event loop can be blocked.

    The clock of its store is `CLOCK_AHEAD` seconds ahead.
    """
    settings = Settings()
    store = FaultyStore(open_store(settings), ahead=float(os.environ.get("CLOCK_AHEAD", "0")))

    async def owner(x_user: Annotated[str, Header()]) -> str:
        return x_user

    airtable = AirtableOAuth(settings, owner=owner, store=store)
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router)

    @app.post("/block")
    async def block(seconds: float) -> None:
        time.sleep(seconds)  # blocking the loop, as some hosts do by mistake

    return app
