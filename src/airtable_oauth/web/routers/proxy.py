"""Airtable's Web API for a browser that holds no token."""

import re
from contextlib import ExitStack
from importlib.metadata import version
from itertools import islice
from urllib.parse import unquote_to_bytes

import httpx
from fastapi import APIRouter, Request, Response
from starlette.types import Scope

from airtable_oauth.airtable_api.paths import is_upload_path, require_plain_path
from airtable_oauth.airtable_api.transport import WebApi
from airtable_oauth.errors import (
    AccessUnavailable,
    ClientRefused,
    ConnectionNotNamed,
    ContentTooLarge,
    CrossSiteRefused,
    InvalidPath,
    InvalidRequest,
    NotConnected,
    NotSent,
    RateLimited,
    ReconnectRequired,
    TooManyUnderWay,
    TooManyUploads,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.vault.access import AccessTokens
from airtable_oauth.vault.client import send_as
from airtable_oauth.web.body import read_body, require_json
from airtable_oauth.web.callers import Callers
from airtable_oauth.web.dependencies import bind
from airtable_oauth.web.error_responses import STORE_ERRORS, documented
from airtable_oauth.web.places import Places, UploadPlaces
from airtable_oauth.web.relay import Relayed, StopOnDisconnect

_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_MAX_BODY_BYTES = 2 * 1024 * 1024
_BODY_SECONDS = 10.0
_MAX_UPLOAD_BYTES = 7 * 1024 * 1024
"""A file of 5 MB, which is Airtable's limit, in base64 within JSON."""
_UPLOAD_SECONDS = 60.0
_BYTE_OR_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|.", re.DOTALL)
"""One byte of a path, plain or percent-encoded."""
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_NOT_PRINTABLE = re.compile(rb"[^\x21-\x7e]")
_USER_AGENT = f"airtable-oauth/{version('airtable-oauth')}"
_RESPONSES = documented(
    InvalidPath,
    NotConnected,
    ReconnectRequired,
    CrossSiteRefused,
    ContentTooLarge,
    UnsupportedMediaType,
    RateLimited,
    TooManyUnderWay,
    ClientRefused,
    UpstreamError,
    NotSent,
    AccessUnavailable,
    TooManyUploads,
    *STORE_ERRORS,
    UpstreamTimeout,
)
_RESPONSES[200] = _RESPONSES["default"] = {
    "description": "What Airtable answered, status and body.",
    "content": {"application/json": {"schema": {}}},
}


class ProxyRoutes:
    """`/airtable/…`: one route, which is added once per method for the OpenAPI document."""

    def __init__(
        self,
        *,
        callers: Callers,
        access_tokens: AccessTokens,
        web_api: WebApi,
        patience: float,
        name: str,
        by_host: bool,
    ) -> None:
        """`patience`: seconds that a request waits while its connection has too many in progress.

        `name` is the integration's. `by_host`: whether callers are a host's users.
        """
        self._access_tokens = access_tokens
        self._web_api = web_api
        self._places = Places(10, patience=patience)
        self._upload_places = UploadPlaces(patience=10)
        self.router = APIRouter(route_class=callers.route_class, tags=["Airtable"])
        responses = _RESPONSES | (documented(ConnectionNotNamed, InvalidPath) if by_host else {})
        for method in _METHODS:
            self.router.add_api_route(
                "/airtable/{path:path}",
                bind(self.airtable, connection_id=callers.connection_id),
                methods=[method],
                operation_id=f"{name}_{method.lower()}",
                summary=f"Call Airtable's Web API with {method}",
                responses=responses,
            )

    async def airtable(self, path: str, request: Request, connection_id: str) -> Response:
        """Call Airtable's Web API as the caller's connection.

        Whatever Airtable answers comes back, its errors included; our own errors have the body
        `ErrorBody`. Unsafe methods need the header `X-CSRF: 1`.

        `POST …/{recordId}/{attachmentFieldIdOrName}/uploadAttachment` goes to the origin that
        accepts uploads, with a body of up to 7 MiB; other bodies have 2 MiB at most.
        """
        raw_path = raw_suffix(request.scope, path)
        require_plain_path(raw_path)
        with ExitStack() as held:
            held.enter_context(await self._places.take(connection_id))
            if request.method == "POST" and is_upload_path(raw_path):
                held.enter_context(await self._upload_places.take(connection_id))
                body = await _body(request, _MAX_UPLOAD_BYTES, _UPLOAD_SECONDS)
            else:
                body = await _body(request, _MAX_BODY_BYTES, _BODY_SECONDS)
            upstream = _upstream_request(request, f"{self._web_api.url}/{raw_path}", body)
            async with StopOnDisconnect(request.receive):
                response = await send_as(
                    self._access_tokens, self._web_api, connection_id, upstream
                )
            return Relayed(response, held.pop_all())


def raw_suffix(scope: Scope, path: str) -> str:
    """The part of a request's path that the router calls `path`, still percent-encoded.

    Raises:
        InvalidPath: the server decoded the path differently.
    """
    prefix = scope["path"][: len(scope["path"]) - len(path)].encode("utf-8", "replace")
    raw: bytes = scope["raw_path"]
    end = 0
    for unit in islice(_BYTE_OR_ESCAPE.finditer(raw), len(prefix)):
        end = unit.end()
    if unquote_to_bytes(raw[:end]) != prefix or not raw[:end].endswith(b"/"):
        raise InvalidPath
    return raw[end:].decode("latin-1")


def _upstream_request(request: Request, target: str, body: bytes) -> httpx.Request:
    """The request as Airtable gets it, still without the token.

    Raises:
        InvalidPath, InvalidRequest: A part of the head cannot be sent on.
    """
    if query := request.scope["query_string"]:
        target += f"?{_NOT_PRINTABLE.sub(_percent_encode, query).decode('ascii')}"
    try:
        headers = _request_headers(request, body)
        return httpx.Request(request.method, target, headers=headers, content=body)
    except httpx.InvalidURL:
        raise InvalidPath("The URL is too long or malformed.") from None


def _request_headers(request: Request, body: bytes) -> dict[str, str]:
    """The request's headers for Airtable. Only `Accept` is passed on as the browser sent it."""
    accept = request.headers.get("accept", "application/json")
    if not _HEADER_VALUE.fullmatch(accept):
        raise InvalidRequest("The Accept header must be printable ASCII.")
    takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "Accept": accept,
        "Accept-Encoding": "gzip" if takes_gzip else "identity",
        "User-Agent": _USER_AGENT,
    }
    if body:
        headers["Content-Type"] = "application/json"
    return headers


def _percent_encode(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % byte[0][0]


async def _body(request: Request, most: int, seconds: float) -> bytes:
    """The whole body, which must be sent again after a 401."""
    body = await read_body(request, most, seconds)
    if body:
        require_json(request)
    return body
