"""The findings that `airtable-oauth check` reports."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report. It never holds a secret."""

    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level:8} {self.text}"


def ok(text: str) -> Finding:
    """Report that something is right."""
    return Finding(Level.OK, text)


def warning(variable: str, text: str) -> Finding:
    """Report that a variable may be wrong."""
    return Finding(Level.WARNING, f"{variable}: {text}")


def fault(variable: str, text: str) -> Finding:
    """Report that a variable is wrong."""
    return Finding(Level.FAULT, f"{variable}: {text}")
