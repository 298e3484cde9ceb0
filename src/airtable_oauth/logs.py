"""Formats and writes log lines. None contains a query string, a header, a body or a secret.

The package logs through the standard library and configures nothing: that is up to the host app.
The command line uses `logging_config`. Its access lines are formatted and written by hand, because
there is one for each request; structlog renders all other lines, including those of other packages.
"""

import logging
import os
import select
import time
import traceback
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import structlog
from pydantic_core import to_json

logger = logging.getLogger("airtable_oauth")

_FIELDS = "airtable_oauth_fields"
"""The attribute of an access record that contains its fields."""
_ACCESS_FIELDS = (
    *("method", "path", "route", "status", "duration_ms", "client"),
    *("error", "cause", "outcome", "connection", "trace_id", "request_id"),
)
"""The fields that any line may have."""
_IN_SENTENCE = {"method", "path", "status"}
"""The fields that a console line shows before the others, without their names."""
_STDERR: Final = 2


def logging_config(level: str, log_format: str = "console") -> dict[str, Any]:
    """Return the `logging` configuration for the processes that the command line starts."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": LineFormatter, "log_format": log_format}},
        "handlers": {"stderr": {"()": LineHandler, "formatter": "lines"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
    }


def log_access(level: int, fields: dict[str, Any]) -> None:
    """Log a request. `fields` are attributes of the record, for the host's own formatters."""
    arguments = (fields["method"], fields["path"], fields["status"])
    # Like `logger.log`, but without the search for the caller, which is slow.
    record = logger.makeRecord(logger.name, level, "", 0, "%s %s %d", arguments, None)
    record.__dict__.update(fields)
    record.__dict__[_FIELDS] = fields
    logger.handle(record)


class LineHandler(logging.Handler):
    """Writes each line with one system call: a crash loses none, and processes do not mix them."""

    def __init__(self, file: int = _STDERR) -> None:
        """`file`: a file descriptor."""
        super().__init__()
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            while line:
                line = self._write(line)
        except Exception:  # noqa: BLE001 (the log must not break what it reports)
            self.handleError(record)

    def _write(self, line: bytes) -> bytes:
        """Write a line, and return what is left of it if a pipe accepts only a part."""
        try:
            return line[os.write(self._file, line) :]
        except BlockingIOError:  # another process made the pipe non-blocking, and it is full
            select.select([], [self._file], [])
            return line


class LineFormatter(logging.Formatter):
    """Formats access records as a line of text or JSON; structlog formats other records."""

    def __init__(self, log_format: str) -> None:
        """`log_format`: `console` or `json`."""
        super().__init__()
        self._access_line: Callable[[logging.LogRecord, dict[str, Any]], str] = (
            _json_line if log_format == "json" else _console_line
        )
        self._other_line = _structlog_formatter(log_format).format

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        fields = record.__dict__.get(_FIELDS)
        return self._other_line(record) if fields is None else self._access_line(record, fields)


def _json_line(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    return (
        f'{{"timestamp":"{_timestamp(record)}","level":"{record.levelname.lower()}",'
        f'"logger":"{record.name}","event":"request",{to_json(fields)[1:].decode()}'
    )


def _console_line(record: logging.LogRecord, fields: dict[str, Any]) -> str:
    details = " ".join(
        [f"{name}={_quoted(fields[name])}" for name in fields if name not in _IN_SENTENCE]
    )
    level = record.levelname.lower()
    return f"{_timestamp(record)} [{level:9}] {record.getMessage()} {details}"


def _quoted(value: object) -> object:
    return repr(value) if isinstance(value, str) and " " in value else value


def _timestamp(record: logging.LogRecord) -> str:
    """The time of a record in structlog's format."""
    second = int(record.created)
    return f"{_time_of(second)}.{int((record.created - second) * 1_000_000):06}Z"


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
