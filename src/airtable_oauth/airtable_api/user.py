"""The Airtable user behind a token."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class User:
    """The Airtable user who granted access."""

    id: str
    email: str | None = None
    """Only with the scope `user.email:read`."""
