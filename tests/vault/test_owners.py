"""One owner and one Airtable user have one connection."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import pytest

from airtable_oauth.airtable_api.user import User
from airtable_oauth.errors import NotConnected, UnknownRecordFormat, UpstreamError
from airtable_oauth.stores import Entry
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.owners import Noted, Owners
from airtable_oauth.vault.repository import ConnectionRepository
from tests.helpers import FakeClock
from tests.vault.test_model import RECORD
from tests.world import OWNER, Process, World

MINA, NOAH = User("usrMina"), User("usrNoah")
KEY = storage_key("airtable", "owner", OWNER)


@pytest.fixture
def world() -> World:
    return World()


async def connect(world: World, process: Process | None = None, user: User | None = MINA) -> str:
    """Log the owner in as this Airtable user and return the connection's id."""
    lifecycle = (process or world.first).lifecycle
    return (await lifecycle.connect(owner=OWNER, tokens=world.grant(), user=user)).id


async def ids(world: World) -> list[str]:
    return [each.id for each in await world.first.connections.of(OWNER)]


async def note(world: World, value: dict[str, Any]) -> None:
    """Overwrite the owner's index, as another version might."""
    await world.store.put(KEY, json.dumps(value).encode(), 1000)


class CountingStore(MemoryStore):
    """Counts the keys of each read of many."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.reads: list[int] = []

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        self.reads.append(len(keys))
        return await super().get_many(keys)


async def test_connections_of_an_owner_are_read_together(clock: FakeClock) -> None:
    """One round trip for each, one after the other, would be slow."""
    store = CountingStore(clock)
    records, owners = ConnectionRepository(store, "airtable"), Owners(store, "airtable")
    made = [replace(RECORD, id=f"con_{number}", owner=OWNER) for number in range(250)]
    for record in made:
        await records.add(record, clock())
        await owners.note(record)

    found = await Connections(records, owners).of(OWNER)
    assert [each.id for each in found] == [record.id for record in made]
    assert store.reads == [200, 50]


async def test_index_can_be_read_by_version_0_1(clock: FakeClock) -> None:
    """During a rolling update, version 0.1 reads `ids` of an index whose `v` is 1."""
    store = MemoryStore(clock=clock)
    owners = Owners(store, "airtable")
    assert await owners.claim(OWNER, "con_a", MINA, seen=Noted())
    assert await owners.claim(OWNER, "con_b", None, seen=Noted(("con_a",), {"con_a": "usrMina"}))
    entry = await store.get(KEY)
    assert entry is not None
    assert entry.value == (b'{"v": 1, "ids": ["con_a", "con_b"], "users": {"con_a": "usrMina"}}')


async def test_index_of_version_0_1_is_read(clock: FakeClock) -> None:
    """It lists no users. Unknown fields, which a later version may add, are ignored."""
    store = MemoryStore(clock=clock)
    owners = Owners(store, "airtable")
    await store.put(KEY, b'{"v": 1, "ids": ["con_a", "con_b"]}', 1000)
    assert await owners.noted(OWNER) == Noted(("con_a", "con_b"))
    await store.put(KEY, b'{"v": 1, "ids": ["con_a"], "users": {}, "later": [7]}', 1000)
    assert await owners.ids(OWNER) == ["con_a"]


async def test_index_of_a_new_format_is_left_alone(clock: FakeClock) -> None:
    """An older process must not overwrite an index that it does not understand."""
    store = MemoryStore(clock=clock)
    owners = Owners(store, "airtable")
    await store.put(KEY, b'{"v": 2, "connections": {}}', 1000)
    with pytest.raises(UnknownRecordFormat):
        await owners.ids(OWNER)
    with pytest.raises(UnknownRecordFormat):
        await owners.claim(OWNER, "con_a", MINA, seen=Noted())
    entry = await store.get(KEY)
    assert entry is not None
    assert entry.value == b'{"v": 2, "connections": {}}'


async def test_connection_is_found_where_the_index_has_no_users(world: World) -> None:
    """An index in the earlier format has no users, so the records are read to find the user."""
    first, second = await connect(world), await connect(world, user=NOAH)
    await note(world, {"v": 1, "ids": [first, second]})
    assert await connect(world, user=NOAH) == second
    assert await connect(world) == first
    assert await ids(world) == [first, second]


async def test_record_takes_precedence_over_the_index(world: World) -> None:
    """A process may crash after it gave a connection to another Airtable user."""
    first = await connect(world)
    await world.first.lifecycle.reconnect(
        first, owner=OWNER, tokens=world.grant(), user=NOAH, allow_other_user=True
    )
    await note(world, {"v": 1, "ids": [first], "users": {first: MINA.id}})
    second = await connect(world)
    assert second != first
    assert (await world.record(first)).user == NOAH


async def test_id_of_another_owner_in_the_index_is_passed_over(world: World) -> None:
    """A wrong index must not give one owner another owner's connection."""
    lifecycle = world.first.lifecycle
    foreign = await lifecycle.connect(owner="other", tokens=world.grant(), user=MINA)
    await note(world, {"v": 1, "ids": [foreign.id], "users": {foreign.id: MINA.id}})
    assert await connect(world) != foreign.id
    assert await world.record(foreign.id) == foreign


