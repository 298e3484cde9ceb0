"""Refreshing: one request per refresh token, and no token pair lost that could have been stored."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import Slots
from airtable_oauth.errors import (
    AccessUnavailable,
    ClientRefused,
    NotConnected,
    ReconnectRequired,
    StoreUnavailable,
)
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.vault.events import Event
from airtable_oauth.vault.identity import Identities
from airtable_oauth.vault.model import Connection, Marker, Reason, Status, StoredConnection
from airtable_oauth.vault.repository import ConnectionRepository
from tests.world import OWNER, Quiet, VirtualTime, World


class Noting(Quiet):
    """Collects the ids of connections that ended, were renewed or were revived."""

    def __init__(
        self,
        *,
        ended: list[str] | None = None,
        renewed: list[str] | None = None,
        revived: list[str] | None = None,
    ) -> None:
        self._ended = [] if ended is None else ended
        self._renewed = [] if renewed is None else renewed
        self._revived = [] if revived is None else revived

    async def renewed(self, connection: StoredConnection) -> None:
        self._renewed.append(connection.id)

    async def ended(self, connection: StoredConnection) -> None:
        self._ended.append(connection.id)

    async def revived(self, connection: StoredConnection) -> None:
        self._revived.append(connection.id)


@pytest.fixture
def world() -> World:
    return World()


async def conclude(world: World, connection: str) -> None:
    """Store that the connection has ended, as another process would."""
    records = ConnectionRepository(world.store, "airtable")
    found = await records.require(connection)
    ended = replace(found.record, reason=Reason.ROTATION_LOST, marker=None)
    assert await records.replace(ended, world.clock(), version=found.version)


async def status_of(world: World, connection_id: str) -> tuple[Status, Reason | None]:
    connection = await world.first.connections.get(connection_id)
    return connection.status, connection.reason


async def test_token_with_enough_life_is_used_as_it_is(world: World) -> None:
    """A token that lasts for more than five minutes needs no refresh."""
    connection = await world.connect()
    token = await world.first.token(connection)
    world.clock.advance(3600 - 301)
    assert await world.first.token(connection) == token
    assert world.refreshes() == 0


async def test_token_near_its_end_is_renewed(world: World) -> None:
    """The refresh happens before Airtable would reject the token."""
    connection = await world.connect()
    token = await world.first.token(connection)
    world.clock.advance(3600 - 299)
    renewed = await world.first.token(connection)
    assert renewed != token
    assert world.works(renewed)
    assert (await world.record(connection)).generation == 2
    assert (await world.record(connection)).marker is None


async def test_hundred_calls_of_three_processes_are_one_refresh(world: World) -> None:
    connection = await world.connect()
    world.expire()
    processes = [world.first, world.process(), world.process()]
    calls = [process.token(connection) for process in processes for _ in range(34)]
    tokens = await asyncio.gather(*calls)
    assert len(set(tokens)) == 1
    assert world.works(tokens[0])
    assert world.refreshes() == 1


async def test_refresh_that_came_just_before_is_seen_under_the_lease(world: World) -> None:
    """A process reads the connection again after it acquires the lease."""
    connection = await world.connect()
    world.expire()
    late = world.process()
    take = late.store.add

    async def take_late(key: str, value: bytes, ttl: float) -> bool:
        await world.first.token(connection)
        return await take(key, value, ttl)

    late.store.add = take_late  # type: ignore[method-assign] # acquires the lease late
    token = await late.token(connection)
    assert token == (await world.record(connection)).access_token
    assert world.works(token)
    assert world.refreshes() == 1


async def test_what_another_process_stored_is_used_by_the_next_call(world: World) -> None:
    """No process keeps a record that it has read: a token that was replaced must not be sent."""
    connection = await world.connect()
    other = world.process()
    stale = await world.first.token(connection)
    world.clock.advance(3500)
    fresh = await other.token(connection)
    assert fresh != stale
    assert await world.first.token(connection) == fresh
    await other.lifecycle.disconnect(connection)
    with pytest.raises(NotConnected):
        await world.first.token(connection)
    assert world.refreshes() == 1


async def test_clocks_five_minutes_apart_cause_no_storm(world: World) -> None:
    """All processes use the store's clock."""
    connection = await world.connect()
    processes = [world.process(ahead=offset) for offset in (-300.0, 0.0, 300.0)]
    world.clock.advance(3600 - 299)
    for _ in range(3):
        for process in processes:
            assert world.works(await process.token(connection))
    assert world.refreshes() == 1


