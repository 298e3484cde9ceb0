"""A login as it is stored."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

from airtable_oauth.errors import Action, AirtableOAuthError, StoreUnavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.formats import decode, known_fields

_FORMAT = 1
_ERROR_FIELDS = ("status", "error", "action", "description")


@dataclass(frozen=True, slots=True)
class LoginContext:
    """What a login is for, as stated when it began."""

    owner: str | None = None
    """The host's user who began the login. Only that user may finish it. None if the login is for
    a browser's session and not for a host's user."""
    connection_id: str | None = None
    """The connection to reconnect, if the login names one. In a login without an owner, it is the
    connection of the browser's session, which is reconnected only if the same Airtable user grants
    access."""
    data: Any = field(default=None, repr=False)
    """The host's own JSON data, which it gets back at the end."""


NO_CONTEXT = LoginContext()


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """A login as stored: pending, claimed, done (it has a connection) or failed."""

    return_to: str | None = None
    context: LoginContext = NO_CONTEXT
    code_verifier: str | None = field(default=None, repr=False)
    claim: str | None = None
    """The id of the claim, if a call has claimed the login."""
    connection_id: str | None = None
    failure: dict[str, Any] | None = None
    sessions: int = 0
    """How many sessions it has started."""

    @property
    def is_pending(self) -> bool:
        """Whether a call may claim or remove it."""
        return self.code_verifier is not None and self.claim is None

    @property
    def is_over(self) -> bool:
        """Whether its outcome is known."""
        return self.connection_id is not None or self.failure is not None

    def done(self, connection_id: str) -> "LoginRecord":
        """Return the same login, with its connection."""
        return replace(self, code_verifier=None, claim=None, connection_id=connection_id)

    def failed(self, error: AirtableOAuthError) -> "LoginRecord":
        """Return the same login, failed with this error."""
        failure = {name: getattr(error, name) for name in _ERROR_FIELDS}
        return replace(self, code_verifier=None, claim=None, failure=failure)

    def error(self) -> AirtableOAuthError:
        """Rebuild the error that the login failed with."""
        failure = dict(self.failure or {})
        error = AirtableOAuthError(failure["description"])
        error.status = error.status_code = failure["status"]
        error.error = failure["error"]
        error.action = Action(failure["action"])
        error.return_to = self.return_to
        return error

    def to_bytes(self) -> bytes:
        """Serialise. Fields that are None are left out."""
        context = None if self.context == NO_CONTEXT else asdict(self.context)
        values = {
            "v": _FORMAT,
            "return_to": self.return_to,
            "purpose": context,  # the name in format 1
            "code_verifier": self.code_verifier,
            "claim": self.claim,
            "connection_id": self.connection_id,
            "failure": self.failure,
            "sessions": self.sessions or None,
        }
        return json.dumps(
            {name: value for name, value in values.items() if value is not None}
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "LoginRecord":
        """Deserialise. Fields that this version does not know are ignored.

        Raises:
            UnknownRecordFormat: a newer version of this package wrote it.
        """
        stored = decode(data, newest=_FORMAT)
        if isinstance(stored, list):  # written before records had a version
            return_to, context, code_verifier, connection_id, failure = stored
            context = LoginContext(*(context or ()))
            return cls(return_to, context, code_verifier, None, connection_id, failure)
        context = known_fields(LoginContext, stored.get("purpose") or {})
        return cls(**(known_fields(cls, stored) | {"context": LoginContext(**context)}))


class FoundLogin(NamedTuple):
    """A login, and the version that a replacement must match."""

    record: LoginRecord
    version: bytes


async def take_login(store: Store, key: str, version: bytes, return_to: str | None) -> bool:
    """Remove a login. Returns whether this call removed it: one of any number of calls does.

    Raises:
        StoreUnavailable: the login may be gone, so the caller must begin again.
    """
    try:
        return await store.discard(key, version=version)
    except StoreUnavailable as error:
        raise error.ending_login(return_to) from None
