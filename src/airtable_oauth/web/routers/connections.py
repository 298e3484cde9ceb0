"""The list of the connections of a host's user; `session.py` serves each of them."""

from fastapi import APIRouter

from airtable_oauth.errors import CrossSiteRefused
from airtable_oauth.vault.connections import Connections
from airtable_oauth.web.callers import Callers
from airtable_oauth.web.dependencies import bind
from airtable_oauth.web.error_responses import STORE_ERRORS, documented
from airtable_oauth.web.models import ApiModel, OwnedConnection


class OwnedConnections(ApiModel):
    """All connections of the caller, oldest first."""

    connections: list[OwnedConnection]


class ConnectionsRoutes:
    """`GET /connections`."""

    def __init__(
        self, *, callers: Callers, connections: Connections, scopes: tuple[str, ...]
    ) -> None:
        """`scopes`: those that the integration asks for."""
        self._connections = connections
        self._scopes = scopes
        self.router = APIRouter(route_class=callers.route_class, tags=["connection"])
        self.router.add_api_route(
            "/connections",
            bind(self.connections, owner=callers.owner),
            summary="Every connection of the caller",
            responses=documented(CrossSiteRefused, *STORE_ERRORS),
        )

    async def connections(self, owner: str) -> OwnedConnections:
        """List the caller's connections with their health, oldest first."""
        found = await self._connections.of(owner)
        return OwnedConnections(
            connections=[OwnedConnection.of(each, self._scopes) for each in found]
        )