UNKNOWN: list[dict[str, Any]] = [
    {"drop": True},
    {"status": 500},
    {"status": 503, "body": "busy"},
    {"status": 429},
    {"status": 307, "headers": [("Location", "/")]},
    {"status": 403, "body": '{"error": "invalid_grant"}'},
    {"status": 400, "body": '{"error": "invalid_request"}'},
    {"status": 400, "body": '{"error": "unauthorized_client"}'},
    {"status": 404},
    {"junk": "html"},
    {"junk": "object"},
    {"junk": "missing token"},
]


@pytest.mark.parametrize("fault", UNKNOWN)
async def test_unknown_outcome_before_the_commit_keeps_the_connection(
    world: World, fault: dict[str, Any]
) -> None:
    """No user must reconnect. The next attempt, ten seconds later, succeeds."""
    connection = await world.connect()
    world.expire()
    planned = world.fault(**fault)
    with pytest.raises(AccessUnavailable) as caught:
        await world.first.token(connection)
    assert planned.fired == 1
    assert caught.value.retry_after == 10
    assert await status_of(world, connection) == (Status.REFRESHING, None)
    with pytest.raises(AccessUnavailable):
        await world.process().token(connection)
    assert world.refreshes() == 1
    world.clock.advance(10)
    assert world.works(await world.process().token(connection))
    assert world.refreshes() == 2
    assert await status_of(world, connection) == (Status.CONNECTED, None)


@pytest.mark.parametrize("fault", UNKNOWN)
async def test_unknown_outcome_after_the_commit_ends_as_rotation_lost(
    world: World, fault: dict[str, Any]
) -> None:
    """Airtable issued a new pair that never arrived, so the user must reconnect."""
    connection = await world.connect()
    world.expire()
    world.fault(commit=True, **fault)
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    world.clock.advance(11)
    with pytest.raises(ReconnectRequired) as caught:
        await world.first.token(connection)
    assert caught.value.reason == Reason.ROTATION_LOST
    assert await status_of(world, connection) == (
        Status.RECONNECT_REQUIRED,
        Reason.ROTATION_LOST,
    )
    assert world.refreshes() == 2
    with pytest.raises(ReconnectRequired):
        await world.first.token(connection)
    assert world.refreshes() == 2


async def test_attempts_become_rarer(world: World) -> None:
    """The pause doubles from ten seconds to ten minutes, until Airtable gives a definite answer."""
    connection = await world.connect()
    world.expire()
    world.fault(status=500, times=9)
    pauses: list[int | None] = []
    for _ in range(9):
        with pytest.raises(AccessUnavailable) as caught:
            await world.first.token(connection)
        pauses.append(caught.value.retry_after)
        world.clock.advance(caught.value.retry_after or 0)
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert world.works(await world.first.token(connection))


async def test_old_token_serves_while_it_lives(world: World) -> None:
    """Callers need not notice a refresh of unknown outcome."""
    connection = await world.connect()
    token = await world.first.token(connection)
    world.clock.advance(3600 - 30)
    world.fault(status=500)
    for _ in range(3):
        assert await world.first.token(connection) == token
    assert world.refreshes() == 1
    world.clock.advance(31)
    assert world.works(await world.first.token(connection))


async def test_unreachable_airtable_spends_nothing(world: World) -> None:
    """The marker is removed, so that a later `invalid_grant` does not read as a lost rotation."""
    connection = await world.connect()
    world.expire()
    world.first.line.cut = True
    for _ in range(2):
        with pytest.raises(AccessUnavailable):
            await world.first.token(connection)
    assert (await world.record(connection)).marker is None
    world.first.line.cut = False
    assert world.works(await world.first.token(connection))
    world.expire()
    world.first.line.cut = True
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    world.first.line.cut = False
    world.simulator.vault.revoke_all()
    with pytest.raises(ReconnectRequired) as caught:
        await world.first.token(connection)
    assert caught.value.reason == Reason.REVOKED


async def test_unreachable_airtable_leaves_an_earlier_marker(world: World) -> None:
    """The outcome of that earlier attempt is still unknown."""
    connection = await world.connect()
    world.expire()
    world.fault(drop=True, commit=True)
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    marker = (await world.record(connection)).marker
    world.clock.advance(11)
    world.first.line.cut = True
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    assert (await world.record(connection)).marker == marker
    world.first.line.cut = False
    with pytest.raises(ReconnectRequired) as caught:
        await world.first.token(connection)
    assert caught.value.reason == Reason.ROTATION_LOST


