"""The service's log, as its own formatter writes it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airtable_oauth.logs import logging_config


class Lines:
    """The lines logged so far."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (json.loads(line) for line in self.text.splitlines())

    def access(self) -> list[dict[str, Any]]:
        return [line for line in self if line["event"] == "request"]

    def incidents(self) -> list[dict[str, Any]]:
        """The lines that report a failure of a part."""
        return [line for line in self if "does not work" in line["event"]]


@contextmanager
def log_lines(log_format: str = "json", level: int = logging.INFO) -> Iterator[Lines]:
    """Log to memory in the way `airtable-oauth serve` does."""
    lines = Lines()
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(line_formatter(log_format))
    logger = logging.getLogger("airtable_oauth")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def line_formatter(log_format: str) -> logging.Formatter:
    """The formatter that `airtable-oauth serve` configures."""
    [configured] = logging_config("info", log_format)["formatters"].values()
    made: logging.Formatter = configured["()"](configured["log_format"])
    return made
