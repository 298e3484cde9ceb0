"""Where a login begins."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from airtable_oauth.dependencies import LoginCookiesDep, LoginsDep, ReturnTo, SameSite
from airtable_oauth.errors import (
    CrossSiteRefused,
    InvalidInput,
    StoreUnavailable,
    TooManyLogins,
)
from airtable_oauth.routers.route import OAuthRoute, documented

router = APIRouter(route_class=OAuthRoute, tags=["login"], redirect_slashes=False)


class AuthorizationUrl(BaseModel):
    """Where to send the browser."""

    authorizationUrl: Annotated[  # noqa: N815 (the name that the Node service gave it)
        str, Field(examples=["https://airtable.com/oauth2/v1/authorize?client_id=…"])
    ]


@router.get(
    "/authorization-url",
    summary="Begin a login",
    dependencies=[SameSite],
    responses=documented(CrossSiteRefused, InvalidInput, StoreUnavailable, TooManyLogins),
)
async def authorization_url(
    request: Request,
    response: Response,
    logins: LoginsDep,
    cookies: LoginCookiesDep,
    return_to: ReturnTo,
) -> AuthorizationUrl:
    """Make an authorization URL, for this browser only.

    Sets a cookie that lives as long as the login (`LOGIN_TTL`). Send the browser to
    `authorizationUrl`; Airtable sends it back to the redirect URI with `code` and `state`, or with
    `error` and `state`.
    """
    login = await logins.begin(return_to)
    cookies.keep(login, request.cookies, response)
    return AuthorizationUrl(authorizationUrl=login.authorization_url)