async def test_revoked_grant_ends_the_connection(world: World) -> None:
    """Only `invalid_grant` ends a connection. No further request follows."""
    connection = await world.connect()
    world.expire()
    world.simulator.vault.revoke_all()
    for _ in range(3):
        with pytest.raises(ReconnectRequired) as caught:
            await world.first.token(connection)
        assert caught.value.reason == Reason.REVOKED
    assert world.refreshes() == 1


async def test_unused_connection_expires(world: World) -> None:
    """Airtable reports this once, after sixty days. The record stays for thirty more days."""
    connection = await world.connect()
    world.clock.advance(60 * 86400 + 1)
    for _ in range(2):
        with pytest.raises(ReconnectRequired) as caught:
            await world.first.token(connection)
        assert caught.value.reason == Reason.EXPIRED
    world.clock.advance(29 * 86400)
    assert await status_of(world, connection) == (Status.RECONNECT_REQUIRED, Reason.EXPIRED)
    world.clock.advance(86400)
    with pytest.raises(NotConnected):
        await world.first.token(connection)
    assert world.refreshes() == 1


@pytest.mark.parametrize("days", [61, 365])
async def test_clock_that_is_ahead_for_a_while_ends_nothing(world: World, days: int) -> None:
    """Past `reconnect_by` the service still asks Airtable, and later ignores that clock's dates."""
    connection = await world.connect()
    ahead = world.process()
    ahead.store.ahead = days * 86400.0
    assert world.works(await ahead.token(connection))
    assert await status_of(world, connection) == (Status.CONNECTED, None)
    assert world.refreshes() == 1
    token = await world.first.token(connection)
    assert world.works(token)
    assert world.refreshes() == 2
    world.expire()
    assert world.works(await world.first.token(connection))
    assert world.refreshes() == 3


async def test_marker_of_a_clock_that_was_ahead_does_not_block(world: World) -> None:
    """The next attempt follows on time, although the marker is dated two months ahead."""
    connection = await world.connect()
    ahead = world.process()
    ahead.store.ahead = 61 * 86400.0
    world.fault(drop=True)
    with pytest.raises(AccessUnavailable):
        await ahead.token(connection)
    world.expire()
    assert world.works(await world.first.token(connection))


async def test_conflict_waits_for_the_peer_that_has_the_pair(world: World) -> None:
    """The call returns the pair that the peer stores, even if the peer is slow."""
    connection = await world.connect()
    record = await world.record(connection)
    world.expire()
    tokens = await world.first.refresher.token_endpoint.refresh(refresh_token=record.refresh_token)
    task = asyncio.ensure_future(world.first.token(connection))
    while world.refreshes() < 2:
        await asyncio.sleep(0)
    records = ConnectionRepository(world.store, "airtable")
    found = await records.load(connection)
    assert found is not None
    renewed = found.record.renewed(tokens, world.clock(), by_force=False)
    assert await records.replace(renewed, world.clock(), version=found.version)
    assert await task == tokens.access_token


async def test_conflict_without_a_peer_is_unknown(world: World) -> None:
    """The connection ends as a lost rotation when Airtable answers `invalid_grant`."""
    connection = await world.connect()
    record = await world.record(connection)
    world.expire()
    await world.first.refresher.token_endpoint.refresh(refresh_token=record.refresh_token)
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    assert (await world.record(connection)).marker is not None
    world.clock.advance(10)
    with pytest.raises(ReconnectRequired) as caught:
        await world.first.token(connection)
    assert caught.value.reason == Reason.ROTATION_LOST


async def test_second_process_sends_nothing_while_the_first_waits_for_a_peer() -> None:
    """The wait after a 409 ends before the lease and the marker, even if the 409 came late."""
    time = VirtualTime()
    world = World(clock=time)
    world.sleep = time.sleep  # type: ignore[method-assign] # this test advances the clock
    world.first.refresher.sleep = time.sleep
    connection = await world.connect()
    record = await world.record(connection)
    world.expire()
    await world.first.refresher.token_endpoint.refresh(refresh_token=record.refresh_token)
    held, going = asyncio.Event(), asyncio.Event()

    async def hold(_request: httpx.Request) -> None:
        going.set()
        await held.wait()

    world.first.line.before = hold
    waiting = asyncio.ensure_future(world.first.token(connection))
    await going.wait()
    time.advance(4)
    held.set()
    other = world.process()
    second = asyncio.ensure_future(other.token(connection))
    while not waiting.done():
        assert world.refreshes() <= 2
        await asyncio.sleep(0)
        time.advance(0.01)
    with pytest.raises(AccessUnavailable):
        await waiting
    while not second.done():
        await asyncio.sleep(0)
        time.advance(0.01)
    with pytest.raises(AccessUnavailable):
        await second
    assert world.refreshes() == 2


