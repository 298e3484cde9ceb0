"""Request ids and log lines, none of which holds a query string, a header or a body."""

import logging
import random
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("airtable_oauth")

_REQUEST_ID = "airtable_oauth.request_id"


def request_id(scope: Scope) -> str:
    """The id of a request: in its log line, its `X-Request-ID` header and its error body."""
    known: str | None = scope.get(_REQUEST_ID)
    if known is None:
        known = scope[_REQUEST_ID] = f"{random.getrandbits(64):016x}"
    return known


class AccessLog:
    """Logs a line per request: method, path, status, milliseconds, id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http" or not logger.isEnabledFor(logging.INFO):
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
        finally:
            logger.info(
                "%s %s %d %.1fms %s",
                scope["method"],
                _printable(scope["path"]),
                status,
                (time.perf_counter() - started) * 1000,
                request_id(scope),
            )


def logging_config(level: str) -> dict[str, Any]:
    """The standard library's logging, for the processes that the command line starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


def _printable(path: str) -> str:
    """A path without control characters, so that a client cannot write log lines of its own."""
    return path.encode("unicode_escape").decode("ascii")[:200]
