"""Request ids and log lines, none of which holds a query string, a header, a body or a secret.

The package logs through the standard library and configures nothing: a host app decides what
becomes of it. The command line uses `logging_config`, where structlog renders every line, those
of other packages included.
"""

import logging
import random
import time
import traceback
from collections.abc import Iterator
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("airtable_oauth")

_REQUEST_ID = "airtable_oauth.request_id"
_LOGGED = "airtable_oauth.logged"


def request_id(scope: Scope) -> str:
    """The id of a request: in its log line, its `X-Request-ID` header and its error body."""
    known: str | None = scope.get(_REQUEST_ID)
    if known is None:
        known = scope[_REQUEST_ID] = new_request_id()
    return known


def new_request_id() -> str:
    """An id that no other request has: 16 hexadecimal digits. It is no secret."""
    return f"{random.getrandbits(64):016x}"


def log_crash(error: BaseException, scope: Scope) -> None:
    """Log where something went wrong that nobody foresaw: types and places, without messages.

    Messages quote what they were about, and with it codes and tokens. Once per exception: it may
    pass several places that would log it.
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


class AccessLog:
    """Logs a line per request, and ends exceptions.

    An exception that comes this far was answered and logged; uvicorn would print its message.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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


def logging_config(level: str, log_format: str = "console") -> dict[str, Any]:
    """The standard library's logging, for the processes that the command line starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structlog": {"()": _formatter, "log_format": log_format}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structlog"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


def _formatter(log_format: str) -> logging.Formatter:
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False)
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(allow=["client", "duration_ms", "request_id", "status"]),
            structlog.processors.TimeStamper(fmt="iso"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    if logger.isEnabledFor(logging.INFO):
        logger.info(
            "%s %s %d",
            scope["method"],
            _printable(scope["path"]),
            status,
            extra={
                "client": (scope.get("client") or ("",))[0],
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
                "request_id": request_id(scope),
            },
        )


def places(error: BaseException) -> Iterator[str]:
    """The chain of exceptions, each with its stack, outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield f"{type(current).__module__}.{type(current).__qualname__}"
        for frame in traceback.extract_tb(current.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        current = current.__cause__ or current.__context__


def _printable(path: str) -> str:
    """A path without control characters, so that a client cannot write log lines of its own."""
    return path.encode("unicode_escape").decode("ascii")[:200]
