"""The two routes of the Node service that this service replaces, with the same statuses and bodies.

An Angular app written for the Node service runs unchanged. Such an app sends no cookies, so a login
here is not bound to the browser that began it: anyone who gets hold of code and state can finish
it.

Different on purpose: redirects of the token endpoint are not followed, its answer is capped and has
a deadline, a 200 without tokens becomes a 502, CORS follows `ALLOWED_ORIGINS`, and HEAD does not
begin a login.
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
from airtable_oauth.oauth.unbound_login import UnboundLogins
from airtable_oauth.web.error_responses import documented
from airtable_oauth.web.models import AuthorizationUrl
from airtable_oauth.web.route import OAuthRoute

_UNKNOWN_STATE = {"error": "This request was not from Airtable!"}


_RESPONSES = documented(StoreUnavailable, TokenEndpointBusy, UnreadableRecord, UpstreamError) | {
    200: {"description": "What the token endpoint answered."},
    400: {"description": "An unknown state, the redirect's error, or Airtable's 400."},
    401: {"description": "Airtable's 401."},
    500: {"description": "No answer from Airtable."},
    "default": {"description": "Any other status of Airtable's."},
}
_PARAMETERS = [
    {"in": "query", "name": name, "required": False, "schema": {"type": "string"}}
    for name in ("state", "code", "error", "error_description")
]


class NodeCompatRoutes:
    """`GET /get-authorization-url` and `GET /request-oauth-token`."""

    def __init__(self, *, logins: UnboundLogins, token_endpoint: TokenEndpoint) -> None:
        self._logins = logins
        self._token_endpoint = token_endpoint
        self.router = APIRouter(route_class=OAuthRoute, tags=["Node service"])
        self.router.add_api_route(
            "/get-authorization-url",
            self.get_authorization_url,
            summary="Begin a login (as the Node service does)",
            responses=documented(StoreUnavailable, TooManyLogins),
        )
        self.router.add_api_route(
            "/request-oauth-token",
            self.request_oauth_token,
            summary="Finish a login (as the Node service does)",
            responses=_RESPONSES,
            openapi_extra={"parameters": _PARAMETERS},
        )

    async def get_authorization_url(self) -> AuthorizationUrl:
        """Make an authorization URL for any browser."""
        return AuthorizationUrl(authorizationUrl=await self._logins.begin())

    async def request_oauth_token(self, request: Request) -> Response:
        """Exchange the code of a redirect for tokens; the query is that of the redirect."""
        with await self._token_endpoint.login_slots.take():
            state = _query(request, "state")
            code_verifier = await self._logins.take(state) if isinstance(state, str) else None
            if code_verifier is None:
                return _json(400, _UNKNOWN_STATE)
            if error := _query(request, "error"):
                description = _query(request, "error_description")
                return _json(400, _defined(error=error, errorDescription=description))
            return await _exchange(self._token_endpoint, _query(request, "code"), code_verifier)


async def _exchange(
    token_endpoint: TokenEndpoint, code: str | list[str] | None, code_verifier: str
) -> Response:
    # Airtable's redirect has one code. A repeated one is sent as one value, which Airtable refuses.
    form = token_endpoint.client.exchange_form(
        code=code if isinstance(code, str) else ",".join(code or ()), code_verifier=code_verifier
    )
    if code is None:
        del form["code"]
    try:
        status, body = await token_endpoint.token_request(form)
    except AirtableOAuthError as error:
        token_endpoint.incidents.failed(cause_of(error))
        return _json(500, {"error": "Unknown error", "details": _message(error, token_endpoint)})
    _report(token_endpoint, status, body)
    if status in range(200, 300):  # all of them are success to axios, and Express answers 200
        status = 200
        parse_token_response(status, body, grant_type="authorization_code", requested_scope="")
    data = _data(body)
    if status in (200, 400, 401):
        return _json(status, data)
    return _json(status, {"error": "Unknown error", "details": data})


def _report(token_endpoint: TokenEndpoint, status: int, body: bytes) -> None:
    """Report to the log how Airtable answered: this route passes every answer on."""
    with suppress(AirtableOAuthError), token_endpoint.incidents:
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


def _message(error: AirtableOAuthError, token_endpoint: TokenEndpoint) -> str:
    """What axios says of a request without an answer."""
    if isinstance(error, NotSent):
        return "connect ECONNREFUSED"
    if isinstance(error, UpstreamTimeout):
        return f"timeout of {round(token_endpoint.deadline * 1000)}ms exceeded"
    return "socket hang up"


def _json(status: int, content: Any) -> Response:
    return Response(to_json(content, inf_nan_mode="null"), status, media_type="application/json")
