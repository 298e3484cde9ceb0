"""The log line of a request. It never contains a query, a header, a body or a secret."""

import logging
import time

from opentelemetry.trace import get_current_span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airtable_oauth.errors import UpstreamError
from airtable_oauth.logs import log_access, logger, places
from airtable_oauth.request_notes import RequestNotes, begin_notes, new_request_id

_NOTES = "airtable_oauth.notes"
_LOGGED = "airtable_oauth.logged"
_FIRST_SERVER_ERROR = 500
_FIRST_ERROR = 400


def notes_of(scope: Scope) -> RequestNotes:
    """The notes of a request. The first call creates them."""
    notes: RequestNotes | None = scope.get(_NOTES)
    if notes is None:
        notes = scope[_NOTES] = RequestNotes(new_request_id())
        begin_notes(notes)
    return notes


def request_id(scope: Scope) -> str:
    """The id of a request: in its log lines, its `X-Request-ID` header and its error body."""
    return notes_of(scope).request_id


def log_crash(error: BaseException, scope: Scope) -> None:
    """Log an unexpected exception: its types and source lines, without messages.

    A message may quote a code or a token. An exception is logged once, however many callers of this
    function it passes on its way up.
    """
    if scope.get(_LOGGED) is error:
        return
    scope[_LOGGED] = error
    logger.error(
        "crash in request %s\n%s",
        request_id(scope),
        "\n".join(places(error)),
        extra={"request_id": request_id(scope)},
    )


def note_broken_answer(error: BaseException, cause: str, scope: Scope) -> None:
    """Note why a relayed answer broke off, so that its exception is not logged as a crash."""
    notes = notes_of(scope)
    notes.error, notes.cause = UpstreamError.error, cause
    scope[_LOGGED] = error


class AccessLog:
    """Logs one line per request, and stops exceptions.

    An exception that gets here has been answered and logged. uvicorn would print its message, which
    may quote a code or a token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes_of(scope).has_access_log = True
        started = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001 (whatever comes this far ends here)
            log_crash(error, scope)
        finally:
            _log_request(scope, status, time.perf_counter() - started)


def log_failed_request(scope: Scope, status: int) -> None:
    """Log a failed request in a host app, which has no `AccessLog` of ours."""
    if status >= _FIRST_SERVER_ERROR and not notes_of(scope).has_access_log:
        _log_request(scope, status)


def _log_request(scope: Scope, status: int, seconds: float | None = None) -> None:
    """Log a request: at ERROR if the service itself failed, at WARNING for any other 5xx."""
    notes = notes_of(scope)
    level = logging.INFO
    if status >= _FIRST_SERVER_ERROR:
        is_ours = status == _FIRST_SERVER_ERROR and notes.error is not None
        level = logging.ERROR if is_ours else logging.WARNING
    elif notes.error == UpstreamError.error:
        level = logging.WARNING  # the answer broke off after its status was sent
    if not logger.isEnabledFor(level):
        return
    fields = {
        "method": scope["method"],
        "path": _printable(scope["path"]),
        "route": getattr(scope.get("route"), "path", None),
        "status": status,
        "duration_ms": None if seconds is None else round(seconds * 1000, 1),
        "client": (scope.get("client") or (None,))[0],
        "error": notes.error,
        "cause": notes.cause if status >= _FIRST_ERROR or notes.error is not None else None,
        "outcome": notes.outcome,
        "connection": notes.connection,
        "trace_id": _trace_id(),
        "request_id": notes.request_id,
    }
    log_access(level, {name: value for name, value in fields.items() if value is not None})


def _trace_id() -> str | None:
    """The id of the request's OpenTelemetry trace, if there is one."""
    span = get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.is_valid else None


def _printable(path: str) -> str:
    """The path without control characters, so that a client cannot forge log lines."""
    if not (path.isascii() and path.isprintable()):
        path = path.encode("unicode_escape").decode("ascii")
    return path[:200]
