"""Where a login begins."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from airtable_oauth.errors import (
    CrossSiteRefused,
    InvalidInput,
    NotConnected,
    StoreUnavailable,
    TooManyLogins,
)
from airtable_oauth.oauth.login import LoginContext
from airtable_oauth.web.caller import Services, login_context
from airtable_oauth.web.return_to import ReturnTo
from airtable_oauth.web.route import cookie_route, documented

_ERRORS = (CrossSiteRefused, InvalidInput, StoreUnavailable, TooManyLogins)


class AuthorizationUrl(BaseModel):
    """Where to send the browser."""

    authorizationUrl: Annotated[  # noqa: N815 (the name that the Node service gave it)
        str, Field(examples=["https://airtable.com/oauth2/v1/authorize?client_id=…"])
    ]


def authorization_router(services: Services) -> APIRouter:
    """The route of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["login"])

    @router.get(
        "/authorization-url",
        summary="Begin a login",
        responses=documented(*_ERRORS, *((NotConnected,) if services.host else ())),
    )
    async def authorization_url(
        request: Request,
        response: Response,
        context: Annotated[LoginContext, Depends(login_context(services))],
        return_to: ReturnTo = None,
    ) -> AuthorizationUrl:
        """Create an authorization URL, for this browser only.

        Sets a cookie that lives as long as the login (`LOGIN_TTL`). Send the browser to
        `authorizationUrl`; Airtable sends it back to the redirect URI with `code` and `state`, or
        with `error` and `state`.
        """
        login = await services.logins.begin(return_to, context)
        services.login_cookies.set(login, request.headers, response)
        return AuthorizationUrl(authorizationUrl=login.authorization_url)

    return router
