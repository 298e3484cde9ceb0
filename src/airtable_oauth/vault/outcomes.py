"""The outcomes of a refresh, and what each does to a connection: `EFFECTS`. No I/O.

An outcome changes the marker and the reason. The status of the connection follows from these two:
see `StoredConnection.status`.
"""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum

from airtable_oauth.errors import (
    AirtableError,
    ClientRefused,
    InvalidGrant,
    NotSent,
    RefreshConflict,
)
from airtable_oauth.vault.model import LONGEST_RETRY, Marker, Reason, StoredConnection

_FIRST_RETRY = 10.0


class RefreshOutcome(StrEnum):
    """The outcome of an attempt to refresh the tokens. The log and the metric use these names."""

    RENEWED = "renewed"
    """Airtable answered with new tokens."""
    NOT_SENT = "not_sent"
    """The refresh token was not used.

    Airtable was not reached, or answered `invalid_client`, or this process was suspended before
    the call.
    """
    CONFLICT = "conflict"
    """Airtable answered 409: the refresh token was used a moment ago.

    As a rule another process used it and has the new tokens, so this one waits for them.
    """
    UNKNOWN = "unknown"
    """No usable answer: Airtable may have used the refresh token."""
    REVOKED = "revoked"
    """`invalid_grant`, and no earlier attempt is in doubt.

    The user or an administrator removed the integration in Airtable.
    """
    EXPIRED = "expired"
    """`invalid_grant` after the refresh token had expired."""
    ROTATION_LOST = "rotation_lost"
    """`invalid_grant` after an attempt whose outcome was unknown: its answer was lost."""


class MarkerEffect(Enum):
    """What happens to the marker that announced the attempt."""

    REMOVED = "removed"
    RESTORED = "as before"
    """The earlier marker, or none, as before this attempt."""
    POSTPONED = "stays"
    """It stays, and delays the next attempt.

    The delay is ten seconds at first, then twice as long each time, ten minutes at most.
    """


@dataclass(frozen=True, slots=True)
class Effect:
    """What an outcome does to a connection."""

    marker: MarkerEffect
    reason: Reason | None = None
    """Why the connection has ended, if it has. Then the event `reconnect_required` is emitted."""
    waits_for_peer: bool = False
    """Whether to wait first until another process has stored the new tokens."""


EFFECTS = {
    RefreshOutcome.RENEWED: Effect(MarkerEffect.REMOVED),
    RefreshOutcome.NOT_SENT: Effect(MarkerEffect.RESTORED),
    RefreshOutcome.CONFLICT: Effect(MarkerEffect.POSTPONED, waits_for_peer=True),
    RefreshOutcome.UNKNOWN: Effect(MarkerEffect.POSTPONED),
    RefreshOutcome.REVOKED: Effect(MarkerEffect.REMOVED, Reason.REVOKED),
    RefreshOutcome.EXPIRED: Effect(MarkerEffect.REMOVED, Reason.EXPIRED),
    RefreshOutcome.ROTATION_LOST: Effect(MarkerEffect.REMOVED, Reason.ROTATION_LOST),
}
"""One row per outcome. A test compares the table in `docs/deployment.md` with it."""


def outcome_of(error: AirtableError, record: StoredConnection, now: float) -> RefreshOutcome:
    """The outcome of an attempt that failed. `record` is the connection before the attempt.

    Only `invalid_grant` ends a connection.
    """
    if isinstance(error, InvalidGrant):
        return _end_of(record, now)
    if isinstance(error, NotSent) or error.error == ClientRefused.error:
        return RefreshOutcome.NOT_SENT
    if isinstance(error, RefreshConflict):
        return RefreshOutcome.CONFLICT
    return RefreshOutcome.UNKNOWN


def marker_after(
    effect: MarkerEffect, marker: Marker, earlier: Marker | None, now: float
) -> Marker | None:
    """The marker to store. `marker` belongs to this attempt; it replaced `earlier`."""
    if effect is MarkerEffect.REMOVED:
        return None
    if effect is MarkerEffect.RESTORED:
        return earlier
    pause = min(_FIRST_RETRY * 2 ** (marker.attempts - 1), LONGEST_RETRY)
    return replace(marker, retry_at=now + pause)


def _end_of(record: StoredConnection, now: float) -> RefreshOutcome:
    if record.marker is not None:
        return RefreshOutcome.ROTATION_LOST
    if record.reconnect_by is not None and now >= record.reconnect_by:
        return RefreshOutcome.EXPIRED
    return RefreshOutcome.REVOKED
