"""The classes of our routes, in the service and in host apps: one error body, and `no-store`."""

from collections.abc import Callable, Collection, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

from airtable_oauth.errors import CHALLENGE
from airtable_oauth.web.access_log import log_failed_request, notes_of
from airtable_oauth.web.body import read_body, require_json
from airtable_oauth.web.csrf import refuse_cross_site
from airtable_oauth.web.error_responses import error_response, is_ours

_MAX_BODY_BYTES = 16 * 1024
_MAX_ESCAPES = 1000
_HEADERS = {
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OAuthRoute(APIRoute):
    """A route that answers every error with the one error body, and forbids caching.

    This is done in the route because a host app includes only our router, which can contain
    neither middleware nor exception handlers.
    """

    def refuse(self, request: Request) -> None:
        """Raise an error if the request must not be served. This class serves all requests."""

    def leaves_to_host(self, request: Request, error: Exception) -> bool:
        """Whether an exception comes from the host, which will answer it."""
        del request
        return isinstance(error, HTTPException) and not is_ours(error)

    def get_route_handler(self) -> Handler:
        """FastAPI's handler, wrapped by `guard`."""
        return self.guard(super().get_route_handler())

    def guard(self, handle: Handler) -> Handler:
        """Wrap a handler: refuse requests, answer errors, and set headers, as this class does."""
        takes_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            notes_of(request.scope)  # so that log lines from here on have the request's id
            try:
                self.refuse(request)
                response = await handle(await _bounded(request, has_body=takes_body))
            except Exception as error:
                if self.leaves_to_host(request, error):
                    raise
                response = error_response(request, error)
            response.raw_headers[:] = [
                *(each for each in response.raw_headers if each[0] not in _HEADERS),
                *_HEADERS.items(),
            ]
            if response.status_code == 401:  # noqa: PLR2004 (Airtable's, which the proxy relays)
                response.headers.setdefault("WWW-Authenticate", CHALLENGE)
            log_failed_request(request.scope, response.status_code)
            return response

        return guarded


class CookieRoute(OAuthRoute):
    """A route that a cookie authenticates. It refuses what other sites could cause."""

    allowed_origins: ClassVar[frozenset[str]] = frozenset()

    def refuse(self, request: Request) -> None:
        """Check for cross-site request forgery."""
        refuse_cross_site(request, self.allowed_origins)


def with_origins(route_class: type[CookieRoute], origins: Collection[str]) -> type[CookieRoute]:
    """The same class of routes, for pages of these origins."""
    return type(route_class.__name__, (route_class,), {"allowed_origins": frozenset(origins)})


async def _bounded(request: Request, *, has_body: bool) -> Request:
    """The request for FastAPI's handler.

    If the route has a body, it has been read, and its `Content-Type` is JSON.
    """
    if not has_body:
        return _BoundedRequest(request.scope, request.receive)
    require_json(request)
    body = await read_body(request, _MAX_BODY_BYTES)
    return _BoundedRequest(request.scope, _replay(body))


class _BoundedRequest(Request):
    """A request whose cookies are parsed in a short time. FastAPI parses them for every route.

    The standard library takes seconds for a value of 64 KiB of backslashes (CVE-2024-7592).
    """

    @property
    def cookies(self) -> dict[str, str]:
        """All cookies, or none if they contain more backslashes than real cookies do."""
        escapes = sum(header.count("\\") for header in self.headers.getlist("cookie"))
        return {} if escapes > _MAX_ESCAPES else super().cookies


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
