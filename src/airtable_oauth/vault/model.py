"""A connection as it is stored: its tokens, their generation, what is known of the last refresh.

The machine: `connected → refreshing → connected`, or `reconnect_required`, or gone.
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
"""How long a record outlives its refresh token, to say that it has ended."""
_UNLIMITED_SECONDS = 400 * _DAY
"""How long one lies unused whose server says nothing about the life of refresh tokens."""
_SHORTEST_SECONDS = 3600.0
"""The shortest time to live of a connection: a clock that jumps must not erase its tokens."""
CLOCK_SLACK_SECONDS = 60.0
"""How far the clocks of processes that share a store may be apart."""
LONGEST_RETRY = 600.0
"""Seconds between two attempts at most."""


class Status(StrEnum):
    """What a connection is good for."""

    CONNECTED = "connected"
    REFRESHING = "refreshing"
    """An attempt to renew the tokens is under way, or its outcome is unknown."""
    RECONNECT_REQUIRED = "reconnect_required"
    DISCONNECTED = "disconnected"
    """Its tokens were erased. Only events report it: such a connection is not listed."""


class Reason(StrEnum):
    """Why a connection has ended."""

    REVOKED = "revoked"
    """The user removed the integration in Airtable, or an administrator did."""
    EXPIRED = "expired"
    """Nobody used it for as long as a refresh token lives: 60 days."""
    ROTATION_LOST = "rotation_lost"
    """Airtable renewed the tokens, and its answer was lost on the way."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Written ahead of a refresh; it stands until the outcome is known."""

    attempts: int
    """Attempts with this refresh token whose outcome is unknown, this one included."""
    retry_at: float
    """When the next attempt may begin, in seconds since 1970."""

    def holds(self, now: float, term: float) -> bool:
        """Whether it still forbids an attempt. `term`: seconds that an attempt may take.

        A time that is further away than any marker's was written by a clock that was ahead.
        """
        return now < self.retry_at <= now + max(term, LONGEST_RETRY) + CLOCK_SLACK_SECONDS


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """All that is known of a connection. Times are seconds since 1970 by the store's clock."""

    id: str
    owner: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scope: str
    expires_at: float
    """When the access token ends."""
    reconnect_by: float | None
    """When the refresh token ends if nobody uses it; None if the server does not say."""
    obtained_at: float
    """When this generation of tokens came."""
    keep_until: float | None = None
    """When the connection ends if its sessions are not used. None without sessions."""
    generation: int = 1
    by_force: bool = False
    """Whether this generation was asked for because Airtable rejected the one before."""
    user: User | None = None
    marker: Marker | None = None
    reason: Reason | None = None
    data: Any = field(default=None, repr=False)
    """The host's own, from the beginning of the login: JSON."""
    login: str = ""
    """Which login its tokens come from, however often they were renewed."""
    reconnected: bool = False
    """Whether that login was a later one than the connection's first."""

    @property
    def status(self) -> Status:
        """What it is good for. Only Airtable ends a connection, never a clock."""
        if self.reason is not None:
            return Status.RECONNECT_REQUIRED
        return Status.CONNECTED if self.marker is None else Status.REFRESHING

    def comes_from_the_future(self, now: float) -> bool:
        """Whether a clock that was ahead has dated its tokens: nothing is known of their life."""
        return self.obtained_at > now + CLOCK_SLACK_SECONDS

    def seconds_left(self, now: float) -> float:
        """How long its access token still lives, as far as that is known."""
        return 0.0 if self.comes_from_the_future(now) else self.expires_at - now

    def renewed(self, tokens: TokenSet, now: float, *, by_force: bool) -> "StoredConnection":
        """The next generation. A refresh token of unknown life lives as long as its predecessor."""
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

    def seconds_to_keep(self, now: float) -> float:
        """Its time to live in a store."""
        if self.keep_until is not None:
            return max(_SHORTEST_SECONDS, self.keep_until - now)
        if self.reconnect_by is not None:
            return max(0.0, self.reconnect_by - now) + _TELL_SECONDS
        return _UNLIMITED_SECONDS

    def to_bytes(self) -> bytes:
        """As it lies in the store."""
        return json.dumps({"v": _FORMAT, **asdict(self)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "StoredConnection | None":
        """From where it lay; None if a disconnected one lay there.

        Fields that this version does not know are left out.

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


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as a host app sees it: everything but the tokens.

    Times are seconds since 1970.
    """

    id: str
    owner: str
    status: Status
    reason: Reason | None
    """Why it has ended, where it has."""
    user: User | None
    """The Airtable user who granted access, if Airtable said who that is."""
    scopes: tuple[str, ...]
    """What was granted."""
    expires_at: float
    """When the access token ends; it is renewed before."""
    reconnect_by: float | None
    """When the connection ends if nobody uses it."""
    data: Any = field(default=None, repr=False)
    """What the host handed over when the login began: JSON."""
    reconnected: bool = False
    """Whether its tokens come from a later login than the one that created it."""

    @classmethod
    def of(cls, record: StoredConnection) -> "Connection":
        """What a record says."""
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
        """What the event of a login reports.

        A refresh may have begun since. It is left out, because no event follows when it ends.
        """
        return cls.of(replace(record, marker=None))

    @classmethod
    def disconnected(cls, record: StoredConnection) -> "Connection":
        """What the event of a disconnect reports."""
        connection = cls.of(record)
        return replace(connection, status=Status.DISCONNECTED, reason=None)


def token_fields(tokens: TokenSet, now: float) -> dict[str, Any]:
    """What a token answer that came at this time says, as fields of a record."""
    life = tokens.refresh_expires_in
    return {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "scope": tokens.scope,
        "expires_at": now + tokens.expires_in,
        "reconnect_by": None if life is None else now + life,
        "obtained_at": now,
    }
