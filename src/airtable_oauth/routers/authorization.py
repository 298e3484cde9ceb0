"""Where a login begins."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from airtable_oauth.dependencies import ReturnTo, Services
from airtable_oauth.errors import (
    CrossSiteRefused,
    InvalidInput,
    StoreUnavailable,
    TooManyLogins,
)
from airtable_oauth.routers.route import cookie_route, documented


class AuthorizationUrl(BaseModel):
    """Where to send the browser."""

    authorizationUrl: Annotated[  # noqa: N815 (the name that the Node service gave it)
        str, Field(examples=["https://airtable.com/oauth2/v1/authorize?client_id=…"])
    ]


def authorization_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services.settings), tags=["login"])

    @router.get(
        "/authorization-url",
        summary="Begin a login",
        responses=documented(CrossSiteRefused, InvalidInput, StoreUnavailable, TooManyLogins),
    )
    async def authorization_url(
        request: Request, response: Response, return_to: ReturnTo = None
    ) -> AuthorizationUrl:
        """Make an authorization URL, for this browser only.

        Sets a cookie that lives as long as the login (`LOGIN_TTL`). Send the browser to
        `authorizationUrl`; Airtable sends it back to the redirect URI with `code` and `state`, or
        with `error` and `state`.
        """
        login = await services.logins.begin(return_to)
        services.login_cookies.keep(login, request.cookies, response)
        return AuthorizationUrl(authorizationUrl=login.authorization_url)

    return router
