"""Error answers: their one body, how exceptions become answers, and their entries in OpenAPI."""

from collections.abc import Iterable
from typing import Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import (
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
from airtable_oauth.web.access_log import log_crash, notes_of
from airtable_oauth.web.models import ApiModel

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
