"""How refreshes end. `EFFECTS` says what each outcome does to a connection. Pure: no I/O."""

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
    """How an attempt to refresh the tokens ended. The log and the metric use these names."""

    RENEWED = "renewed"
    """Airtable gave a new pair."""
    NOT_SENT = "not_sent"
    """Airtable could not be reached, or answered `invalid_client`. It was not used."""
    CONFLICT = "conflict"
    """Airtable answered 409: another process has the new pair."""
    UNKNOWN = "unknown"
    """No usable answer: Airtable may have used the refresh token."""
    REVOKED = "revoked"
    """`invalid_grant`, and no earlier attempt is in doubt: the user removed the integration."""
    EXPIRED = "expired"
    """`invalid_grant` after the refresh token's life was over."""
    ROTATION_LOST = "rotation_lost"
    """`invalid_grant` after an attempt whose outcome was unknown: its answer was lost."""


class MarkerEffect(Enum):
    """What becomes of the marker that announced the attempt."""

    REMOVED = "removed"
    RESTORED = "as before"
    """As it was before this attempt, which may have found the marker of an earlier one."""
    POSTPONED = "stays"
    """It stays, and forbids the next attempt for ten seconds, twice as long after each attempt."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What an outcome does to a connection."""

    marker: MarkerEffect
    reason: Reason | None = None
    """Why the connection has ended, if it has. The event `reconnect_required` follows."""
    waits_for_peer: bool = False
    """Whether to wait first for another process to store the new pair."""


EFFECTS = {
    RefreshOutcome.RENEWED: Effect(MarkerEffect.REMOVED),
    RefreshOutcome.NOT_SENT: Effect(MarkerEffect.RESTORED),
    RefreshOutcome.CONFLICT: Effect(MarkerEffect.POSTPONED, waits_for_peer=True),
    RefreshOutcome.UNKNOWN: Effect(MarkerEffect.POSTPONED),
    RefreshOutcome.REVOKED: Effect(MarkerEffect.REMOVED, Reason.REVOKED),
    RefreshOutcome.EXPIRED: Effect(MarkerEffect.REMOVED, Reason.EXPIRED),
    RefreshOutcome.ROTATION_LOST: Effect(MarkerEffect.REMOVED, Reason.ROTATION_LOST),
}
"""One row for each outcome. The table in `docs/deployment.md` is compared with it."""


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
    """The marker to store. `marker` is this attempt's, `earlier` the one that it replaced."""
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
