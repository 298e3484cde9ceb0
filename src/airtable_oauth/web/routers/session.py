"""Logins whose tokens stay on the server: the browser holds a session and nothing else."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airtable_oauth.errors import (
    AuthorizationError,
    ClientRefused,
    ConnectionNotNamed,
    ContentTooLarge,
    CrossSiteRefused,
    DamagedRecord,
    InvalidGrant,
    InvalidInput,
    LoginNotFound,
    NotConnected,
    NotSent,
    OtherUser,
    StoreUnavailable,
    TokenRequestRefused,
    UnknownEncryptionKey,
    UnknownRecordFormat,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.oauth.login import CompletedLogin
from airtable_oauth.settings import Settings
from airtable_oauth.vault.model import Connection, Reason, Status
from airtable_oauth.web.caller import Services, connection_of, owner_of
from airtable_oauth.web.route import LoginErrorBody, cookie_route, documented
from airtable_oauth.web.routers.tokens import CallbackParameters
from airtable_oauth.web.sessions import Session


class AirtableUser(BaseModel):
    """Who granted access."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str | None
    """Null without the scope `user.email:read`."""


class ConnectionHealth(BaseModel):
    """The health of a connection. Times are RFC 3339, UTC."""

    status: Literal[Status.CONNECTED, Status.REFRESHING, Status.RECONNECT_REQUIRED]
    reason: Reason | None
    """Why it must be reconnected; null if it need not be."""
    user: AirtableUser | None
    """Null if Airtable did not say."""
    scopes: list[str]
    """What was granted."""
    missing_scopes: list[str]
    """What this service asks for and was not granted."""
    expires_at: datetime
    """When the access token ends; it is renewed before."""
    reconnect_by: datetime | None
    """When the connection ends if nobody uses it."""


class Returning(BaseModel):
    """What a login gives back at its end."""

    return_to: str | None = None
    """What `/authorization-url` was given; absent if nothing."""


class BegunSession(ConnectionHealth, Returning):
    """A session at its beginning."""


class OwnedConnection(ConnectionHealth):
    """A connection of a host's user, and its health."""

    id: str
    """For the header `X-Airtable-Connection`, and for `?connection=` to reconnect it."""


class FinishedConnection(OwnedConnection, Returning):
    """A connection at the end of a login."""


class Disconnected(BaseModel):
    """The tokens are erased."""

    disconnected: Literal[True] = True
    provider_revoked: Annotated[
        Literal[False],
        Field(description="Airtable has no revocation: its user removes the integration there."),
    ] = False


STORE_ERRORS = (StoreUnavailable, UnknownEncryptionKey, UnknownRecordFormat, DamagedRecord)
KEEP_ERRORS = (
    LoginNotFound,
    AuthorizationError,
    InvalidGrant,
    TokenRequestRefused,
    CrossSiteRefused,
    ContentTooLarge,
    UnsupportedMediaType,
    InvalidInput,
    ClientRefused,
    UpstreamError,
    NotSent,
    UpstreamTimeout,
    *STORE_ERRORS,
)
_ERRORS = (NotConnected, CrossSiteRefused, *STORE_ERRORS)
_HOST_ERRORS = (*_ERRORS, ConnectionNotNamed, InvalidInput)


