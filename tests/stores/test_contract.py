"""The contract of every store."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Any

import pytest

from airtable_oauth.stores import Store, Turn
from tests.stores.backends import Backend

KEY = "airtable:login:one"
ROUNDS = pytest.mark.parametrize(
    "round_number", [0, *(pytest.param(n, marks=pytest.mark.thorough) for n in range(1, 3))]
)


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.store


async def at_once(store: Store, verb: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Fifty calls that all start before the first one is answered."""
    for _ in range(2):  # opens the connections, so that the calls do not queue for them
        await asyncio.gather(*(store.get("airtable:login:none") for _ in range(50)))
    return list(await asyncio.gather(*(verb(number) for number in range(50))))


async def put_all(store: Store, keys: Iterable[str], ttl: float = 60) -> None:
    left = iter(keys)
    while batch := list(islice(left, 50)):
        await asyncio.gather(*(store.put(key, b"v", ttl) for key in batch))


async def version_of(store: Store, key: str = KEY) -> bytes:
    entry = await store.get(key)
    assert entry is not None
    return entry.version


async def test_nothing_is_there_at_first(store: Store) -> None:
    """Every operation treats a key that was never stored as absent."""
    assert await store.get(KEY) is None
    assert await store.pop(KEY) is None
    assert not await store.discard(KEY, version=b"x")
    assert not await store.replace(KEY, b"new", 60, version=b"x")
    assert await store.get(KEY) is None


@pytest.mark.parametrize("value", [b"v", b"", bytes(range(256)), b"x" * 100_000])
async def test_value_comes_back_as_it_was(store: Store, value: bytes) -> None:
    """A value may be any bytes, including none."""
    await store.put(KEY, value, 60)
    entry = await store.get(KEY)
    assert entry is not None
    assert entry.value == value
    assert await store.pop(KEY) == value


async def test_put_overwrites(store: Store) -> None:
    await store.put(KEY, b"old", 60)
    await store.put(KEY, b"new", 60)
    assert await store.pop(KEY) == b"new"


async def test_add_stores_only_where_nothing_is(store: Store) -> None:
    """`add` reports whether it stored the value."""
    assert await store.add(KEY, b"first", 60)
    assert not await store.add(KEY, b"second", 60)
    assert await store.pop(KEY) == b"first"


async def test_pop_takes_out(store: Store) -> None:
    """A second `pop` of the same key finds nothing."""
    await store.put(KEY, b"v", 60)
    assert await store.pop(KEY) == b"v"
    assert await store.pop(KEY) is None
    assert await store.get(KEY) is None


@ROUNDS
async def test_of_many_pops_one_wins(store: Store, round_number: int) -> None:
    """`pop` is atomic: of concurrent calls, exactly one gets the value."""
    await store.put(KEY, b"v", 60)
    found = await at_once(store, lambda _: store.pop(KEY))
    assert found.count(b"v") == 1
    assert found.count(None) == 49


@ROUNDS
async def test_of_many_adds_one_wins(store: Store, round_number: int) -> None:
    """`add` is atomic: of concurrent calls, exactly one stores its value."""
    stored = await at_once(store, lambda n: store.add(KEY, b"%d" % n, 60))
    assert stored.count(True) == 1
    assert await store.pop(KEY) == b"%d" % stored.index(True)


async def test_replace_needs_the_version(store: Store) -> None:
    """A writer that read an older version does not overwrite a newer one."""
    await store.put(KEY, b"one", 60)
    version = await version_of(store)
    assert await store.replace(KEY, b"two", 60, version=version)
    assert not await store.replace(KEY, b"three", 60, version=version)
    assert await store.pop(KEY) == b"two"


@ROUNDS
async def test_of_many_replaces_one_wins(store: Store, round_number: int) -> None:
    """`replace` compares and sets in one atomic operation."""
    await store.put(KEY, b"v", 60)
    version = await version_of(store)
    done = await at_once(store, lambda n: store.replace(KEY, b"%d" % n, 60, version=version))
    assert done.count(True) == 1
    assert await store.pop(KEY) == b"%d" % done.index(True)


async def test_discard_needs_the_version(store: Store) -> None:
    """A caller that read an older version does not remove a newer one."""
    await store.put(KEY, b"one", 60)
    version = await version_of(store)
    await store.put(KEY, b"two", 60)
    assert not await store.discard(KEY, version=version)
    assert await store.discard(KEY, version=await version_of(store))
    assert await store.get(KEY) is None


@ROUNDS
async def test_of_many_discards_one_wins(store: Store, round_number: int) -> None:
    """`discard` compares and removes in one atomic operation."""
    await store.put(KEY, b"v", 60)
    version = await version_of(store)
    done = await at_once(store, lambda _: store.discard(KEY, version=version))
    assert done.count(True) == 1


async def test_everything_ends_with_its_time_to_live(backend: Backend) -> None:
    """Every operation treats an expired entry as absent."""
    store = backend.store
    await store.put(KEY, b"v", 30)
    version = await version_of(store)
    await backend.advance(29)
    assert await store.get(KEY) is not None
    await backend.advance(2)
    assert await store.get(KEY) is None
    assert await store.pop(KEY) is None
    assert not await store.discard(KEY, version=version)
    assert not await store.replace(KEY, b"new", 30, version=version)
    assert await store.add(KEY, b"again", 30)


