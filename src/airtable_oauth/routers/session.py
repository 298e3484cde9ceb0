"""Logins whose tokens stay on the server: the browser holds a session and nothing else."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airtable_oauth import pkce
from airtable_oauth.connections import Connection
from airtable_oauth.dependencies import Services
from airtable_oauth.errors import (
    AuthorizationError,
    ClientRefused,
    ContentTooLarge,
    CrossSiteRefused,
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
from airtable_oauth.protocol import TokenSet
from airtable_oauth.records import Reason, Status
from airtable_oauth.routers.route import LoginErrorBody, cookie_route, documented
from airtable_oauth.routers.tokens import CallbackParameters


class AirtableUser(BaseModel):
    """Who granted access."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str | None
    """Null without the scope `user.email:read`."""


class SessionState(BaseModel):
    """A session and the health of its connection. Times are RFC 3339, UTC."""

    status: Status
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


class BegunSession(SessionState):
    """The same at its beginning."""

    return_to: str | None = None
    """What `/authorization-url` was given; absent if nothing."""


class Disconnected(BaseModel):
    """The tokens are erased."""

    disconnected: Literal[True] = True
    provider_revoked: Annotated[
        Literal[False],
        Field(description="Airtable has no revocation: its user removes the integration there."),
    ] = False


_STORE_ERRORS = (StoreUnavailable, UnknownEncryptionKey, UnknownRecordFormat)


def session_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services.settings), tags=["session"])
    settings, connections, cookie = (
        services.settings,
        services.connections,
        services.session_cookie,
    )

    @router.post(
        "/session",
        status_code=201,
        summary="Finish a login, and keep its tokens here",
        response_model_exclude_unset=True,
        responses=documented(
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
            *_STORE_ERRORS,
            model=LoginErrorBody,
        ),
    )
    async def begin_session(
        parameters: CallbackParameters, request: Request, response: Response
    ) -> BegunSession:
        """Exchange the code of Airtable's redirect for tokens that never leave the server.

        Takes the redirect's parameters, in the browser that began the login, with the header
        `X-CSRF: 1`. A repeat gets a session on the same connection, or the same error.
        """
        callback = parameters.callback()
        secret = services.login_cookies.browser_secret(request.cookies, callback.state)
        login = await services.logins.keep(callback, secret, keep)
        session_id = await services.sessions.create(
            connection_id=login.connection_id, login_key=login.key
        )
        await end_previous(request, login.connection_id)
        cookie.set(response, session_id)
        state = BegunSession(**described(await connections.get(login.connection_id)))
        return (
            state
            if login.return_to is None
            else state.model_copy(update={"return_to": login.return_to})
        )

    @router.get(
        "/session",
        summary="The health of this browser's connection",
        responses=documented(NotConnected, CrossSiteRefused, *_STORE_ERRORS),
    )
    async def session(request: Request) -> SessionState:
        """Say whether the connection works, and if not, why."""
        found = await services.session_of(request)
        return SessionState(**described(await connections.get(found.connection_id)))

    @router.delete(
        "/session",
        summary="Disconnect",
        responses=documented(NotConnected, CrossSiteRefused, *_STORE_ERRORS),
    )
    async def end_session(request: Request, response: Response) -> Disconnected:
        """Erase the tokens and end every session of this connection.

        In Airtable the integration stays listed until its user removes it.
        """
        found = await services.session_of(request)
        await services.logins.discard(found.login_key)
        await connections.disconnect(found.connection_id)
        await services.sessions.end(cookie.read(request.cookies) or "")
        cookie.clear(response)
        return Disconnected()

    async def keep(tokens: TokenSet) -> str:
        owner = f"session:{pkce.base64url(services.random(16))}"
        record = await connections.create(
            owner=owner, tokens=tokens, keep_seconds=settings.session_max_ttl
        )
        user = await services.web_api.whoami(tokens.access_token)
        if user is not None:
            await connections.identify(record.id, user)
        return record.id

    async def end_previous(request: Request, connection_id: str) -> None:
        """A login replaces what this browser was connected to before."""
        try:
            previous = await services.session_of(request)
            await services.sessions.end(cookie.read(request.cookies) or "")
            if previous.connection_id != connection_id:
                await connections.disconnect(previous.connection_id)
        except NotConnected:
            return

    def described(connection: Connection) -> dict[str, object]:
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

    return router


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