async def test_process_that_stood_still_before_it_sent_the_token_does_not_send_it(
    world: World,
) -> None:
    """Its marker has expired, so another process may have sent the same token."""
    connection = await world.connect()
    world.expire()
    store = world.first.store

    async def stand_still() -> None:
        world.clock.advance(world.first.refresher.term)

    store.meanwhile = stand_still
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    assert world.refreshes() == 0
    assert (await world.record(connection)).marker is None
    assert world.works(await world.first.token(connection))


async def test_lease_that_never_ends_is_ignored_in_time(world: World) -> None:
    """A clock that was ahead may leave one. Marker and generation still prevent a second use."""
    connection = await world.connect()
    world.expire()
    key = storage_key("airtable", "lease", "refresh", connection)
    await world.store.add(key, b"left behind", 61 * 86400)
    assert world.works(await world.first.token(connection))
    assert world.refreshes() == 1


async def test_refresh_waits_for_a_slot_before_it_writes_its_marker(world: World) -> None:
    """Waiting for a slot must not use up the term of the lease, the marker or the request."""
    connection = await world.connect()
    world.expire()
    world.first.refresher.token_endpoint = replace(
        world.first.refresher.token_endpoint, refresh_slots=(slots := Slots(1, patience=30))
    )
    slot = await slots.take()
    waiting = asyncio.ensure_future(world.first.token(connection))
    for _ in range(50):
        await asyncio.sleep(0)
    assert (await world.record(connection)).marker is None
    assert world.works(await world.process().token(connection))
    slot.close()
    assert world.works(await waiting)
    assert world.refreshes() == 1


async def test_refresh_without_a_slot_in_time_is_not_sent(world: World) -> None:
    """The stored connection does not change, and the caller may try again."""
    connection = await world.connect()
    before = await world.record(connection)
    world.expire()
    world.first.refresher.token_endpoint = replace(
        world.first.refresher.token_endpoint, refresh_slots=(slots := Slots(1, patience=0.01))
    )
    with await slots.take(), pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    assert world.refreshes() == 0
    assert await world.record(connection) == before


async def test_no_refresh_begins_once_the_process_is_about_to_end(world: World) -> None:
    """The refresh would be cut off halfway. Callers that wait for a slot get an error at once."""
    connection = await world.connect()
    world.expire()
    world.first.refresher.token_endpoint = replace(
        world.first.refresher.token_endpoint, refresh_slots=(slots := Slots(1, patience=30))
    )
    slot = await slots.take()
    waiting = asyncio.ensure_future(world.first.token(connection))
    await asyncio.sleep(0)
    slots.close()
    slot.close()
    with pytest.raises(AccessUnavailable):
        await waiting
    assert world.refreshes() == 0


async def test_token_for_a_library_lives_for_a_minute(world: World) -> None:
    """A token that lasts for less than a minute is used only for the service's own requests."""
    connection = await world.connect()
    world.clock.advance(3600 - 30)
    world.fault(status=500, times=2)
    assert await world.first.token(connection)
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection, at_least=60)
    world.clock.advance(10)
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection, at_least=60)
    world.clock.advance(20)
    world.simulator.faults.clear()
    token = await world.first.token(connection, at_least=60)
    assert (await world.record(connection)).expires_at - world.clock() > 60
    assert world.works(token)


async def test_refused_client_keeps_the_connection(world: World) -> None:
    """A wrong client secret is the operator's mistake, so no user must reconnect."""
    connection = await world.connect()
    world.expire()
    world.fault(status=401, body='{"error": "invalid_client"}')
    with pytest.raises(ClientRefused):
        await world.first.token(connection)
    assert await status_of(world, connection) == (Status.CONNECTED, None)
    assert world.works(await world.first.token(connection))


