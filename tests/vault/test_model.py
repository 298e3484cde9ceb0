import json
from dataclasses import replace

import pytest

from airtable_oauth.airtable_api.user import User
from airtable_oauth.errors import UnknownRecordFormat
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.model import Marker, Reason, Status, StoredConnection
from airtable_oauth.vault.repository import ConnectionRepository
from tests.helpers import FakeClock

DAY = 86400.0
NOW = 1_000_000.0
RECORD = StoredConnection(
    id="con_1",
    owner="user-1",
    access_token="oaa",
    refresh_token="oar",
    scope="a:read b:read",
    expires_at=NOW + 3600,
    reconnect_by=NOW + 60 * DAY,
    obtained_at=NOW,
)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, reconnect_by=None, keep_until=NOW + 5, generation=7, by_force=True),
        replace(RECORD, user=User("usr1", "a@b.c"), marker=Marker(3, NOW + 10)),
        replace(RECORD, user=User("usr1"), reason=Reason.ROTATION_LOST),
    ],
)
def test_record_comes_back_as_it_was(record: StoredConnection) -> None:
    assert StoredConnection.from_bytes(record.to_bytes()) == record


def test_record_of_a_somewhat_newer_version_is_understood() -> None:
    """During a rolling update, processes of two versions share the store."""
    stored = json.loads(RECORD.to_bytes()) | {"new_field": 1}
    assert StoredConnection.from_bytes(json.dumps(stored).encode()) == RECORD


def test_record_of_a_new_format_is_left_alone() -> None:
    """During a rolling update, an older process must not disconnect a user."""
    stored = json.loads(RECORD.to_bytes()) | {"v": 2}
    with pytest.raises(UnknownRecordFormat):
        StoredConnection.from_bytes(json.dumps(stored).encode())


def test_tokens_are_in_no_representation() -> None:
    """A repr ends up in tracebacks and logs."""
    assert "oaa" not in repr(RECORD)
    assert "oar" not in repr(RECORD)


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (RECORD, Status.CONNECTED),
        (replace(RECORD, reconnect_by=NOW - DAY), Status.CONNECTED),
        (replace(RECORD, marker=Marker(1, NOW)), Status.REFRESHING),
        (replace(RECORD, reason=Reason.REVOKED, marker=Marker(1, NOW)), Status.RECONNECT_REQUIRED),
    ],
)
def test_status(record: StoredConnection, status: Status) -> None:
    """Only an answer of Airtable ends a connection. The clock alone never does."""
    assert record.status is status


@pytest.mark.parametrize(
    ("now", "seconds"), [(NOW, 3600), (NOW + 3000, 600), (NOW - 30, 3630), (NOW - 61 * DAY, 0)]
)
def test_expiry_set_by_a_clock_ahead_is_not_trusted(now: float, seconds: float) -> None:
    """A small difference between clocks is accepted; two months are not."""
    assert RECORD.seconds_left(now) == seconds


@pytest.mark.parametrize("now", [NOW, NOW + 59 * DAY, NOW + 91 * DAY, NOW + 400 * DAY])
def test_record_is_kept_for_thirty_days_whatever_the_clock_says(now: float) -> None:
    """A clock that is a year ahead for a minute must not erase a connection."""
    assert RECORD.seconds_to_keep(now) >= 30 * DAY


def test_refresh_token_of_unknown_life_lives_as_long_as_the_one_before() -> None:
    """Otherwise idle maintenance would not refresh the connection in time."""
    tokens = TokenSet("a", "r", "s", expires_in=3600, refresh_expires_in=None)
    renewed = RECORD.renewed(tokens, NOW + DAY, by_force=False)
    assert renewed.reconnect_by == NOW + 61 * DAY


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (RECORD, 90 * DAY),
        (replace(RECORD, keep_until=NOW + 7 * DAY), 7 * DAY),
        (replace(RECORD, reconnect_by=None), 400 * DAY),
        (replace(RECORD, keep_until=NOW - 5), 3600.0),
    ],
)
def test_record_outlives_its_refresh_token_or_ends_with_its_sessions(
    record: StoredConnection, seconds: float
) -> None:
    """The record outlives its refresh token by thirty days, to report why the connection ended."""
    assert record.seconds_to_keep(NOW) == seconds


async def test_tombstone_reads_as_absent_and_cannot_be_replaced(clock: FakeClock) -> None:
    """A process that read the record earlier cannot overwrite the tombstone."""
    records = ConnectionRepository(MemoryStore(clock=clock), "airtable")
    await records.put(RECORD, NOW)
    found = await records.load("con_1")
    assert found is not None
    assert await records.tombstone("con_1", version=found.version)
    assert await records.load("con_1") is None
    assert not await records.replace(RECORD, NOW, version=found.version)
    assert [record async for record in records.all()] == []
