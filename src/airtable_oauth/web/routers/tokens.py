"""Routes for clients that hold their own tokens: the end of a login, and a refresh."""

from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field

from airtable_oauth.errors import InvalidInput, RefreshConflict, TokenEndpointBusy
from airtable_oauth.oauth.login import Logins
from airtable_oauth.oauth.protocol import Callback
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.web.callers import Callers
from airtable_oauth.web.cookies import LoginCookies
from airtable_oauth.web.error_responses import (
    BODY_ERRORS,
    LOGIN_ERRORS,
    TOKEN_ERRORS,
    LoginErrorBody,
    documented,
)
from airtable_oauth.web.models import ApiModel, CallbackParameters
from airtable_oauth.web.route import OAuthRoute


class RefreshParameters(ApiModel):
    """A refresh token that the client holds."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    refresh_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=8192)]


class Tokens(ApiModel):
    """A successful token response (RFC 6749, section 5.1) and the life of the refresh token."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"]
    scope: str
    """The scopes that were granted, separated by spaces."""
    expires_in: int
    """Seconds until the access token expires."""
    refresh_expires_in: int | None
    """Seconds until the refresh token expires if it is not used; null if Airtable does not say."""


class LoginTokens(Tokens):
    """Tokens at the end of a login."""

    return_to: str | None = None
    """The `return_to` that `/authorization-url` received; absent if there was none."""

    def returning_to(self, return_to: str) -> Self:
        """The same, with `return_to` in it."""
        return self.model_copy(update={"return_to": return_to})


_REFRESH_ERRORS = (*TOKEN_ERRORS, RefreshConflict, *BODY_ERRORS, InvalidInput, TokenEndpointBusy)


class ExchangeRoutes:
    """`POST` and `GET /token-exchange`, which the login's cookie authenticates."""

    def __init__(self, *, callers: Callers, logins: Logins, login_cookies: LoginCookies) -> None:
        self._logins = logins
        self._login_cookies = login_cookies
        self.router = APIRouter(route_class=callers.route_class, tags=["login"])
        self.router.add_api_route(
            "/token-exchange",
            self.token_exchange,
            methods=["POST"],
            summary="Finish a login",
            response_model_exclude_unset=True,
            responses=documented(*LOGIN_ERRORS, *BODY_ERRORS, model=LoginErrorBody),
        )
        self.router.add_api_route(
            "/token-exchange",
            self.token_exchange_by_query,
            summary="Finish a login by GET, for clients that cannot POST",
            response_model_exclude_unset=True,
            responses=documented(*LOGIN_ERRORS, model=LoginErrorBody),
        )

    async def token_exchange(self, parameters: CallbackParameters, request: Request) -> LoginTokens:
        """Exchange the code of Airtable's redirect for tokens.

        Send the redirect's parameters, in the browser that began the login, with the header
        `X-CSRF: 1`. This uses the state up, whatever Airtable answers. A request that is refused
        before that (403, 413, 415, 422, or 503 with the action `retry`) does not use it up.
        """
        return await self._finish(parameters.callback(), request)

    async def token_exchange_by_query(
        self, parameters: Annotated[CallbackParameters, Query()], request: Request
    ) -> LoginTokens:
        """Like `POST /token-exchange`, with the parameters in the query.

        A code in a URL ends up in logs along the way: prefer POST.
        """
        return await self._finish(parameters.callback(), request)

    async def _finish(self, callback: Callback, request: Request) -> LoginTokens:
        secret = self._login_cookies.browser_secret(request.headers, callback.state)
        login = await self._logins.finish(callback, secret)
        tokens = LoginTokens.model_validate(login.tokens, from_attributes=True)
        return tokens if login.return_to is None else tokens.returning_to(login.return_to)


class RefreshRoutes:
    """`POST /token-refresh`. No cookie authenticates it: the refresh token does."""

    def __init__(self, token_endpoint: TokenEndpoint) -> None:
        self._token_endpoint = token_endpoint
        self.router = APIRouter(route_class=OAuthRoute, tags=["login"])
        self.router.add_api_route(
            "/token-refresh",
            self.token_refresh,
            methods=["POST"],
            summary="Refresh tokens that the client holds",
            responses=documented(*_REFRESH_ERRORS),
        )

    async def token_refresh(self, parameters: RefreshParameters) -> Tokens:
        """Exchange a refresh token for a new pair.

        The old refresh token and the old access token are dead once Airtable answers. Store the
        new pair before anything else, and never send the same refresh token twice.
        """
        with await self._token_endpoint.relay_slots.take():
            tokens = await self._token_endpoint.refresh(refresh_token=parameters.refresh_token)
        return Tokens.model_validate(tokens, from_attributes=True)
