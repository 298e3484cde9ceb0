import json
from collections.abc import Awaitable, Callable

import pytest

from airtable_oauth.errors import StoreUnavailable, UnknownRecordFormat
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.web.sessions import Session, Sessions
from tests.helpers import FakeClock
from tests.world import FaultyStore, World

DAY = 86400.0
KEY = storage_key("airtable", "session", "s")
WRITTEN = [
    b'{"v": 1, "session": ["con_1", "airtable:login:x", 1000.0, 2000.0]}',
    (
        b'{"v": 1, "connection_id": "con_1", "login_key": "airtable:login:x",'
        b' "created_at": 1000.0, "touched_at": 2000.0}'
    ),
    (
        b'{"v": 1, "connection_id": "con_1", "login_key": "airtable:login:x",'
        b' "created_at": 1000.0, "touched_at": 2000.0, "new": {"a": 1}}'
    ),
]


@pytest.fixture
def faulty(store: MemoryStore) -> FaultyStore:
    return FaultyStore(store)


@pytest.fixture
def sessions(faulty: FaultyStore, clock: FakeClock) -> Sessions:
    return make_sessions(faulty, clock, nothing)


def make_sessions(
    store: FaultyStore, clock: FakeClock, prolong: Callable[[str, float], Awaitable[None]]
) -> Sessions:
    return Sessions(
        store=store,
        name="airtable",
        clock=StoreClock(store, clock),
        prolong=prolong,
        idle_ttl=14 * DAY,
        max_ttl=60 * DAY,
    )


async def nothing(_connection_id: str, _until: float) -> None:
    """Leave the connection's lifetime as it is."""


@pytest.mark.parametrize("stored", WRITTEN)
def test_session_of_another_version_is_understood(stored: bytes) -> None:
    """From before the fields had names, from this version, or from a somewhat newer one."""
    expected = Session("con_1", "airtable:login:x", created_at=1000.0, touched_at=2000.0)
    assert Session.from_bytes(stored) == expected
    assert Session.from_bytes(expected.to_bytes()) == expected


async def test_session_of_a_new_format_is_left_alone(
    sessions: Sessions, store: MemoryStore
) -> None:
    """Reading it as a session that has ended would make its user log in again."""
    await store.put(KEY, b'{"v": 2, "anything": true}', 600)
    with pytest.raises(UnknownRecordFormat):
        await sessions.get("s")
    assert await store.get(KEY) is not None


async def test_session_ends_by_its_record(
    sessions: Sessions, store: MemoryStore, clock: FakeClock
) -> None:
    """The record decides, even if the store keeps it longer, as after a restored backup."""
    now = clock()
    for created, touched in ((now - 15 * DAY, now - 14 * DAY), (now - 60 * DAY, now - DAY)):
        session = Session("con_1", "k", created_at=created, touched_at=touched)
        await store.put(KEY, session.to_bytes(), 600)
        assert await sessions.get("s") is None


@pytest.mark.parametrize("fails", ["session", "connection"])
async def test_touch_that_fails_does_not_fail_the_request(
    store: MemoryStore, faulty: FaultyStore, clock: FakeClock, fails: str
) -> None:
    """The next request tries again."""

    async def prolong(_connection_id: str, _until: float) -> None:
        if fails == "connection":
            raise StoreUnavailable

    sessions = make_sessions(faulty, clock, prolong)
    session_id = await sessions.create(connection_id="con_1", login_key="k")
    clock.advance(3600)
    if fails == "session":
        faulty.failing = {("session", "replace")}
    assert await sessions.get(session_id) is not None
    (key,) = [key async for key in store.scan("airtable:session")]
    entry = await store.get(key)
    assert entry is not None
    assert json.loads(entry.value)["touched_at"] == clock() - 3600
    faulty.failing, fails = set(), "nothing"
    assert await sessions.get(session_id) is not None
    entry = await store.get(key)
    assert entry is not None
    assert json.loads(entry.value)["touched_at"] == clock()


async def test_connection_is_prolonged_and_never_shortened() -> None:
    """The longest of several sessions counts, and a refresh keeps the date."""
    world = World()
    connection = await world.connect(keep_seconds=DAY)
    now = world.clock()
    prolong = world.first.lifecycle.prolong
    for until, expected in ((now + 3 * DAY, 3), (now + 2 * DAY, 3), (now + 5 * DAY, 5)):
        await prolong(connection, until)
        assert (await world.record(connection)).keep_until == now + expected * DAY
    world.expire()
    await world.first.token(connection)
    assert (await world.record(connection)).keep_until == now + 5 * DAY


async def test_connection_is_prolonged_while_it_is_refreshed() -> None:
    """Neither the new date nor the new tokens are lost."""
    world = World()
    connection = await world.connect(keep_seconds=DAY)
    until = world.clock() + 3 * DAY
    other = world.process()

    async def refresh() -> None:
        world.expire()
        await other.token(connection)

    world.first.store.meanwhile = refresh
    await world.first.lifecycle.prolong(connection, until)
    record = await world.record(connection)
    assert (record.generation, record.keep_until) == (2, until)


async def test_connection_of_an_owner_is_not_given_an_end() -> None:
    """Prolonging a connection that was disconnected does not restore it, either."""
    world = World()
    connection = await world.connect()
    await world.first.lifecycle.prolong(connection, world.clock() + DAY)
    assert (await world.record(connection)).keep_until is None
    await world.first.lifecycle.disconnect(connection)
    await world.first.lifecycle.prolong(connection, world.clock() + DAY)
    assert [each async for each in world.first.connections.all()] == []


async def test_clock_that_jumps_does_not_erase_a_connection() -> None:
    """A record written by a clock that is years ahead still exists an hour later."""
    world = World()
    connection = await world.connect(keep_seconds=DAY)
    record = await world.record(connection)
    found = await world.first.repository.load(connection)
    assert found is not None
    ahead = world.clock() + 1000 * DAY
    assert await world.first.repository.replace(record, ahead, version=found.version)
    world.clock.advance(3599)
    assert await world.record(connection)
