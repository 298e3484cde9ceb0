"""Where a login ends, and where a client that holds its own tokens renews them."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request
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
    NotSent,
    RefreshConflict,
    StoreUnavailable,
    TokenEndpointBusy,
    TokenRequestRefused,
    UnknownEncryptionKey,
    UnknownRecordFormat,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.oauth.protocol import Callback
from airtable_oauth.web.caller import Services
from airtable_oauth.web.route import LoginErrorBody, OAuthRoute, cookie_route, documented

_Parameter = Annotated[str, Field(min_length=1, max_length=4096)]


class CallbackParameters(BaseModel):
    """The query of Airtable's redirect, as it came: `code` and `state`, or `error` and `state`."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    state: Annotated[str, Field(min_length=1, max_length=1024)]
    code: _Parameter | None = None
    error: _Parameter | None = None
    error_description: Annotated[str, Field(max_length=4096)] | None = None

    def callback(self) -> Callback:
        """What the login needs of it."""
        return Callback(state=self.state, code=self.code, error=self.error)


class RefreshParameters(BaseModel):
    """A refresh token that the client holds."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    refresh_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=8192)]


class Tokens(BaseModel):
    """A successful token response (RFC 6749, section 5.1) and the life of the refresh token."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    scope: str
    """What was granted, space-delimited."""
    expires_in: int
    """Seconds."""
    refresh_expires_in: int | None
    """Seconds; null if the server does not say."""


class LoginTokens(Tokens):
    """Tokens at the end of a login."""

    return_to: str | None = None
    """What `/authorization-url` was given; absent if nothing."""

    def returning_to(self, return_to: str) -> Self:
        """The same, with `return_to` in it."""
        return self.model_copy(update={"return_to": return_to})


_EXCHANGE_ERRORS = (
    LoginNotFound,
    AuthorizationError,
    InvalidGrant,
    TokenRequestRefused,
    CrossSiteRefused,
    InvalidInput,
    ClientRefused,
    UpstreamError,
    NotSent,
    StoreUnavailable,
    UnknownEncryptionKey,
    UnknownRecordFormat,
    DamagedRecord,
    UpstreamTimeout,
)


def exchange_router(services: Services) -> APIRouter:
    """`/token-exchange`, which the login's cookie authenticates."""
    router = APIRouter(route_class=cookie_route(services), tags=["login"])

    @router.post(
        "/token-exchange",
        summary="Finish a login",
        response_model_exclude_unset=True,
        responses=documented(
            *_EXCHANGE_ERRORS, ContentTooLarge, UnsupportedMediaType, model=LoginErrorBody
        ),
    )
    async def token_exchange(parameters: CallbackParameters, request: Request) -> LoginTokens:
        """Exchange the code of Airtable's redirect for tokens.

        Takes the redirect's parameters, in the browser that began the login, with the header
        `X-CSRF: 1`. Whatever the answer, the state is spent.
        """
        return await finish(parameters.callback(), request)

    @router.get(
        "/token-exchange",
        summary="Finish a login by GET, for clients that cannot POST",
        response_model_exclude_unset=True,
        responses=documented(*_EXCHANGE_ERRORS, model=LoginErrorBody),
    )
    async def token_exchange_by_query(
        parameters: Annotated[CallbackParameters, Query()], request: Request
    ) -> LoginTokens:
        """The same with the parameters in the query, for clients that cannot POST.

        A code in a URL ends up in logs along the way: prefer POST.
        """
        return await finish(parameters.callback(), request)

    async def finish(callback: Callback, request: Request) -> LoginTokens:
        secret = services.login_cookies.browser_secret(request.headers, callback.state)
        login = await services.logins.finish(callback, secret)
        tokens = LoginTokens.model_validate(login.tokens, from_attributes=True)
        return tokens if login.return_to is None else tokens.returning_to(login.return_to)

    return router


def refresh_router(services: Services) -> APIRouter:
    """`/token-refresh`, which no cookie authenticates: who has the refresh token may use it."""
    router = APIRouter(route_class=OAuthRoute, tags=["login"])

    @router.post(
        "/token-refresh",
        summary="Renew tokens that the client holds",
        responses=documented(
            InvalidGrant,
            TokenRequestRefused,
            RefreshConflict,
            ContentTooLarge,
            UnsupportedMediaType,
            InvalidInput,
            ClientRefused,
            UpstreamError,
            NotSent,
            TokenEndpointBusy,
            UpstreamTimeout,
        ),
    )
    async def token_refresh(parameters: RefreshParameters) -> Tokens:
        """Exchange a refresh token for a new pair.

        The old refresh token and the old access token are dead once Airtable answers. Store the
        new pair before anything else, and never send the same refresh token twice.
        """
        with await services.airtable.relay_slots.take():
            tokens = await services.airtable.refresh(refresh_token=parameters.refresh_token)
        return Tokens.model_validate(tokens, from_attributes=True)

    return router
