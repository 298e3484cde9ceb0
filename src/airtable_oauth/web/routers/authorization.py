"""Where a login begins."""

from fastapi import APIRouter, Request, Response

from airtable_oauth.errors import (
    CrossSiteRefused,
    InvalidInput,
    NotConnected,
    TooManyLogins,
)
from airtable_oauth.oauth.login import Logins
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.web.callers import Callers
from airtable_oauth.web.cookies import LoginCookies
from airtable_oauth.web.dependencies import bind
from airtable_oauth.web.error_responses import STORE_ERRORS, documented
from airtable_oauth.web.models import AuthorizationUrl
from airtable_oauth.web.return_to import ReturnTo

_ERRORS = (CrossSiteRefused, InvalidInput, *STORE_ERRORS, TooManyLogins)


class AuthorizationRoutes:
    """`GET /authorization-url`."""

    def __init__(
        self, *, callers: Callers, logins: Logins, login_cookies: LoginCookies, by_host: bool
    ) -> None:
        """`by_host`: whether the callers are users of a host."""
        self._logins = logins
        self._login_cookies = login_cookies
        self.router = APIRouter(route_class=callers.route_class, tags=["login"])
        self.router.add_api_route(
            "/authorization-url",
            bind(self.authorization_url, context=callers.login_context),
            summary="Begin a login",
            responses=documented(*_ERRORS, *((NotConnected,) if by_host else ())),
        )

    async def authorization_url(
        self,
        request: Request,
        response: Response,
        context: LoginContext,
        return_to: ReturnTo = None,
    ) -> AuthorizationUrl:
        """Create an authorization URL, for this browser only.

        Sets a cookie that lives as long as the login (`LOGIN_TTL`). Send the browser to
        `authorizationUrl`; Airtable sends it back to the redirect URI with `code` and `state`, or
        with `error` and `state`.
        """
        login = await self._logins.begin(return_to, context)
        self._login_cookies.set(login, request.headers, response)
        return AuthorizationUrl(authorizationUrl=login.authorization_url)