async def test_store_that_is_down_before_the_call_saves_the_token(world: World) -> None:
    """The marker cannot be written, so no request is sent."""
    connection = await world.connect()
    world.expire()
    store = world.first.store

    async def add_then_down(key: str, value: bytes, ttl: float) -> bool:
        stored = await store.store.add(key, value, ttl)
        store.down = True
        return stored

    store.add = add_then_down  # type: ignore[method-assign] # fails after the lease
    with pytest.raises(StoreUnavailable):
        await world.first.token(connection)
    assert world.refreshes() == 0
    assert world.works(await world.process().token(connection))


async def test_store_that_is_down_after_the_answer_gets_the_pair_when_it_is_back(
    world: World,
) -> None:
    """Callers get an error in the meantime, and the pair is stored later."""
    world.first.refresher.store_seconds = 0.05
    world.first.refresher.sleep = asyncio.sleep
    connection = await world.connect()
    world.expire()

    async def store_goes_down(_request: httpx.Request) -> None:
        world.first.store.down = True

    world.first.line.before = store_goes_down
    with pytest.raises(StoreUnavailable):
        await world.first.token(connection)
    assert (await world.record(connection)).generation == 1
    world.first.store.down, world.first.line.before = False, None
    await world.first.background.drain(5)
    assert (await world.record(connection)).generation == 2
    assert world.works(await world.first.token(connection))
    assert world.refreshes() == 1


@pytest.mark.parametrize("has_ended", [False, True])
async def test_pair_that_is_stored_late_is_followed_up(world: World, *, has_ended: bool) -> None:
    """The owner's index, the user and the hooks must not depend on a store that answers in time."""
    world.first.refresher.store_seconds = 0.05
    world.first.refresher.sleep = asyncio.sleep
    renewed: list[str] = []
    revived: list[str] = []
    world.first.refresher.after = Noting(renewed=renewed, revived=revived)
    connection = await world.connect()
    world.expire()

    async def store_goes_down(_request: httpx.Request) -> None:
        if has_ended:
            await conclude(world, connection)
        world.first.store.down = True

    world.first.line.before = store_goes_down
    with pytest.raises(StoreUnavailable):
        await world.first.token(connection)
    assert (renewed, revived) == ([], [])
    world.first.store.down = False
    await world.first.background.drain(5)
    assert (renewed, revived) == ([connection], [connection] if has_ended else [])


async def test_caller_that_goes_away_does_not_interrupt(world: World) -> None:
    """The caller may close a tab, or have a timeout of its own."""
    connection = await world.connect()
    world.expire()
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def arrive(_request: httpx.Request) -> None:
        arrived.set()
        await gone.wait()

    world.first.line.before = arrive
    task = asyncio.ensure_future(world.first.token(connection))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gone.set()
    await world.first.background.drain(5)
    assert (await world.record(connection)).generation == 2
    assert world.works(await world.first.token(connection))
    assert world.refreshes() == 1


async def test_disconnect_erases_tokens_that_changed_meanwhile(world: World) -> None:
    """Another process refreshes the tokens between this one's read and its write."""
    connection, other = await world.connect(), world.process()
    world.expire()
    world.first.store.meanwhile = lambda: other.token(connection)
    await world.first.lifecycle.disconnect(connection)
    assert world.refreshes() == 1
    with pytest.raises(NotConnected):
        await other.token(connection)


async def test_concurrent_disconnects_emit_one_event(world: World) -> None:
    """The second caller gets `NotConnected`."""
    connection, other = await world.connect(), world.process()
    emitted: list[str] = []

    async def note(gone: Connection) -> None:
        emitted.append(gone.id)

    for process in (world.first, other):
        process.hooks.add(Event.DISCONNECTED, note)
    world.first.store.meanwhile = lambda: other.lifecycle.disconnect(connection)
    with pytest.raises(NotConnected):
        await world.first.lifecycle.disconnect(connection)
    assert emitted == [connection]


async def test_reconnect_wins_over_a_refresh_that_is_under_way(world: World) -> None:
    """The reconnect's tokens are the newer ones, even if the refresh finishes later."""
    connection = await world.connect()
    world.expire()
    held, going = asyncio.Event(), asyncio.Event()

    async def hold(_request: httpx.Request) -> None:
        going.set()
        await held.wait()

    world.first.line.before = hold
    refresh = asyncio.create_task(world.first.token(connection))
    await going.wait()
    tokens = world.grant()
    await world.process().lifecycle.reconnect(connection, owner=OWNER, tokens=tokens, user=None)
    held.set()
    assert await refresh == tokens.access_token
    assert (await world.record(connection)).refresh_token == tokens.refresh_token
    assert await status_of(world, connection) == (Status.CONNECTED, None)


