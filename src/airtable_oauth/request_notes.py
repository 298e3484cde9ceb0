"""What is known about the request that is being served, so that every log line can name it."""

import random
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class RequestNotes:
    """Notes on one request, for the log. None of them is a secret."""

    request_id: str
    connection: str | None = None
    """The id of the connection that the request is about."""
    error: str | None = None
    """The code of the error that answers it."""
    cause: str | None = None
    """Why; see `causes.cause_of`."""
    outcome: str | None = None
    """How the refresh went that it waited for; see `vault.outcomes.RefreshOutcome`."""
    has_access_log: bool = False
    """Whether `logs.AccessLog` writes its line."""


_current: ContextVar[RequestNotes | None] = ContextVar("airtable_oauth.request", default=None)


def new_request_id() -> str:
    """An id that no other request has: 16 hexadecimal digits. It is not a secret."""
    return f"{random.getrandbits(64):016x}"


def begin_notes(notes: RequestNotes) -> None:
    """Make these the notes of the request that this task serves, and of tasks that it starts."""
    _current.set(notes)


def current_notes() -> RequestNotes | None:
    """The notes of the request that this task serves, or that started it; None without one."""
    return _current.get()


def log_fields(**fields: Any) -> dict[str, Any]:
    """The `extra` of a log line: the id of the current request, and the fields that are known."""
    notes = current_notes()
    known = {name: value for name, value in fields.items() if value is not None}
    return known if notes is None else {**known, "request_id": notes.request_id}
