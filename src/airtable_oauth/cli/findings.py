"""The lines of the report of `airtable-oauth check`."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding weighs."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of the report. None of them holds a secret."""

    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level:8} {self.text}"


def ok(text: str) -> Finding:
    """Something is right."""
    return Finding(Level.OK, text)


def warning(variable: str, text: str) -> Finding:
    """Something may be wrong about a variable."""
    return Finding(Level.WARNING, f"{variable}: {text}")


def fault(variable: str, text: str) -> Finding:
    """Something is wrong about a variable."""
    return Finding(Level.FAULT, f"{variable}: {text}")
