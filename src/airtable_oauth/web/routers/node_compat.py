"""The two routes of the Node service that this one succeeds, with its statuses and bodies.

An Angular app written for it runs unchanged. It sends no cookies, so a login here is not bound to
the browser that began it: whoever gets hold of code and state can finish it.

Different on purpose: redirects of the token endpoint are not followed, its answer is capped and
has a deadline, a 200 that holds no tokens is 502, CORS goes by the list, HEAD begins no login.
"""

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import from_json, to_json
from starlette.responses import Response

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import (
    AirtableOAuthError,
    NotSent,
    StoreUnavailable,
    TokenEndpointBusy,
    TooManyLogins,
    UnreadableRecord,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.oauth.protocol import parse_token_response
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.web.caller import Services
from airtable_oauth.web.route import OAuthRoute, documented
from airtable_oauth.web.routers.authorization import AuthorizationUrl

_UNKNOWN_STATE = {"error": "This request was not from Airtable!"}


def node_compat_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=OAuthRoute, tags=["Node service"])
    logins, airtable = services.unbound_logins, services.airtable

    @router.get(
        "/get-authorization-url",
        summary="Begin a login (as the Node service does)",
        responses=documented(StoreUnavailable, TooManyLogins),
    )
    async def get_authorization_url() -> AuthorizationUrl:
        """Make an authorization URL for any browser."""
        return AuthorizationUrl(authorizationUrl=await logins.begin())

    @router.get(
        "/request-oauth-token",
        summary="Finish a login (as the Node service does)",
        responses=documented(StoreUnavailable, TokenEndpointBusy, UnreadableRecord, UpstreamError)
        | {
            200: {"description": "What the token endpoint answered."},
            400: {"description": "An unknown state, the redirect's error, or Airtable's 400."},
            401: {"description": "Airtable's 401."},
            500: {"description": "No answer from Airtable."},
            "default": {"description": "Any other status of Airtable's."},
        },
        openapi_extra={
            "parameters": [
                {"in": "query", "name": name, "required": False, "schema": {"type": "string"}}
                for name in ("state", "code", "error", "error_description")
            ]
        },
    )
    async def request_oauth_token(request: Request) -> Response:
        """Exchange the code of a redirect for tokens; the query is that of the redirect."""
        with await airtable.login_slots.take():
            state = _query(request, "state")
            code_verifier = await logins.take(state) if isinstance(state, str) else None
            if code_verifier is None:
                return _json(400, _UNKNOWN_STATE)
            if error := _query(request, "error"):
                described = _query(request, "error_description")
                return _json(400, _defined(error=error, errorDescription=described))
            return await _exchange(airtable, _query(request, "code"), code_verifier)

    return router


async def _exchange(
    airtable: TokenEndpoint, code: str | list[str] | None, code_verifier: str
) -> Response:
    form = airtable.client.exchange_form(
        code=code if isinstance(code, str) else ",".join(code or ()), code_verifier=code_verifier
    )
    if code is None:
        del form["code"]
    try:
        status, body = await airtable.token_request(form)
    except AirtableOAuthError as error:
        airtable.incidents.failed(cause_of(error))
        return _json(500, {"error": "Unknown error", "details": _message(error, airtable)})
    _report(airtable, status, body)
    if status in range(200, 300):  # all of them are success to axios, and Express answers 200
        status = 200
        parse_token_response(status, body, grant_type="authorization_code", requested_scope="")
    data = _data(body)
    if status in (200, 400, 401):
        return _json(status, data)
    return _json(status, {"error": "Unknown error", "details": data})


def _report(airtable: TokenEndpoint, status: int, body: bytes) -> None:
    """Report to the log how Airtable answered: this route passes every answer on."""
    with suppress(AirtableOAuthError), airtable.incidents:
        parse_token_response(status, body, grant_type="authorization_code", requested_scope="")


def _query(request: Request, name: str) -> str | list[str] | None:
    """A parameter as Express reads it: absent, a string, or a list if it is repeated."""
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 else values or None


def _defined(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _data(body: bytes) -> Any:
    """A body as axios hands it on: parsed if it is JSON, else as text."""
    try:
        return from_json(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _message(error: AirtableOAuthError, airtable: TokenEndpoint) -> str:
    """What axios says of a request without an answer."""
    if isinstance(error, NotSent):
        return "connect ECONNREFUSED"
    if isinstance(error, UpstreamTimeout):
        return f"timeout of {round(airtable.deadline * 1000)}ms exceeded"
    return "socket hang up"


def _json(status: int, content: Any) -> Response:
    return Response(to_json(content, inf_nan_mode="null"), status, media_type="application/json")
