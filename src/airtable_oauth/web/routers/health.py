"""What an orchestrator asks."""

from typing import Literal

from fastapi import APIRouter

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.web.error_responses import documented
from airtable_oauth.web.models import ApiModel
from airtable_oauth.web.readiness import Readiness
from airtable_oauth.web.route import OAuthRoute


class Health(ApiModel):
    """All is well."""

    status: Literal["ok"] = "ok"


class HealthRoutes:
    """`GET /health/live` and `GET /health/ready`."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self.router = APIRouter(prefix="/health", route_class=OAuthRoute, tags=["health"])
        self.router.add_api_route(
            "/live", self.live, summary="The process runs", responses=documented()
        )
        self.router.add_api_route(
            "/ready",
            self.ready,
            summary="The store works",
            responses=documented(StoreUnavailable),
        )

    async def live(self) -> Health:
        """Answers 200 as long as the process runs, even if the store does not work."""
        return Health()

    async def ready(self) -> Health:
        """Answers 200 if a small record could be written to the store and read back.

        A process does that at most once a second. The log names the cause of a 503.
        """
        await self._readiness.check()
        return Health()
