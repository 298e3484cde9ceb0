"""The classes of our routes, in the service and in host apps: one error body, and `no-store`."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any, ClassVar, Literal

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Message, Receive

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import (
    CHALLENGE,
    Action,
    AirtableOAuthError,
    AuthorizationError,
    ClientRefused,
    ContentTooLarge,
    CrossSiteRefused,
    DamagedRecord,
    InvalidGrant,
    InvalidInput,
    InvalidRequest,
    LoginNotFound,
    MethodNotAllowed,
    NotFound,
    NotSent,
    ServerError,
    StoreUnavailable,
    TokenEndpointBusy,
    TokenRequestRefused,
    UnknownEncryptionKey,
    UnknownRecordFormat,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.web.access_log import log_crash, log_failed_request, notes_of
from airtable_oauth.web.csrf import refuse_cross_site
from airtable_oauth.web.models import ApiModel

_MAX_BODY_BYTES = 16 * 1024
_BODY_SECONDS = 10.0
_MAX_ESCAPES = 1000
_HEADERS = {
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}

_PARSE_ERROR_DETAIL = "There was an error parsing the body"
"""The detail of the only `HTTPException` that FastAPI itself raises in a route. It means that the
body could not be parsed, for example because it is not UTF-8."""

STORE_ERRORS = (StoreUnavailable, UnknownEncryptionKey, UnknownRecordFormat, DamagedRecord)
"""The errors of a route that reads from the store, for `documented`."""

TOKEN_ERRORS = (
    InvalidGrant,
    TokenRequestRefused,
    ClientRefused,
    UpstreamError,
    NotSent,
    UpstreamTimeout,
)
"""The errors of a token request to Airtable."""

LOGIN_ERRORS = (
    LoginNotFound,
    AuthorizationError,
    *TOKEN_ERRORS,
    TokenEndpointBusy,
    CrossSiteRefused,
    InvalidInput,
    *STORE_ERRORS,
)
"""The errors of a route that finishes a login. If the route has a body, add `BODY_ERRORS`."""

BODY_ERRORS = (ContentTooLarge, UnsupportedMediaType)
"""The errors of a body that is refused before it is parsed."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ErrorBody(ApiModel):
    """The body of an error answer."""

    error: str
    """A code for programs: that of RFC 6749 or of Airtable if there is one."""
    error_description: str
    """A sentence for people."""
    action: Literal[Action.RETRY, Action.RESTART_LOGIN, Action.RECONNECT, Action.FIX_CONFIG]
    """What the client should do."""
    request_id: str
    """The id of this request, as in the service's log."""


class LoginErrorBody(ErrorBody):
    """The error body of a login. It also says where the user was."""

    return_to: str | None = None
    """The `return_to` that `/authorization-url` received; absent if there was none."""


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


def error_response(request: Request, error: Exception) -> JSONResponse:
    """The answer to an exception. Unexpected ones are logged, and their text is not shown."""
    known = _known(error)
    notes = notes_of(request.scope)
    notes.error = known.error
    notes.cause = known.cause or notes.cause
    if isinstance(known, ServerError):
        notes.cause = cause_of(error)
        log_crash(error, request.scope)
    body = {
        "error": known.error,
        "error_description": known.description,
        "action": known.action,
        "request_id": notes.request_id,
    }
    if known.return_to is not None:
        body["return_to"] = known.return_to
    return JSONResponse(body, known.status, headers=_headers(known, error))


def documented(
    *errors: type[AirtableOAuthError], model: type[ErrorBody] = ErrorBody
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route, for OpenAPI: by status, with the error codes it may have."""
    by_status: dict[int | str, list[type[AirtableOAuthError]]] = {}
    every: tuple[type[AirtableOAuthError], ...] = (*errors, ServerError)
    for error in every:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: {"model": model, "description": _describe(group)}
        for status, group in sorted(by_status.items(), key=lambda item: str(item[0]))
    }


def is_ours(error: Exception) -> bool:
    """Whether an exception is ours or about the request, and not from a host's dependency."""
    if isinstance(error, AirtableOAuthError | RequestValidationError):
        return True
    return isinstance(error, HTTPException) and error.detail == _PARSE_ERROR_DETAIL


def _describe(errors: Iterable[type[AirtableOAuthError]]) -> str:
    return "\n\n".join(f"`{error.error}`: {error.description}" for error in errors)


def _known(error: Exception) -> AirtableOAuthError:
    if isinstance(error, AirtableOAuthError):
        return error
    if isinstance(error, RequestValidationError):
        return InvalidInput(_fields(error))
    if isinstance(error, HTTPException):
        return _HTTP_ERRORS.get(error.status_code, InvalidRequest)()
    return ServerError()


_HTTP_ERRORS: dict[int, type[AirtableOAuthError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: ContentTooLarge,
    415: UnsupportedMediaType,
    500: ServerError,
}


def _fields(error: RequestValidationError) -> str:
    """The names of the fields that are wrong, never their values."""
    return describe_fields(fault["loc"][1] for fault in error.errors() if len(fault["loc"]) > 1)


def describe_fields(locations: Iterable[str | int]) -> str:
    """A sentence that names the fields that are wrong."""
    names = {each for each in locations if isinstance(each, str)}
    if not names:
        return "The body must be a JSON object as documented."
    return f"Missing or malformed: {', '.join(sorted(names))}."


def _headers(known: AirtableOAuthError, error: Exception) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if known.retry_after is not None:
        headers["Retry-After"] = str(known.retry_after)
    if isinstance(error, HTTPException) and error.headers and "Allow" in error.headers:
        headers["Allow"] = error.headers["Allow"]
    return headers


async def read_body(request: Request, most: int, seconds: float = _BODY_SECONDS) -> bytes:
    """Read a body of at most `most` bytes, within `seconds`.

    Raises:
        ContentTooLarge: it is larger.
        InvalidRequest: it did not arrive in time, or the client disconnected.
    """
    try:
        async with asyncio.timeout(seconds):
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise ContentTooLarge
            return bytes(body)
    except TimeoutError:
        raise InvalidRequest("The request body didn't arrive in time.") from None
    except ClientDisconnect:
        raise InvalidRequest("The request body didn't arrive.") from None


def require_json(request: Request) -> None:
    """Check that the `Content-Type` of a request is JSON.

    Raises:
        UnsupportedMediaType: it is not, or it is missing.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType


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
