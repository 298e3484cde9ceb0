"""A connection, as it is stored and as hosts see it.

A refresh leads from `connected` through `refreshing` back to `connected`, or to
`reconnect_required`. A disconnect is possible in every status.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from airtable_oauth.airtable_api.user import User
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.stores.formats import decode, known_fields

_FORMAT = 1
_DAY = 24 * 3600.0
_TELL_SECONDS = 30 * _DAY
"""How long a record is kept after its refresh token expires, to show that the connection ended."""
_UNLIMITED_SECONDS = 400 * _DAY
"""How long an unused record is kept if the lifetime of its refresh token is not known."""
_LIFETIME_SECONDS = 60 * _DAY
"""How long Airtable's refresh tokens last if they are not used (Airtable's reference)."""
_SHORTEST_SECONDS = 3600.0
"""The shortest time to live of a connection: a clock that jumps must not erase its tokens."""
CLOCK_SLACK_SECONDS = 60.0
"""How much the clocks of processes that share a store may differ."""
LONGEST_RETRY = 600.0
"""The longest pause between two attempts to refresh, in seconds."""


class Status(StrEnum):
    """The status of a connection."""

    CONNECTED = "connected"
    REFRESHING = "refreshing"
    """A refresh is in progress, or its outcome is not known yet."""
    RECONNECT_REQUIRED = "reconnect_required"
    DISCONNECTED = "disconnected"
    """The tokens were erased. Only events have this status: the connection is not listed."""


class Reason(StrEnum):
    """Why a connection has ended."""

    REVOKED = "revoked"
    """The user removed the integration in Airtable, or an administrator did."""
    EXPIRED = "expired"
    """It was not used for the lifetime of a refresh token, which is 60 days."""
    ROTATION_LOST = "rotation_lost"
    """Airtable refreshed the tokens, and its answer was lost."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Announces a refresh.

    It is stored before the request is sent, and stays until the outcome is known.
    """

    attempts: int
    """Attempts with this refresh token whose outcome is not known, including this one."""
    retry_at: float
    """When the next attempt may begin, in seconds since 1970."""

    def holds(self, now: float, term: float) -> bool:
        """Whether it still forbids an attempt. `term`: seconds that an attempt may take.

        If `retry_at` is further ahead than that of any real marker, a clock that was ahead has set
        it, and the marker does not hold.
        """
        return now < self.retry_at <= now + max(term, LONGEST_RETRY) + CLOCK_SLACK_SECONDS


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """A connection as it is stored. Times are seconds since 1970, by the store's clock."""

    id: str
    owner: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scope: str
    expires_at: float
    """When the access token expires."""
    reconnect_by: float | None
    """When the refresh token expires if it is not used; None if the server does not say."""
    obtained_at: float
    """When these tokens were received."""
    keep_until: float | None = None
    """When the connection of a session ends if the session is not used. None for owners."""
    generation: int = 1
    """Which pair of tokens this is: each new pair makes the next generation."""
    by_force: bool = False
    """Whether a forced refresh gave these tokens, and the Web API has not accepted them yet."""
    user: User | None = None
    marker: Marker | None = None
    reason: Reason | None = None
    data: Any = field(default=None, repr=False)
    """JSON that the host provided when the login began, or passed to `AirtableOAuth.adopt`."""
    login: str = ""
    """The id of the login that its tokens come from. Refreshes do not change it."""
    reconnected: bool = False
    """Whether the login that its tokens come from is not the connection's first."""

    @property
    def status(self) -> Status:
        """The status. Only an answer of Airtable ends a connection, never a clock."""
        if self.reason is not None:
            return Status.RECONNECT_REQUIRED
        return Status.CONNECTED if self.marker is None else Status.REFRESHING

    def comes_from_the_future(self, now: float) -> bool:
        """Whether a clock that was ahead has dated the tokens: their expiry is then not known."""
        return self.obtained_at > now + CLOCK_SLACK_SECONDS

    def seconds_left(self, now: float) -> float:
        """Seconds until its access token expires; 0 if that is not known."""
        return 0.0 if self.comes_from_the_future(now) else self.expires_at - now

    def renewed(self, tokens: TokenSet, now: float, *, by_force: bool) -> "StoredConnection":
        """The next generation, with new tokens.

        If the lifetime of the refresh token is not known, it is assumed to be that of the last one.
        """
        fields = token_fields(tokens, now)
        if fields["reconnect_by"] is None and self.reconnect_by is not None:
            fields["reconnect_by"] = now + self.reconnect_by - self.obtained_at
        return replace(
            self,
            generation=self.generation + 1,
            by_force=by_force,
            marker=None,
            reason=None,
            **fields,
        )

    def kept_until(self, until: float) -> "StoredConnection":
        """The connection of a session, kept at least until this time, in seconds since 1970.

        A time earlier than its own has no effect: of several sessions that share a connection, the
        longest counts. Connections of owners have no end, and stay as they are.
        """
        if self.keep_until is None or self.keep_until >= until:
            return self
        return replace(self, keep_until=until)

    def seconds_to_keep(self, now: float) -> float:
        """Its time to live in the store."""
        if self.keep_until is not None:
            return max(_SHORTEST_SECONDS, self.keep_until - now)
        if self.reconnect_by is not None:
            return max(0.0, self.reconnect_by - now) + _TELL_SECONDS
        return _UNLIMITED_SECONDS

    def is_idle(self, now: float, within: float) -> bool:
        """Whether it is alive and ends within `within` seconds unless it is refreshed.

        A connection dated by a clock that was ahead counts as idle: its real end is not known.
        Connections of sessions end with their sessions, so they are never idle.
        """
        if self.reason is not None or self.keep_until is not None or self.reconnect_by is None:
            return False
        return self.reconnect_by <= now + within or self.comes_from_the_future(now)

    def to_bytes(self) -> bytes:
        """Serialise."""
        return json.dumps({"v": _FORMAT, **asdict(self)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "StoredConnection | None":
        """Deserialise. Returns None for a tombstone. Unknown fields are ignored.

        Raises:
            UnknownRecordFormat: a newer version wrote it, and it cannot be understood.
        """
        stored = decode(data, newest=_FORMAT)
        if stored.get("gone"):
            return None
        known = known_fields(cls, stored)
        for name, kind in (("user", User), ("marker", Marker)):
            if known.get(name) is not None:
                known[name] = kind(**known[name])
        if known.get("reason") is not None:
            known["reason"] = Reason(known["reason"])
        return cls(**known)


def ttl_unless_idle(within: float) -> tuple[float, float]:
    """The range of times to live, in seconds, that a search for idle connections may skip.

    A connection's time to live follows from `reconnect_by`, so a store can leave out most
    connections without reading their records. An idle connection's time to live is below the range
    if the connection ends soon, or above if a clock that was ahead set its dates. If every
    connection may be idle, the range is empty.
    """
    kept_longer = _TELL_SECONDS + CLOCK_SLACK_SECONDS
    return min(within, _LIFETIME_SECONDS) + kept_longer, _LIFETIME_SECONDS + kept_longer


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection without its tokens, as a host app sees it.

    Times are seconds since 1970.
    """

    id: str
    owner: str
    status: Status
    reason: Reason | None
    """Why it has ended; None if it has not."""
    user: User | None
    """The Airtable user who granted access; None if Airtable did not say."""
    scopes: tuple[str, ...]
    """The scopes that were granted."""
    expires_at: float
    """When the access token expires. The service refreshes the token when it is used."""
    reconnect_by: float | None
    """When the connection ends if it is not used; None if Airtable does not say."""
    data: Any = field(default=None, repr=False)
    """JSON that the host provided when the login began, or passed to `AirtableOAuth.adopt`."""
    reconnected: bool = False
    """Whether its tokens come from a later login than the first.

    It is also true in the `on_connected` hook of a connection that was reported as ended and works
    again, although its tokens then come from a refresh.
    """

    @classmethod
    def of(cls, record: StoredConnection) -> "Connection":
        """A stored connection, without its tokens."""
        return cls(
            id=record.id,
            owner=record.owner,
            status=record.status,
            reason=record.reason,
            user=record.user,
            scopes=tuple(record.scope.split()),
            expires_at=record.expires_at,
            reconnect_by=record.reconnect_by,
            data=record.data,
            reconnected=record.reconnected,
        )

    @classmethod
    def connected(cls, record: StoredConnection) -> "Connection":
        """The connection as the event of a login reports it.

        The status is `connected` even if a refresh has begun, because no event would say that the
        refresh has ended.
        """
        return cls.of(replace(record, marker=None))

    @classmethod
    def disconnected(cls, record: StoredConnection) -> "Connection":
        """The connection as the event of a disconnect reports it."""
        connection = cls.of(record)
        return replace(connection, status=Status.DISCONNECTED, reason=None)


def token_fields(tokens: TokenSet, now: float) -> dict[str, Any]:
    """The fields of a stored connection that come from a token response received at `now`."""
    life = tokens.refresh_expires_in
    return {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "scope": tokens.scope,
        "expires_at": now + tokens.expires_in,
        "reconnect_by": None if life is None else now + life,
        "obtained_at": now,
    }
