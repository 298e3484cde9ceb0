"""Notes on the request that is being served, so that every log line can contain its id."""

import random
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class RequestNotes:
    """Notes on one request, for the log. They contain no secrets."""

    request_id: str
    connection: str | None = None
    """The id of the connection that the request is about."""
    error: str | None = None
    """The error code of the answer."""
    cause: str | None = None
    """The cause of the error; see `causes.cause_of`."""
    outcome: str | None = None
    """The outcome of the refresh that it waited for; see `vault.outcomes.RefreshOutcome`."""
    has_access_log: bool = False
    """Whether `web.access_log.AccessLog` logs the request."""


_current: ContextVar[RequestNotes | None] = ContextVar("airtable_oauth.request", default=None)


def new_request_id() -> str:
    """Return a random id of 16 hexadecimal digits. It is not a secret."""
    return f"{random.getrandbits(64):016x}"


def begin_notes(notes: RequestNotes) -> None:
    """Set the notes of the request that this task, and those that it starts, serve."""
    _current.set(notes)


def current_notes() -> RequestNotes | None:
    """Return the notes of the request that this task serves or belongs to; None without one."""
    return _current.get()


def log_fields(**fields: Any) -> dict[str, Any]:
    """Return the `extra` of a log line: the current request's id and the fields that are set."""
    notes = current_notes()
    known = {name: value for name, value in fields.items() if value is not None}
    return known if notes is None else {**known, "request_id": notes.request_id}
