"""Logins whose tokens stay on the server: the browser holds a session and nothing else."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airtable_oauth.errors import (
    AuthorizationError,
    ClientRefused,
    ContentTooLarge,
    CrossSiteRefused,
    DamagedRecord,
    InvalidGrant,
    InvalidInput,
    LoginNotFound,
    NotConnected,
    NotSent,
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
from airtable_oauth.web.caller import Services
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
    """Why it must be made anew, where it must."""
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


def session_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["session"])
    connections, cookie = services.connections, services.session_cookie

    @router.post(
        "/session",
        status_code=201,
        summary="Finish a login, and keep its tokens here",
        response_model_exclude_unset=True,
        responses=documented(*KEEP_ERRORS, model=LoginErrorBody),
    )
    async def begin_session(
        parameters: CallbackParameters, request: Request, response: Response
    ) -> BegunSession:
        """Exchange the code of Airtable's redirect for tokens that never leave the server.

        Send the redirect's parameters, in the browser that began the login, with the header
        `X-CSRF: 1`. A repeat gets a session on the same connection, or the same error. One
        login gives five sessions at most.
        """
        callback = parameters.callback()
        secret = services.login_cookies.browser_secret(request.headers, callback.state)
        login = await services.logins.complete(callback, secret, services.grants.accept)
        connection = await _live_connection(services, login)
        previous = await _previous_session(services, request)
        if previous is None or previous.connection_id != connection.id:
            await services.logins.count_session(login)
            session_id = await services.sessions.create(
                connection_id=connection.id, login_key=login.key
            )
            if previous is not None:
                await _end_previous(services, previous, request)
            cookie.set(response, session_id)
        health = described(connection, services.settings)
        return BegunSession(**health, **returning(login))

    @router.get(
        "/session",
        summary="The health of this browser's connection",
        responses=documented(NotConnected, CrossSiteRefused, *STORE_ERRORS),
    )
    async def session(request: Request) -> ConnectionHealth:
        """Say whether the connection works, and if not, why."""
        found = await services.session_of(request)
        connection = await connections.get(found.connection_id)
        return ConnectionHealth(**described(connection, services.settings))

    @router.delete(
        "/session",
        summary="Disconnect",
        responses=documented(NotConnected, CrossSiteRefused, *STORE_ERRORS),
    )
    async def end_session(request: Request, response: Response) -> Disconnected:
        """Erase the tokens and end every session of this connection.

        In Airtable the integration stays listed until its user removes it.
        """
        found = await services.session_of(request)
        await services.logins.discard(found.login_key)
        await connections.disconnect(found.connection_id)
        await services.sessions.end(cookie.read(request.headers) or "")
        cookie.clear(response)
        return Disconnected()

    return router


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