async def test_late_identity_does_not_replace_a_newer_one(world: World) -> None:
    """Airtable identified the user of the old tokens after a reconnect had replaced them."""
    connection = await world.connect()
    before = await world.record(connection)
    newer = User("usrNew")
    lifecycle = world.first.lifecycle
    await lifecycle.reconnect(connection, owner=OWNER, tokens=world.grant(), user=newer)

    async def whoami(_token: str) -> User | None:
        return User("usrOld")

    identities = Identities(
        world.first.repository, whoami, world.first.refresher.clock, world.sleep
    )
    assert (await identities.identify(before)).user == User("usrOld")
    assert (await world.record(connection)).user == newer


async def test_reconnect_is_stored_once_the_store_is_back(world: World) -> None:
    """The authorization code is spent, so the tokens must not be lost."""
    connection = await world.connect()
    tokens = world.grant()
    world.first.store.lost = {"replace"}
    await world.first.lifecycle.reconnect(connection, owner=OWNER, tokens=tokens, user=None)
    assert await world.first.token(connection) == tokens.access_token


@pytest.mark.parametrize("reconnects", [False, True])
async def test_lost_reply_does_not_bring_spent_tokens_back(
    world: World, *, reconnects: bool
) -> None:
    """Another process refreshes the new tokens before the login learns that they were stored."""
    other = world.process()
    tokens = world.grant()
    connection = await world.connect() if reconnects else ""
    writes = "replace" if reconnects else "add"

    async def lose(verb: str, arguments: tuple[Any, ...]) -> None:
        if verb == writes and b"access_token" in arguments[1]:
            world.first.store.afterwards = None
            (found,) = [each async for each in other.connections.all()]
            world.expire()
            await other.token(found.id)
            raise StoreUnavailable

    world.first.store.afterwards = lose
    lifecycle = world.first.lifecycle
    if reconnects:
        await lifecycle.reconnect(connection, owner=OWNER, tokens=tokens, user=None)
    else:
        connection = (await lifecycle.create(owner=OWNER, tokens=tokens)).id
    assert world.refreshes() == 1
    assert world.works(await other.token(connection))
    world.expire()
    assert world.works(await other.token(connection))


async def test_notice_of_a_disconnect_survives_a_lost_reply(world: World) -> None:
    """The disconnect took effect, so its event is emitted."""
    emitted: list[str] = []

    async def note(connection: Connection) -> None:
        emitted.append(connection.id)

    world.first.hooks.add(Event.DISCONNECTED, note)
    connection = await world.connect()
    world.first.store.lost = {"replace"}
    await world.first.lifecycle.disconnect(connection)
    assert emitted == [connection]
    assert not world.first.store.lost


async def test_notice_of_an_end_survives_a_lost_reply(world: World) -> None:
    """The end is stored at the second attempt, and its event is emitted once."""
    emitted: list[str] = []

    async def lose(_request: httpx.Request) -> None:
        world.first.store.lost = {"replace"}

    world.first.refresher.after = Noting(ended=emitted)
    world.first.line.before = lose
    connection = await world.connect()
    world.clock.advance(61 * 86400)
    with pytest.raises(ReconnectRequired):
        await world.first.token(connection)
    await world.first.background.drain(5)
    assert emitted == [connection]
    assert not world.first.store.lost


async def test_disconnect_is_finished_though_its_caller_goes_away(world: World) -> None:
    """Otherwise no event would be emitted."""
    emitted: list[str] = []

    async def note(connection: Connection) -> None:
        emitted.append(connection.id)

    world.first.hooks.add(Event.DISCONNECTED, note)
    connection = await world.connect()

    async def leave() -> None:
        task.cancel()

    world.first.store.meanwhile = leave
    task = asyncio.create_task(world.first.lifecycle.disconnect(connection))
    with pytest.raises(asyncio.CancelledError):
        await task
    await world.first.background.drain(5)
    assert emitted == [connection]
    assert await world.first.owners.ids(OWNER) == []


async def test_drain_waits_for_what_begins_meanwhile(world: World) -> None:
    """A running refresh may start another task, to store its pair once the store is back."""
    world.first.refresher.store_seconds = 0.01
    connection = await world.connect()
    world.expire()
    held, going = asyncio.Event(), asyncio.Event()

    async def hold(_request: httpx.Request) -> None:
        going.set()
        await held.wait()
        world.first.store.down = True

    world.first.line.before = hold
    refresh = asyncio.create_task(world.first.token(connection))
    await going.wait()
    drain = asyncio.create_task(world.first.background.drain(30))
    held.set()
    with pytest.raises(StoreUnavailable):
        await refresh
    for _ in range(100):
        await asyncio.sleep(0)
    world.first.store.down = False
    await drain
    assert (await world.record(connection)).generation == 2


