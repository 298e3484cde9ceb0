"""Airtable's Web API for a browser that holds no token."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from inspect import cleandoc
from itertools import islice
from typing import Annotated
from urllib.parse import unquote_to_bytes

import httpx
from fastapi import APIRouter, Depends, Request, Response
from starlette.types import Receive, Scope, Send

from airtable_oauth.client import send_as
from airtable_oauth.dependencies import Services, connection_of
from airtable_oauth.errors import (
    AccessUnavailable,
    ClientRefused,
    ConnectionNotNamed,
    ContentTooLarge,
    CrossSiteRefused,
    DamagedRecord,
    InvalidPath,
    NotConnected,
    NotSent,
    RateLimited,
    ReconnectRequired,
    StoreUnavailable,
    UnknownEncryptionKey,
    UnknownRecordFormat,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.paths import require_plain_path
from airtable_oauth.routers.route import cookie_route, documented, read_body, require_json

_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
_MAX_BODY_BYTES = 2 * 1024 * 1024
_DOWNWARDS = {
    *(b"content-type", b"content-encoding", b"content-length"),
    *(b"etag", b"last-modified", b"retry-after"),
}
_BYTE_OR_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}|.", re.DOTALL)
"""One byte of a path, plain or percent-encoded."""
_USER_AGENT = f"airtable-oauth/{version('airtable-oauth')}"
_RESPONSES = documented(
    InvalidPath,
    NotConnected,
    ReconnectRequired,
    CrossSiteRefused,
    ContentTooLarge,
    UnsupportedMediaType,
    RateLimited,
    ClientRefused,
    UpstreamError,
    NotSent,
    AccessUnavailable,
    StoreUnavailable,
    UnknownEncryptionKey,
    UnknownRecordFormat,
    DamagedRecord,
    UpstreamTimeout,
)
_RESPONSES[200] = _RESPONSES["default"] = {
    "description": "What Airtable answered, status and body.",
    "content": {"application/json": {"schema": {}}},
}


def proxy_router(services: Services) -> APIRouter:
    """The routes of this module, for one integration."""
    router = APIRouter(route_class=cookie_route(services), tags=["Airtable"])

    async def airtable(path: str, request: Request) -> Response:
        """Call Airtable's Web API as the caller's connection.

        Whatever Airtable answers comes back, its errors included; our own errors have the one
        error body. Unsafe methods need the header `X-CSRF: 1`.
        """
        session = await services.session_of(request)
        return await forward(path, request, session.connection_id)

    async def owners_airtable(
        path: str,
        request: Request,
        connection_id: Annotated[str, Depends(connection_of(services))],
    ) -> Response:
        return await forward(path, request, connection_id)

    async def forward(path: str, request: Request, connection_id: str) -> Response:
        raw_path = raw_suffix(request.scope, path)
        require_plain_path(raw_path)
        target = f"{services.web_api.url}/{raw_path}"
        if query := request.scope["query_string"]:
            target += f"?{query.decode('latin-1')}"
        body = await _body(request)
        upstream = httpx.Request(
            request.method,
            target,
            headers=_upwards(request, body),
            content=body,
        )
        response = await send_as(services.connections, services.web_api, connection_id, upstream)
        return _Relayed(response)

    responses = _RESPONSES | (documented(ConnectionNotNamed, InvalidPath) if services.host else {})
    for method in _METHODS:
        router.add_api_route(
            "/airtable/{path:path}",
            owners_airtable if services.host else airtable,
            methods=[method],
            operation_id=f"{services.settings.name}_{method.lower()}",
            summary=f"{method} from Airtable's Web API",
            description=cleandoc(airtable.__doc__ or ""),
            responses=responses,
        )
    return router


def raw_suffix(scope: Scope, path: str) -> str:
    """The part of a request's path that the router calls `path`, still percent-encoded.

    Raises:
        InvalidPath: The server decoded the path in another way.
    """
    prefix = scope["path"][: len(scope["path"]) - len(path)].encode("utf-8", "replace")
    raw: bytes = scope["raw_path"]
    end = 0
    for unit in islice(_BYTE_OR_ESCAPE.finditer(raw), len(prefix)):
        end = unit.end()
    if unquote_to_bytes(raw[:end]) != prefix or not raw[:end].endswith(b"/"):
        raise InvalidPath
    return raw[end:].decode("latin-1")


def _upwards(request: Request, body: bytes) -> dict[str, str]:
    """Of what the client sent, only what describes the bodies. The token is attached later."""
    headers = {
        "Accept": request.headers.get("accept", "application/json"),
        "Accept-Encoding": "identity",
        "User-Agent": _USER_AGENT,
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Accept-Encoding"] = "gzip"
    if body:
        headers["Content-Type"] = "application/json"
    return headers


async def _body(request: Request) -> bytes:
    """The body, which a repeat after a rotation needs again."""
    body = await read_body(request, _MAX_BODY_BYTES)
    if body:
        require_json(request)
    return body


class _Relayed(Response):
    """Streams Airtable's answer on, without what is only between Airtable and us."""

    def __init__(self, upstream: httpx.Response) -> None:
        self.status_code = upstream.status_code
        self.background = None
        self.raw_headers = _downwards(upstream.headers.raw)
        self._upstream = upstream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        del scope, receive
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            async for chunk in self._upstream.stream:  # type: ignore[union-attr] # asynchronous
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await self._upstream.aclose()
        if self.background is not None:  # a host's dependency may have asked for something
            await self.background()


def _downwards(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    lowered = ((name.lower(), value) for name, value in headers)
    return [(name, value) for name, value in lowered if name in _DOWNWARDS]
