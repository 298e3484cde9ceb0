"""The caller's connection: from the end of a login to its disconnection."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from airtable_oauth.errors import (
    ConnectionNotNamed,
    CrossSiteRefused,
    InvalidInput,
    NotConnected,
    OtherUser,
)
from airtable_oauth.oauth.login import Logins
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.grants import Grants
from airtable_oauth.web.callers import Callers
from airtable_oauth.web.cookies import LoginCookies
from airtable_oauth.web.dependencies import bind
from airtable_oauth.web.error_responses import (
    BODY_ERRORS,
    LOGIN_ERRORS,
    STORE_ERRORS,
    LoginErrorBody,
    documented,
)
from airtable_oauth.web.models import (
    ApiModel,
    CallbackParameters,
    ConnectionHealth,
    OwnedConnection,
    SessionHealth,
    utc,
)

_ERRORS = (NotConnected, CrossSiteRefused, *STORE_ERRORS)


class Returning(ApiModel):
    """What a login gives back at its end."""

    return_to: str | None = None
    """The `return_to` that `/authorization-url` received; absent if there was none."""


class BegunSession(ConnectionHealth, Returning):
    """A session at its beginning."""


class FinishedConnection(OwnedConnection, Returning):
    """A connection at the end of a login."""


class Disconnected(ApiModel):
    """The tokens are erased."""

    disconnected: Literal[True] = True
    provider_revoked: Literal[False] = False
    """Airtable has no revocation endpoint: the user must remove the integration in Airtable."""


class SessionRoutes:
    """`POST`, `GET` and `DELETE /session`."""

    def __init__(
        self,
        *,
        callers: Callers,
        logins: Logins,
        login_cookies: LoginCookies,
        grants: Grants,
        connections: Connections,
        scopes: tuple[str, ...],
        by_host: bool,
    ) -> None:
        """`scopes`: what the integration asks for. `by_host`: whether callers are a host's users.

        The answers to a host's users contain the connection's id; they may have several.
        """
        self._callers = callers
        self._logins = logins
        self._login_cookies = login_cookies
        self._grants = grants
        self._connections = connections
        self._scopes = scopes
        self._begun_model = FinishedConnection if by_host else BegunSession
        self._model = OwnedConnection if by_host else SessionHealth
        begin_errors = (
            *LOGIN_ERRORS,
            *BODY_ERRORS,
            *((NotConnected, OtherUser) if by_host else ()),
        )
        errors = documented(*_ERRORS, *((ConnectionNotNamed, InvalidInput) if by_host else ()))
        self.router = APIRouter(route_class=callers.route_class, tags=["session"])
        self.router.add_api_route(
            "/session",
            bind(self.begin_session, owner=callers.owner),
            methods=["POST"],
            status_code=201,
            summary="Finish a login, and keep its tokens here",
            response_model=self._begun_model,
            response_model_exclude_unset=True,
            responses=documented(*begin_errors, model=LoginErrorBody),
        )
        self.router.add_api_route(
            "/session",
            bind(self.session, connection_id=callers.connection_id),
            summary="The health of the caller's connection",
            response_model=self._model,
            responses=errors,
        )
        self.router.add_api_route(
            "/session",
            bind(self.disconnect, connection_id=callers.connection_id),
            methods=["DELETE"],
            summary="Disconnect",
            responses=errors,
        )

    async def begin_session(
        self,
        parameters: CallbackParameters,
        request: Request,
        response: Response,
        owner: str | None,
    ) -> BegunSession | FinishedConnection:
        """Exchange the code of Airtable's redirect for tokens that never leave the server.

        Send the redirect's parameters, in the browser that began the login, with the header
        `X-CSRF: 1`. A repeat gets the same connection, or the same error. One login gives five
        sessions at most. If a host's user already has a connection for the same Airtable user, that
        connection gets the tokens and keeps its id, unless the host sets `separate_connections`.
        """
        callback = parameters.callback()
        secret = self._login_cookies.browser_secret(request.headers, callback.state)
        login = await self._logins.complete(callback, secret, self._grants.accept, owner)
        connection = await self._callers.log_in(login, request, response)
        return self._begun_model.of(connection, self._scopes, return_to=login.return_to)

    async def session(self, request: Request, connection_id: str) -> ConnectionHealth:
        """Say whether the connection works, and if not, why."""
        connection = await self._connections.get(connection_id)
        ends_at = await self._callers.session_ends_at(request)
        return self._model.of(
            connection, self._scopes, session_ends_at=None if ends_at is None else utc(ends_at)
        )

    async def disconnect(
        self, request: Request, response: Response, connection_id: str
    ) -> Disconnected:
        """Erase the tokens of the connection, and end all its sessions.

        Airtable lists the integration until the user removes it there.
        """
        await self._callers.disconnect(connection_id, request, response)
        return Disconnected()