async def test_disconnect_wins_over_a_refresh_that_is_under_way(world: World) -> None:
    """A tombstone is final."""
    connection = await world.connect()
    world.expire()

    async def disconnect(_request: httpx.Request) -> None:
        await world.process().lifecycle.disconnect(connection)

    world.first.line.before = disconnect
    with pytest.raises(NotConnected):
        await world.first.token(connection)
    await world.first.background.drain(5)
    assert await ConnectionRepository(world.store, "airtable").load(connection) is None


@pytest.mark.parametrize("verb", ["replace", "add", "get", "discard"])
async def test_lost_reply_of_the_store_loses_no_pair(world: World, verb: str) -> None:
    """Finding its own pair in the store counts as success, whichever operation lost its reply."""
    connection = await world.connect()
    world.expire()

    async def lose(_request: httpx.Request) -> None:
        world.first.store.lost = {verb}

    world.first.line.before = lose
    assert world.works(await world.first.token(connection))
    assert (await world.record(connection)).generation == 2
    assert world.refreshes() == 1


async def test_lost_reply_to_the_marker_sends_nothing(world: World) -> None:
    """It counts as an attempt of unknown outcome. The next one waits until the marker expires."""
    connection = await world.connect()
    world.expire()
    world.first.store.lost = {"replace"}
    with pytest.raises(StoreUnavailable):
        await world.first.token(connection)
    assert world.refreshes() == 0
    with pytest.raises(AccessUnavailable) as caught:
        await world.first.token(connection)
    world.clock.advance(caught.value.retry_after or 0)
    assert world.works(await world.first.token(connection))


async def test_late_pair_overwrites_what_others_concluded(world: World) -> None:
    """A slow answer still has the newest pair. Only a tombstone or a newer generation wins."""
    connection = await world.connect()
    world.expire()

    emitted: list[str] = []
    world.first.line.before = lambda _request: conclude(world, connection)
    world.first.refresher.after = Noting(revived=emitted)
    assert world.works(await world.first.token(connection))
    assert await status_of(world, connection) == (Status.CONNECTED, None)
    await world.first.background.drain(5)
    assert emitted == [connection]


async def test_late_pair_that_loses_to_a_reconnect_revives_nothing(world: World) -> None:
    """The user reconnects at that moment. The reconnect has an event of its own."""
    connection = await world.connect()
    world.expire()
    tokens = world.grant()

    async def reconnect() -> None:
        await world.process().lifecycle.reconnect(connection, owner=OWNER, tokens=tokens, user=None)

    async def others_conclude(_request: httpx.Request) -> None:
        await conclude(world, connection)
        world.first.store.meanwhile = reconnect

    revived: list[str] = []
    world.first.line.before = others_conclude
    world.first.refresher.after = Noting(revived=revived)
    assert await world.first.token(connection) == tokens.access_token
    await world.first.background.drain(5)
    assert revived == []


async def test_late_failure_leaves_a_later_attempt_alone(world: World) -> None:
    """An attempt changes only its own marker."""
    connection = await world.connect()
    world.expire()
    later = Marker(attempts=7, retry_at=world.clock() + 500)

    async def another_attempt(_request: httpx.Request) -> None:
        records = ConnectionRepository(world.store, "airtable")
        found = await records.load(connection)
        assert found is not None
        marked = replace(found.record, marker=later)
        assert await records.replace(marked, world.clock(), version=found.version)

    world.first.line.before = another_attempt
    world.fault(status=500)
    with pytest.raises(AccessUnavailable):
        await world.first.token(connection)
    assert (await world.record(connection)).marker == later


async def test_invalid_grant_after_a_peer_won_does_not_end_the_connection(world: World) -> None:
    """A newer generation overrides it."""
    connection = await world.connect()
    record = await world.record(connection)
    world.expire()

    async def peer_wins(_request: httpx.Request) -> None:
        world.first.line.before = None
        tokens = await world.first.refresher.token_endpoint.refresh(
            refresh_token=record.refresh_token
        )
        records = ConnectionRepository(world.store, "airtable")
        found = await records.load(connection)
        assert found is not None
        renewed = found.record.renewed(tokens, world.clock(), by_force=False)
        assert await records.replace(renewed, world.clock(), version=found.version)
        world.clock.advance(11)  # past the ten seconds in which Airtable answers 409

    world.first.line.before = peer_wins
    assert world.works(await world.first.token(connection))
    assert await status_of(world, connection) == (Status.CONNECTED, None)


