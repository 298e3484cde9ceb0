"""Where a login begins."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from airtable_oauth.errors import (
    CrossSiteRefused,
    InvalidInput,
    NotConnected,
    StoreUnavailable,
    TooManyLogins,
)
from airtable_oauth.oauth.login import LoginContext
from airtable_oauth.web.caller import (
    RETURN_TO,
    Services,
    login_data_of,
    owner_of,
    return_to_of,
)
from airtable_oauth.web.route import cookie_route, documented

_ERRORS = (CrossSiteRefused, InvalidInput, StoreUnavailable, TooManyLogins)


class AuthorizationUrl(BaseModel):
    """Where to send the browser."""

    authorizationUrl: Annotated[  # noqa: N815 (the name that the Node service gave it)
        str, Field(examples=["https://airtable.com/oauth2/v1/authorize?client_id=…"])
    ]


def authorization_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["login"])

    async def authorization_url(request: Request, response: Response) -> AuthorizationUrl:
        """Make an authorization URL, for this browser only.

        Sets a cookie that lives as long as the login (`LOGIN_TTL`). Send the browser to
        `authorizationUrl`; Airtable sends it back to the redirect URI with `code` and `state`, or
        with `error` and `state`.
        """
        return await begin(request, response, LoginContext())

    async def owners_authorization_url(
        request: Request,
        response: Response,
        # Before the owner: whatever the host's dependencies raise, the host answers.
        data: Annotated[Any, Depends(login_data_of(services))],
        owner: Annotated[str, Depends(owner_of(services))],
        connection: Annotated[
            str | None,
            Query(max_length=64, description="A connection of this owner's, to be made anew."),
        ] = None,
    ) -> AuthorizationUrl:
        """Make an authorization URL, for this user in this browser only.

        Sets a cookie that lives as long as the login (`LOGIN_TTL`). Send the browser to
        `authorizationUrl`; Airtable sends it back to the redirect URI with `code` and `state`, or
        with `error` and `state`.
        """
        if connection is not None:
            await services.connections.owned(owner, connection)
        return await begin(request, response, LoginContext(owner, connection, data))

    async def begin(
        request: Request, response: Response, purpose: LoginContext
    ) -> AuthorizationUrl:
        login = await services.logins.begin(return_to_of(request), purpose)
        services.login_cookies.set(login, request.headers, response)
        return AuthorizationUrl(authorizationUrl=login.authorization_url)

    router.add_api_route(
        "/authorization-url",
        owners_authorization_url if services.host else authorization_url,
        name="authorization_url",
        summary="Begin a login",
        openapi_extra={"parameters": [RETURN_TO]},
        responses=documented(*_ERRORS, *((NotConnected,) if services.host else ())),
    )
    return router