async def test_logins_at_the_same_moment_make_one_connection(world: World) -> None:
    """All processes get the same id, and only one of them creates the connection."""
    processes = [world.process() for _ in range(3)]
    made = await asyncio.gather(*(connect(world, each) for each in processes * 4))
    assert len(set(made)) == 1
    assert await ids(world) == [made[0]]
    record = await world.record(made[0])
    assert record.generation == 12
    assert world.works(record.access_token)


async def test_login_goes_on_where_another_process_died_after_its_claim(world: World) -> None:
    """The index names an id whose record was never stored. The login uses that id."""
    await world.first.owners.claim(OWNER, "con_claimed", MINA, seen=Noted())
    assert await connect(world) == "con_claimed"
    assert await ids(world) == ["con_claimed"]
    assert not (await world.record("con_claimed")).reconnected


@pytest.mark.parametrize("under", ["airtable:owner", "airtable:connection"])
@pytest.mark.parametrize(("verb", "user"), [("add", MINA), ("add", None), ("replace", MINA)])
async def test_lost_reply_makes_no_second_connection(
    world: World, verb: str, under: str, user: User | None
) -> None:
    """The lost reply is one about the index or the record, at a first or a second login.

    A second login of an unknown user is refused, so it is not a case here.
    """
    store = world.first.store
    first = await connect(world) if verb == "replace" else None
    store.lost, store.under = {verb}, under
    made = await connect(world, user=user)
    assert not store.lost
    assert await ids(world) == [made]
    assert (await world.record(made)).generation == (1 if first is None else 2)


async def test_login_of_unknown_user_is_refused_if_the_owner_has_a_connection(world: World) -> None:
    """Of two such logins at once, the second cannot know whether it is the same Airtable user."""
    outcomes = await asyncio.gather(
        *(connect(world, world.process(), None) for _ in range(2)), return_exceptions=True
    )
    (made,) = [each for each in outcomes if isinstance(each, str)]
    (refused,) = [each for each in outcomes if not isinstance(each, str)]
    assert isinstance(refused, UpstreamError)
    assert await ids(world) == [made]


@pytest.mark.parametrize("under", ["airtable:owner", "airtable:connection"])
async def test_disconnect_that_comes_before_the_tokens_are_replaced_wins(
    world: World, under: str
) -> None:
    """The login then creates a new connection, because it completed after the disconnect."""
    first = await connect(world)
    other = world.process()

    async def disconnect() -> None:
        await other.lifecycle.disconnect(first)

    world.first.store.meanwhile, world.first.store.under = disconnect, under
    second = await connect(world)
    assert second != first
    assert await ids(world) == [second]
    assert not (await world.record(second)).reconnected
    with pytest.raises(NotConnected):
        await world.first.connections.get(first)


async def test_tombstone_that_is_still_noted_is_not_revived(world: World) -> None:
    """A process may crash after the disconnect and before it updates the index."""
    first = await connect(world)
    noted = await world.first.owners.noted(OWNER)
    await world.first.lifecycle.disconnect(first)
    await note(world, {"v": 1, "ids": list(noted.ids), "users": dict(noted.users)})
    second = await connect(world)
    assert second != first
    assert await world.first.owners.ids(OWNER) == [second]


async def test_disconnects_and_logins_at_the_same_moment_leave_one_or_none(world: World) -> None:
    """In any order, the index never lists two live connections of the same user."""
    for _ in range(20):
        made = await connect(world)
        await asyncio.gather(
            connect(world, world.process()),
            world.process().lifecycle.disconnect(made),
            connect(world, world.process()),
        )
        assert len(await ids(world)) <= 1
        await connect(world)
        assert len(await ids(world)) == 1


async def test_second_login_wins_over_a_refresh_that_is_under_way(world: World) -> None:
    """The login's tokens are the newer ones, even if the refresh finishes later."""
    connection = await connect(world)
    world.expire()
    held, going = asyncio.Event(), asyncio.Event()

    async def hold(_request: httpx.Request) -> None:
        going.set()
        await held.wait()

    world.first.line.before = hold
    refresh = asyncio.create_task(world.first.token(connection))
    await going.wait()
    assert await connect(world, world.process()) == connection
    tokens = (await world.record(connection)).access_token
    held.set()
    assert await refresh == tokens
    assert (await world.record(connection)).access_token == tokens
    assert world.works(tokens)
