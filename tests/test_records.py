import json
from dataclasses import replace

import pytest

from airtable_oauth.errors import UnknownRecordFormat
from airtable_oauth.records import ConnectionRecord, Marker, Reason, Records, Status, User
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import FakeClock

DAY = 86400.0
NOW = 1_000_000.0
RECORD = ConnectionRecord(
    id="con_1",
    owner="somebody",
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
def test_record_comes_back_as_it_was(record: ConnectionRecord) -> None:
    """Every field."""
    assert ConnectionRecord.from_bytes(record.to_bytes()) == record


def test_record_of_a_somewhat_newer_version_is_understood() -> None:
    """Processes are updated one after the other."""
    stored = json.loads(RECORD.to_bytes()) | {"new_field": 1}
    assert ConnectionRecord.from_bytes(json.dumps(stored).encode()) == RECORD


def test_record_of_a_new_format_is_left_alone() -> None:
    """Nobody is sent away because one process is older than another."""
    stored = json.loads(RECORD.to_bytes()) | {"v": 2}
    with pytest.raises(UnknownRecordFormat):
        ConnectionRecord.from_bytes(json.dumps(stored).encode())


def test_tokens_are_in_no_representation() -> None:
    """Of a record in a traceback or a log."""
    assert "oaa" not in repr(RECORD)
    assert "oar" not in repr(RECORD)


@pytest.mark.parametrize(
    ("record", "now", "status"),
    [
        (RECORD, NOW, (Status.CONNECTED, None)),
        (RECORD, NOW + 59 * DAY, (Status.CONNECTED, None)),
        (RECORD, NOW + 60 * DAY, (Status.RECONNECT_REQUIRED, Reason.EXPIRED)),
        (
            replace(RECORD, reconnect_by=NOW + 60, marker=Marker(1, NOW)),
            NOW + 100,
            (Status.REFRESHING, None),
        ),
        (replace(RECORD, reconnect_by=None), NOW + 999 * DAY, (Status.CONNECTED, None)),
        (
            replace(RECORD, reason=Reason.REVOKED, marker=Marker(1, NOW)),
            NOW,
            (Status.RECONNECT_REQUIRED, Reason.REVOKED),
        ),
    ],
)
def test_status(record: ConnectionRecord, now: float, status: tuple[Status, Reason | None]) -> None:
    """An access token that lives on outlasts the refresh token that is over."""
    assert record.status(now) == status


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (RECORD, 90 * DAY),
        (replace(RECORD, keep_until=NOW + 7 * DAY), 7 * DAY),
        (replace(RECORD, reconnect_by=None), 400 * DAY),
        (replace(RECORD, keep_until=NOW - 5), 1.0),
    ],
)
def test_record_outlives_its_refresh_token_or_ends_with_its_sessions(
    record: ConnectionRecord, seconds: float
) -> None:
    """Thirty days to say that it has ended; nothing is kept for ever."""
    assert record.seconds_to_keep(NOW) == seconds


async def test_tombstone_reads_as_absent_and_cannot_be_replaced(clock: FakeClock) -> None:
    """By anyone who read the record before."""
    records = Records(MemoryStore(clock=clock), "airtable")
    await records.put(RECORD, NOW)
    found = await records.load("con_1")
    assert found is not None
    assert await records.entomb("con_1", version=found.version)
    assert await records.load("con_1") is None
    assert not await records.replace(RECORD, NOW, version=found.version)
    assert [record async for record in records.all()] == []