async def test_crash_in_the_middle_is_left_to_others_after_the_lease(world: World) -> None:
    """A crashed process blocks the others only until its lease expires."""
    connection = await world.connect()
    world.expire()
    crashed = world.process()
    stuck = asyncio.Event()

    async def crash(_request: httpx.Request) -> None:
        stuck.set()
        await asyncio.Event().wait()

    crashed.line.before = crash
    task = asyncio.ensure_future(crashed.token(connection))
    await stuck.wait()
    crashed.store.down = True  # the crashed process can no longer write
    began = world.clock()
    assert world.works(await world.first.token(connection))
    assert world.first.refresher.term <= world.clock() - began < 1.5 * world.first.refresher.term
    assert world.refreshes() == 1
    task.cancel()


async def test_term_outlives_the_call_and_its_writes(world: World) -> None:
    """Otherwise a second process would start while the first is still busy."""
    refresher = world.first.refresher
    assert refresher.term >= refresher.token_endpoint.deadline + 6


# A token that Airtable's Web API rejected


async def test_rejected_token_that_was_renewed_meanwhile_is_only_reloaded(world: World) -> None:
    """This happens to a request that is in flight during a refresh."""
    connection = await world.connect()
    used = await world.first.access_tokens.ensure_fresh(connection)
    world.clock.advance(3600 - 299)
    renewed = await world.process().token(connection)
    assert await world.first.token(connection, rejected=used) == renewed
    assert world.refreshes() == 1


async def test_rejected_token_is_renewed_by_force_once(world: World) -> None:
    """No second one follows within a minute, unless Airtable has accepted the new token."""
    connection = await world.connect()
    used = await world.first.access_tokens.ensure_fresh(connection)
    calls = (world.first.access_tokens.ensure_fresh(connection, rejected=used) for _ in range(20))
    forced = (await asyncio.gather(*calls))[0]
    assert forced.generation == 2
    assert world.refreshes() == 1
    for _ in range(3):
        assert await world.first.access_tokens.ensure_fresh(connection, rejected=forced) == forced
    assert world.refreshes() == 1
    world.clock.advance(61)
    again = await world.first.access_tokens.ensure_fresh(connection, rejected=forced)
    assert again.generation == 3


async def test_token_that_worked_may_be_renewed_by_force_again(world: World) -> None:
    """This also holds in a process that did not see the token work."""
    connection = await world.connect()
    used = await world.first.access_tokens.ensure_fresh(connection)
    forced = await world.first.access_tokens.ensure_fresh(connection, rejected=used)
    world.first.access_tokens.mark_accepted(forced)
    await world.first.background.drain(5)
    again = await world.process().access_tokens.ensure_fresh(connection, rejected=forced)
    assert again.generation == 3


async def test_rejected_token_of_a_revoked_grant_ends_the_connection(world: World) -> None:
    connection = await world.connect()
    used = await world.first.access_tokens.ensure_fresh(connection)
    world.simulator.vault.revoke_all()
    with pytest.raises(ReconnectRequired) as caught:
        await world.first.access_tokens.ensure_fresh(connection, rejected=used)
    assert caught.value.reason == Reason.REVOKED


async def test_rejected_token_is_not_used_again(world: World) -> None:
    """If the refresh fails, the rejected token is not used again, even before it expires."""
    connection = await world.connect()
    used = await world.first.access_tokens.ensure_fresh(connection)
    world.fault(status=500)
    with pytest.raises(AccessUnavailable):
        await world.first.access_tokens.ensure_fresh(connection, rejected=used)


async def test_short_lived_tokens_are_not_renewed_all_the_time(world: World) -> None:
    """If a token lasts for a minute, it is refreshed when a tenth of its lifetime is left."""
    tokens = replace(world.grant(), expires_in=60)
    record = await world.first.lifecycle.create(owner=OWNER, tokens=tokens)
    world.clock.advance(50)
    assert await world.first.token(record.id) == tokens.access_token
    world.clock.advance(5)
    assert await world.first.token(record.id) != tokens.access_token
