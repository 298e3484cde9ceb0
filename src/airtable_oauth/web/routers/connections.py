"""The list of a host's user's connections; each of them is served by the routes of `session`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from airtable_oauth.errors import CrossSiteRefused
from airtable_oauth.web.caller import Services, owner_of
from airtable_oauth.web.route import cookie_route, documented
from airtable_oauth.web.routers.session import STORE_ERRORS, OwnedConnection, owned_connection


class OwnedConnections(BaseModel):
    """All connections of the caller, oldest first."""

    connections: list[OwnedConnection]


def connections_router(services: Services) -> APIRouter:
    """The route of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["connection"])

    @router.get(
        "/connections",
        summary="Every connection of the caller",
        responses=documented(CrossSiteRefused, *STORE_ERRORS),
    )
    async def connections(
        owner: Annotated[str, Depends(owner_of(services.host))],
    ) -> OwnedConnections:
        """List them with their health, oldest first."""
        found = await services.connections.of(owner)
        return OwnedConnections(
            connections=[owned_connection(each, services.settings) for each in found]
        )

    return router
