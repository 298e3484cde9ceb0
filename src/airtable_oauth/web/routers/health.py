"""What an orchestrator asks."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.web.caller import Services
from airtable_oauth.web.route import OAuthRoute, documented


class Health(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


def health_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(prefix="/health", route_class=OAuthRoute, tags=["health"])

    @router.get("/live", summary="The process runs", responses=documented())
    async def live() -> Health:
        """Answers as long as the process does, whatever the store does."""
        return Health()

    @router.get("/ready", summary="The store works", responses=documented(StoreUnavailable))
    async def ready() -> Health:
        """Answers 200 if a small record could be written to the store and read back.

        A process does that at most once a second. The log names the cause of a 503.
        """
        await services.readiness.check()
        return Health()

    return router
