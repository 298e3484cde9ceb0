"""Connections of a host's users: the host says who they are, and each may have several."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from airtable_oauth.errors import (
    ConnectionNotNamed,
    CrossSiteRefused,
    InvalidInput,
    NotConnected,
    OtherUser,
)
from airtable_oauth.vault.model import Connection
from airtable_oauth.web.caller import Services, connection_of, owner_of
from airtable_oauth.web.route import LoginErrorBody, cookie_route, documented
from airtable_oauth.web.routers.session import (
    KEEP_ERRORS,
    STORE_ERRORS,
    ConnectionHealth,
    Disconnected,
    Returning,
    described,
    returning,
)
from airtable_oauth.web.routers.tokens import CallbackParameters


class OwnedConnection(ConnectionHealth):
    """A connection of the caller's, and its health."""

    id: str
    """For the header `X-Airtable-Connection`, and for `?connection=` to reconnect it."""


class FinishedConnection(OwnedConnection, Returning):
    """A connection at the end of a login."""


class OwnedConnections(BaseModel):
    """All that the caller has, oldest first."""

    connections: list[OwnedConnection]


_ERRORS = (NotConnected, ConnectionNotNamed, CrossSiteRefused, InvalidInput, *STORE_ERRORS)


def connections_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["connection"])
    owner_dependency = Depends(owner_of(services))
    connection_dependency = Depends(connection_of(services))

    @router.post(
        "/session",
        status_code=201,
        summary="Finish a login, and keep its tokens here",
        response_model_exclude_unset=True,
        responses=documented(*KEEP_ERRORS, NotConnected, OtherUser, model=LoginErrorBody),
    )
    async def finish_connection(
        parameters: CallbackParameters, request: Request, owner: Annotated[str, owner_dependency]
    ) -> FinishedConnection:
        """Exchange the code of Airtable's redirect for tokens that never leave the server.

        Takes the redirect's parameters, from the user and in the browser that began the login,
        with the header `X-CSRF: 1`. If this user has connected the same Airtable user before, that
        connection is renewed under its id. A repeat gets the same connection, or the same error.
        """
        callback = parameters.callback()
        secret = services.login_cookies.browser_secret(request.headers, callback.state)
        login = await services.logins.complete(callback, secret, services.grants.accept, owner)
        connection = await services.connections.get(login.connection_id)
        return FinishedConnection(**fields_of(connection), **returning(login))

    @router.get(
        "/session",
        summary="The health of a connection",
        responses=documented(*_ERRORS),
    )
    async def connection(connection_id: Annotated[str, connection_dependency]) -> OwnedConnection:
        """Say whether it works, and if not, why."""
        return OwnedConnection(**fields_of(await services.connections.get(connection_id)))

    @router.get(
        "/connections",
        summary="Every connection of the caller",
        responses=documented(CrossSiteRefused, *STORE_ERRORS),
    )
    async def connections(owner: Annotated[str, owner_dependency]) -> OwnedConnections:
        """List them with their health, oldest first."""
        found = await services.connections.of(owner)
        return OwnedConnections(connections=[OwnedConnection(**fields_of(one)) for one in found])

    @router.delete("/session", summary="Disconnect", responses=documented(*_ERRORS))
    async def disconnect(connection_id: Annotated[str, connection_dependency]) -> Disconnected:
        """Erase the tokens of a connection.

        In Airtable the integration stays listed until its user removes it.
        """
        await services.connections.disconnect(connection_id)
        return Disconnected()

    def fields_of(connection: Connection) -> dict[str, Any]:
        return {"id": connection.id, **described(connection, services.settings)}

    return router
