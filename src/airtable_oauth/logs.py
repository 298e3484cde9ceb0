"""Formats log lines. None contains a query string, a header, a body or a secret.

The package logs through the standard library and configures nothing: that is up to the host app.
The command line uses `logging_config`. It formats access lines by hand, because they are the
largest single cost of a request; structlog renders all other lines, including those of other
packages.
"""

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import structlog
from pydantic_core import to_json

logger = logging.getLogger("airtable_oauth")

_ACCESS_FIELDS = (
    *("method", "path", "route", "status", "duration_ms", "client"),
    *("error", "cause", "outcome", "connection", "trace_id", "request_id"),
)
"""The fields of an access line, in order. Unknown ones are left out."""


def logging_config(level: str, log_format: str = "console") -> dict[str, Any]:
    """Return the `logging` configuration for the processes that the command line starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": LineFormatter, "log_format": log_format}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


class LineFormatter(logging.Formatter):
    """Formats access records as a line of text or JSON; structlog formats other records."""

    def __init__(self, log_format: str) -> None:
        """`log_format`: `console` or `json`."""
        super().__init__()
        self._access: Callable[[logging.LogRecord, dict[str, Any]], str] = (
            _json_line if log_format == "json" else _console_line
        )
        self._others = _structlog_formatter(log_format)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        values = record.__dict__
        if record.name != logger.name or "method" not in values:
            return self._others.format(record)
        fields = {name: values[name] for name in _ACCESS_FIELDS if name in values}
        return self._access(record, fields)


def _json_line(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    head = {
        "timestamp": _timestamp(record),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": "request",
    }
    return to_json(head | fields).decode()


def _console_line(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    details = " ".join(
        f"{name}={_quoted(value)}"
        for name, value in fields.items()
        if name not in ("method", "path", "status")
    )
    level = record.levelname.lower()
    return f"{_timestamp(record)} [{level:9}] {record.getMessage()} {details}"


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text else text


def _timestamp(record: logging.LogRecord) -> str:
    """The time of a record in structlog's format."""
    second, fraction = divmod(record.created, 1)
    return f"{_time_of(int(second))}.{int(fraction * 1_000_000):06}Z"


@lru_cache(maxsize=1)
def _time_of(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _structlog_formatter(log_format: str) -> logging.Formatter:
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False)
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(allow=[*_ACCESS_FIELDS, "part"]),
            structlog.processors.TimeStamper(fmt="iso"),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )


def places(error: BaseException) -> Iterator[str]:
    """Yield the types and stacks of a chain of exceptions, outermost first, without messages."""
    current: BaseException | None = error
    while current is not None:
        yield f"{type(current).__module__}.{type(current).__qualname__}"
        for frame in traceback.extract_tb(current.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        current = current.__cause__ or current.__context__
