"""The table of refresh outcomes."""

import re
from pathlib import Path

import pytest

from airtable_oauth.errors import (
    AirtableError,
    ClientRefused,
    InvalidGrant,
    NotSent,
    RefreshConflict,
    TokenRequestRefused,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.vault.model import Marker, StoredConnection
from airtable_oauth.vault.outcomes import (
    EFFECTS,
    MarkerEffect,
    RefreshOutcome,
    marker_after,
    outcome_of,
)

DOCS = Path(__file__).parents[2] / "docs" / "deployment.md"
ROW = re.compile(r"^\| `(\w+)` \| .* \| ([a-z ]+) \| ([a-z ]+) \|$", re.MULTILINE)
MARKER = Marker(attempts=1, retry_at=50.0)


def connection(
    marker: Marker | None = None, reconnect_by: float | None = 100.0
) -> StoredConnection:
    return StoredConnection(
        *("con_1", "owner", "access", "refresh", "scope"),
        expires_at=60.0,
        reconnect_by=reconnect_by,
        obtained_at=0.0,
        marker=marker,
    )


def test_documented_table_is_the_one_of_the_code() -> None:
    documented = {
        (outcome, marker, "ended" if state == "ended" else "open")
        for outcome, marker, state in ROW.findall(DOCS.read_text())
        if outcome in set(RefreshOutcome)
    }
    assert documented == {
        (outcome, effect.marker.value, "ended" if effect.reason else "open")
        for outcome, effect in EFFECTS.items()
    }
    assert set(EFFECTS) == set(RefreshOutcome)


def test_outcomes_that_end_a_connection_are_named_after_the_reason() -> None:
    for outcome, effect in EFFECTS.items():
        assert effect.reason is None or effect.reason.value == outcome.value


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotSent(), RefreshOutcome.NOT_SENT),
        (ClientRefused(), RefreshOutcome.NOT_SENT),
        (ClientRefused("unauthorized_client"), RefreshOutcome.UNKNOWN),
        (RefreshConflict(), RefreshOutcome.CONFLICT),
        (TokenRequestRefused(), RefreshOutcome.UNKNOWN),
        (UpstreamError(), RefreshOutcome.UNKNOWN),
        (UpstreamTimeout(), RefreshOutcome.UNKNOWN),
        (InvalidGrant(), RefreshOutcome.REVOKED),
    ],
)
def test_error_has_an_outcome(error: AirtableError, outcome: RefreshOutcome) -> None:
    assert outcome_of(error, connection(), now=10.0) is outcome


def test_invalid_grant_has_the_reason_that_explains_it() -> None:
    """An earlier attempt of unknown outcome is checked first, then the refresh token's expiry."""
    assert outcome_of(InvalidGrant(), connection(MARKER), 200.0) is RefreshOutcome.ROTATION_LOST
    assert outcome_of(InvalidGrant(), connection(), 100.0) is RefreshOutcome.EXPIRED
    assert (
        outcome_of(InvalidGrant(), connection(reconnect_by=None), 200.0) is RefreshOutcome.REVOKED
    )


def test_marker_after_an_attempt() -> None:
    """The pause doubles with each attempt of unknown outcome, up to ten minutes."""
    own = Marker(attempts=2, retry_at=60.0)
    assert marker_after(MarkerEffect.REMOVED, own, MARKER, 10.0) is None
    assert marker_after(MarkerEffect.RESTORED, own, MARKER, 10.0) == MARKER
    assert marker_after(MarkerEffect.POSTPONED, own, MARKER, 10.0) == Marker(2, 30.0)
    many = Marker(attempts=30, retry_at=60.0)
    assert marker_after(MarkerEffect.POSTPONED, many, None, 10.0) == Marker(30, 610.0)