def session_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["session"])
    connection_id_dependency = Depends(connection_of(services))
    owner_dependency = Depends(owner_of(services.host))
    by_host = services.host is not None
    errors = documented(*_HOST_ERRORS if by_host else _ERRORS)

    @router.post(
        "/session",
        status_code=201,
        summary="Finish a login, and keep its tokens here",
        response_model=FinishedConnection if by_host else BegunSession,
        response_model_exclude_unset=True,
        responses=documented(
            *KEEP_ERRORS, *((NotConnected, OtherUser) if by_host else ()), model=LoginErrorBody
        ),
    )
    async def begin_session(
        parameters: CallbackParameters,
        request: Request,
        response: Response,
        owner: Annotated[str | None, owner_dependency],
    ) -> BegunSession | FinishedConnection:
        """Exchange the code of Airtable's redirect for tokens that never leave the server.

        Send the redirect's parameters, in the browser that began the login, with the header
        `X-CSRF: 1`. A repeat gets the same connection, or the same error. One login gives five
        sessions at most. A host's user who has connected the same Airtable user before gets that
        connection back, under its id.
        """
        callback = parameters.callback()
        secret = services.login_cookies.browser_secret(request.headers, callback.state)
        login = await services.logins.complete(callback, secret, services.grants.accept, owner)
        if by_host:
            connection = await services.connections.get(login.connection_id)
        else:
            connection = await _live_connection(services, login)
            await _begin_session(services, login, request, response)
        fields = described(connection, services.settings) | returning(login)
        return FinishedConnection(id=connection.id, **fields) if by_host else BegunSession(**fields)

    @router.get(
        "/session",
        summary="The health of the caller's connection",
        response_model=OwnedConnection if by_host else ConnectionHealth,
        responses=errors,
    )
    async def session(
        connection_id: Annotated[str, connection_id_dependency],
    ) -> OwnedConnection:
        """Say whether the connection works, and if not, why."""
        connection = await services.connections.get(connection_id)
        return owned_connection(connection, services.settings)

    @router.delete("/session", summary="Disconnect", responses=errors)
    async def disconnect(
        request: Request,
        response: Response,
        connection_id: Annotated[str, connection_id_dependency],
    ) -> Disconnected:
        """Erase the tokens of the connection, and end all its sessions.

        In Airtable the integration stays listed until its user removes it.
        """
        if not by_host:
            await _forget_login(services, request)
        await services.connections.disconnect(connection_id)
        if not by_host:
            await _end_session(services, request, response)
        return Disconnected()

    return router


def owned_connection(connection: Connection, settings: Settings) -> OwnedConnection:
    """A connection as the API shows it to the host's user who owns it."""
    return OwnedConnection(id=connection.id, **described(connection, settings))


def described(connection: Connection, settings: Settings) -> dict[str, Any]:
    """The fields of `ConnectionHealth`."""
    granted = connection.scopes
    return {
        "status": connection.status,
        "reason": connection.reason,
        "user": connection.user and AirtableUser.model_validate(connection.user),
        "scopes": list(granted),
        "missing_scopes": [scope for scope in settings.scopes if scope not in granted],
        "expires_at": _time(connection.expires_at),
        "reconnect_by": connection.reconnect_by and _time(connection.reconnect_by),
    }


def returning(login: CompletedLogin) -> dict[str, str]:
    """`return_to`, where one was given."""
    return {} if login.return_to is None else {"return_to": login.return_to}


async def _live_connection(services: Services, login: CompletedLogin) -> Connection:
    """The connection of a login, unless it has ended since.

    A login whose connection has ended must not replace one that works.
    """
    try:
        connection = await services.connections.get(login.connection_id)
    except NotConnected:
        connection = None
    if connection is None or connection.status is Status.RECONNECT_REQUIRED:
        raise LoginNotFound().ending_login(login.return_to)
    return connection


async def _begin_session(
    services: Services, login: CompletedLogin, request: Request, response: Response
) -> None:
    """Begin a session on the connection of a login, unless this browser has one on it already."""
    previous = await _previous_session(services, request)
    if previous is not None and previous.connection_id == login.connection_id:
        return
    await services.logins.count_session(login)
    session_id = await services.sessions.create(
        connection_id=login.connection_id, login_key=login.key
    )
    if previous is not None:
        await _end_previous(services, previous, request)
    services.session_cookie.set(response, session_id)


async def _forget_login(services: Services, request: Request) -> None:
    """Forget the login of the caller's session, so that its callback does not work again."""
    session = await services.session_of(request)
    await services.logins.discard(session.login_key)


async def _end_session(services: Services, request: Request, response: Response) -> None:
    await services.sessions.end(services.session_cookie.read(request.headers) or "")
    services.session_cookie.clear(response)


async def _previous_session(services: Services, request: Request) -> Session | None:
    """The session that this browser has already. One that was damaged counts as none."""
    with suppress(NotConnected, DamagedRecord):
        return await services.session_of(request)
    return None


async def _end_previous(services: Services, previous: Session, request: Request) -> None:
    """Disconnect what this browser used before the login.

    The session goes last: if the store fails in between, a repeat finds the rest by it.
    """
    with suppress(NotConnected):
        await services.connections.disconnect(previous.connection_id)
    await services.sessions.end(services.session_cookie.read(request.headers) or "")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