async def test_replace_gives_a_new_time_to_live(backend: Backend) -> None:
    """`replace` starts the time to live again."""
    store = backend.store
    await store.put(KEY, b"v", 30)
    await backend.advance(20)
    assert await store.replace(KEY, b"w", 30, version=await version_of(store))
    await backend.advance(20)
    assert await store.pop(KEY) == b"w"


async def test_replace_without_a_time_keeps_what_is_left(backend: Backend) -> None:
    """Maintenance rewrites a value without prolonging its life."""
    store = backend.store
    await store.put(KEY, b"v", 30)
    await backend.advance(20)
    assert await store.replace(KEY, b"w", None, version=await version_of(store))
    entry = await store.get(KEY)
    assert entry is not None
    assert entry.value == b"w"
    assert 0 < await backend.ttl(KEY) <= 10
    await backend.advance(11)
    assert await store.get(KEY) is None


async def test_many_entries_are_read_in_order(backend: Backend) -> None:
    """Absent and expired keys are None, and a key may be named twice."""
    store = backend.store
    keys = [f"airtable:login:{number}" for number in range(500)]
    await put_all(store, keys)
    await store.put("airtable:login:short", b"v", 10)
    await backend.advance(11)
    assert await store.get_many([]) == []
    found = await store.get_many([*reversed(keys[1:]), "airtable:login:short"])
    assert found == [*[await store.get(key) for key in reversed(keys[1:])], None]
    again = await store.get_many([keys[0], "airtable:login:none", keys[0]])
    assert again == [await store.get(keys[0]), None, await store.get(keys[0])]


async def test_every_entry_has_an_expiry(backend: Backend) -> None:
    """Every operation that stores a value also sets its expiry."""
    store = backend.store
    await store.put("airtable:login:put", b"v", 30)
    await store.add("airtable:login:add", b"v", 30)
    await store.put(KEY, b"v", 600)
    await store.replace(KEY, b"w", 30, version=await version_of(store))
    for key in ("airtable:login:put", "airtable:login:add", KEY):
        assert 0 < await backend.ttl(key) <= 30


async def test_scan_finds_a_namespace(store: Store) -> None:
    """A scan finds every key of its namespace and none of another."""
    wanted = {f"airtable:login:{number}" for number in range(1500)}
    await put_all(store, wanted)
    await store.put("airtable:session:1", b"v", 60)
    await store.put("other:login:1", b"v", 60)
    assert {key async for key in store.scan("airtable:login")} == wanted


async def test_scan_neither_skips_nor_repeats(store: Store) -> None:
    """This holds across pages, for any characters, in any sort order that a database may use."""
    characters = "-_.aAzZ09éÉ ;:"
    wanted = [
        f"airtable:login:{first}{second}{number}"
        for number in range(8)
        for first in characters
        for second in characters
    ]
    await put_all(store, wanted)
    assert sorted([key async for key in store.scan("airtable:login")]) == sorted(wanted)


async def test_scan_leaves_out_what_has_ended(backend: Backend) -> None:
    await backend.store.put(KEY, b"v", 30)
    await backend.advance(31)
    assert [key async for key in backend.store.scan("airtable:login")] == []


async def test_scan_can_skip_keys_by_their_time_to_live(store: Store) -> None:
    """Keys that expire sooner or later than the skipped range are found, across pages."""
    soon, between, late = (
        {f"airtable:login:{name}{number}" for number in range(900)}
        for name in ("soon", "between", "late")
    )
    await put_all(store, soon, ttl=40)
    await put_all(store, between, ttl=100)
    await put_all(store, late, ttl=900)
    await store.put("airtable:session:soon", b"v", 40)
    found = [key async for key in store.scan("airtable:login", skip_ttl=(60, 600))]
    assert sorted(found) == sorted(soon | late)


async def test_store_has_a_clock(store: Store) -> None:
    """`now` returns seconds since 1970. Here the store runs on the same machine as the test."""
    assert abs(await store.now() - time.time()) < 5


async def test_cancelled_verb_does_not_disturb_the_next(store: Store) -> None:
    """The reply to a cancelled call must not reach another caller (CVE-2023-28858)."""
    for number in range(20):
        await store.put(f"airtable:login:{number}", b"%d" % number, 60)
    for _ in range(20):
        cancelled = [asyncio.ensure_future(store.get(f"airtable:login:{n}")) for n in range(20)]
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        found = await asyncio.gather(*(store.get(f"airtable:login:{n}") for n in range(20)))
        assert [entry and entry.value for entry in found] == [b"%d" % n for n in range(20)]


TURNS = "airtable.plain:rate-limit:one"


async def reserve(store: Store, within: float = 300) -> Turn:
    """Reserve a turn; at most three are allowed in 100 seconds."""
    return await store.reserve_turn(TURNS, most=3, window=100, within=within)


async def pause(store: Store, seconds: float) -> None:
    await store.delay_turns(TURNS, most=3, window=100, seconds=seconds)


async def waits(store: Store, count: int) -> list[float]:
    """Reserve this many turns and return the seconds until each, rounded to 10."""
    turns = [await reserve(store) for _ in range(count)]
    assert all(turn.is_reserved for turn in turns)
    return [round(turn.wait, -1) for turn in turns]


async def test_turns_are_given_at_once_and_then_a_window_later(backend: Backend) -> None:
    """Three turns fit into each window. The entry expires one window after the last turn."""
    assert await waits(backend.store, 1) == [0]
    assert await backend.ttl(TURNS) == pytest.approx(100, abs=5)
    assert await waits(backend.store, 6) == [0, 0, 100, 100, 100, 200]
    assert await backend.ttl(TURNS) == pytest.approx(300, abs=5)


async def test_turn_is_0_seconds_away_if_it_is_due(store: Store) -> None:
    """The wait is never negative, and rounding does not add to it."""
    turn = await reserve(store, within=0)
    assert turn.is_reserved
    assert 0 <= turn.wait < 0.001


async def test_turn_that_is_too_far_away_is_not_reserved(store: Store) -> None:
    """A negative `within` asks for the wait without reserving a turn."""
    assert await reserve(store, within=-1) == (0, False)
    await waits(store, 2)
    assert await reserve(store, within=-1) == (0, False)
    await waits(store, 1)
    for within in (-1, 0, 50):
        turn = await reserve(store, within)
        assert not turn.is_reserved
        assert turn.wait == pytest.approx(100, abs=5)
    assert await waits(store, 4) == [100, 100, 100, 200]


async def test_turns_of_the_past_do_not_count(backend: Backend) -> None:
    """They do not count even while the store still holds the expired entry."""
    await waits(backend.store, 4)
    await backend.advance(205)
    assert await reserve(backend.store, within=-1) == (0, False)
    assert await waits(backend.store, 4) == [0, 0, 0, 100]


async def test_pause_delays_all_turns(backend: Backend) -> None:
    """A pause delays turns whether or not an entry exists already."""
    await pause(backend.store, 50)
    assert await backend.ttl(TURNS) == pytest.approx(50, abs=5)
    assert await waits(backend.store, 4) == [50, 50, 50, 150]
    await pause(backend.store, 170)
    assert await waits(backend.store, 3) == [170, 170, 250]


async def test_pause_keeps_turns_that_are_later(backend: Backend) -> None:
    """A pause does not shorten a longer wait, and the entry keeps its expiry."""
    await waits(backend.store, 6)
    await pause(backend.store, 10)
    assert await backend.ttl(TURNS) == pytest.approx(200, abs=5)
    assert await waits(backend.store, 1) == [200]


async def test_pause_ends_with_its_time(backend: Backend) -> None:
    """Its entry lasts as long as the pause, even if that is shorter or longer than a window."""
    await pause(backend.store, 30)
    await backend.advance(29)
    assert not (await reserve(backend.store, within=-1)).is_reserved
    assert await backend.stored(TURNS) is not None
    await backend.advance(2)
    assert await waits(backend.store, 1) == [0]


@pytest.mark.parametrize(
    "junk",
    [
        *(b"", b"\xff\x00", b"{}", b"null", b"7", b"[]", b"[1, 2]", b"[1, 2, 3, 4]", b"[1, 2, 3"),
        *(b'["x", null, {}]', b'{"turns": [1, 2, 3]}', b"[[1], [2], [3]]", b"\\[1, 2, 3]"),
    ],
)
async def test_value_that_is_not_turns_counts_as_absent(backend: Backend, junk: bytes) -> None:
    """Reserving, asking and pausing all overwrite a value that is not a list of turns."""
    for use in (reserve, pause):
        await waits(backend.store, 3)
        await backend.overwrite(TURNS, junk)
        assert await reserve(backend.store, within=-1) == (0, False)
        await use(backend.store, 10)
        assert await backend.stored(TURNS) != junk


async def test_turns_are_stored_as_a_json_array(backend: Backend) -> None:
    """The array holds times in seconds since 1970, oldest first."""
    now = await backend.store.now()
    await waits(backend.store, 4)
    turns = json.loads(await backend.stored(TURNS) or b"")
    assert turns == sorted(turns)
    assert turns[0] == pytest.approx(now, abs=5)
    assert turns[2] - turns[0] == pytest.approx(100, abs=5)


@ROUNDS
async def test_of_many_reservations_no_window_gets_too_many(
    backend: Backend, round_number: int
) -> None:
    """Each turn is at least one window after the turn three places before it."""
    async with asyncio.timeout(60):
        turns = await at_once(backend.store, lambda _: reserve(backend.store, within=1e6))
    assert all(turn.is_reserved for turn in turns)
    counts = Counter(round(turn.wait, -1) for turn in turns)
    assert counts == {number * 100: 3 for number in range(16)} | {1600: 2}
    last = json.loads(await backend.stored(TURNS) or b"")
    assert max(last) - await backend.store.now() == pytest.approx(1600, abs=10)
