"""The limit of five requests a second for each base, shared fairly by connections and processes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import Any

import httpx
import pytest

from airtable_oauth import AirtableOAuth, TokenSet
from airtable_oauth.airtable_api.rate_limit import RateLimiter
from airtable_oauth.airtable_api.transport import base_of
from airtable_oauth.errors import RateLimited, UpstreamTimeout
from airtable_oauth.stores import Store, Turn
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.stores.redis import RedisStore
from tests.helpers import SCOPES, FakeClock, make_settings
from tests.world import FaultyStore, VirtualTime

BASE = "appHot"
WINDOW = 1.1


class CountingStore(FaultyStore):
    """Counts round trips to the store."""

    trips = 0

    async def _do(self, verb: str, *arguments: Any, **named: Any) -> Any:
        self.trips += 1
        return await super()._do(verb, *arguments, **named)


class World:
    """Processes that share a store and a clock, which the test advances."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.store = CountingStore(MemoryStore(clock=self.time))
        self.sent: list[tuple[float, str]] = []
        """When each request was sent, and for which connection."""
        self.refused: list[tuple[float, str, int]] = []
        """When each request was refused, for which connection, and its `Retry-After`."""

    def process(self, *, store: Store | None = None, patience: float = 2.0) -> RateLimiter:
        store = store or self.store
        return RateLimiter(store, "airtable", self.time, self.time.sleep, patience=patience)

    async def ask(
        self,
        limiter: RateLimiter,
        connection: str,
        base: str = BASE,
        *,
        status: int = 200,
        seconds: float = 0,
    ) -> None:
        """Send a request that Airtable answers with this status after `seconds`."""
        try:
            async with limiter.turn(base, connection):
                self.sent.append((self.time(), connection))
                if seconds:
                    await self.time.sleep(seconds)
                limiter.record_answer(base, connection, status)
        except RateLimited as error:
            self.refused.append((self.time(), connection, error.retry_after or 0))

    async def start(self, *asked: Coroutine[Any, Any, None]) -> list[asyncio.Task[None]]:
        started = [asyncio.create_task(each) for each in asked]
        await settle()
        return started

    async def pause(self, limiter: RateLimiter, base: str = BASE) -> None:
        """Record a 429. Storing the pause may take a moment."""
        (recorded,) = await self.start(limiter.record_429(base))
        while not recorded.done():
            await self.run(0.01)

    async def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.time.advance(0.01)
            await settle()

    def count(self) -> Counter[str]:
        """How many requests were sent for each connection."""
        return Counter(connection for _, connection in self.sent)


async def settle() -> None:
    """Let every task run until it waits for the clock."""
    for _ in range(30):
        await asyncio.sleep(0)


def most_in_a_second(times: list[float]) -> int:
    return max(sum(start <= time < start + 1 for time in times) for start in times)


@pytest.fixture
def world() -> World:
    return World()


# The limit


async def test_five_requests_are_sent_at_once_and_the_sixth_waits(world: World) -> None:
    """Requests to other bases are not delayed."""
    limiter, began = world.process(), world.time()
    await world.start(*(world.ask(limiter, "ann") for _ in range(6)))
    assert len(world.sent) == 5
    await world.start(world.ask(limiter, "ann", "appQuiet"))
    assert len(world.sent) == 6
    await world.run(1.2)
    assert world.sent[-1][0] - began == pytest.approx(WINDOW, abs=0.02)


@pytest.mark.parametrize("processes", [1, 2, 4])
async def test_no_second_has_more_than_five_requests(world: World, processes: int) -> None:
    """This holds for any timing and number of processes, and the limit is nearly used up."""
    random = Random(processes)  # noqa: S311 (the same each time)
    limiters = [world.process() for _ in range(processes)]
    for _ in range(100):
        connection = random.choice("abcdefgh")
        await world.start(world.ask(random.choice(limiters), connection))
        await world.run(random.choice([0.0, 0.01, 0.05, 0.3]))
    await world.run(3)
    assert most_in_a_second([time for time, _ in world.sent]) == 5
    seconds = world.sent[-1][0] - world.sent[0][0]
    assert len(world.sent) > 4 * seconds


async def test_request_that_would_wait_for_too_long_is_refused(world: World) -> None:
    """`Retry-After` is the time until the requests ahead of it are sent."""
    limiter, began = world.process(), world.time()
    await world.start(*(world.ask(limiter, f"user{number}") for number in range(30)))
    await world.run(3)
    assert len(world.sent) == 10
    assert len(world.refused) == 20
    assert all(time - began <= 2 for time, _, _ in world.refused)
    assert {seconds for _, _, seconds in world.refused} <= {2, 3, 4, 5, 6}


async def test_no_request_waits_for_longer_than_the_patience(world: World) -> None:
    """This holds even while other requests are served all the time."""
    limiter = world.process()
    waited = []

    async def measure(connection: str) -> None:
        began = world.time()
        await world.ask(limiter, connection)
        waited.append(world.time() - began)

    for number in range(80):
        await world.start(measure(f"user{number}"))
        await world.run(0.1)
    await world.run(2)
    assert len(world.refused) > 20
    assert max(waited) <= 2.01


async def test_caller_that_leaves_gives_its_turn_to_the_next(world: World) -> None:
    """It may leave while it waits, or at the moment when it gets its turn."""
    leaving: list[asyncio.Task[None]] = []

    async def sleep(seconds: float) -> None:
        await world.time.sleep(seconds)
        for task in leaving:  # after the turn was granted, before its task resumes
            asyncio.get_running_loop().call_soon(task.cancel)

    limiter = RateLimiter(world.store, "airtable", world.time, sleep, 1.15)
    await world.start(*(world.ask(limiter, "ann") for _ in range(5)))
    left, late, _ = await world.start(*(world.ask(limiter, name) for name in ("bob", "cat", "dan")))
    left.cancel()
    leaving.append(late)
    await world.run(1.2)
    assert late.cancelled()
    assert [name for _, name in world.sent[5:]] == ["dan"]


# Fairness


async def test_connections_take_turns(world: World) -> None:
    """A flood of requests for one connection delays only that connection."""
    limiter = world.process()
    await world.start(*(world.ask(limiter, "flood") for _ in range(30)))
    await world.start(world.ask(limiter, "ann"), world.ask(limiter, "bob"))
    await world.run(1.2)
    assert world.count() == {"flood": 8, "ann": 1, "bob": 1}
    assert {name for _, name, _ in world.refused} == {"flood"}


async def test_at_most_ten_requests_of_a_connection_wait(world: World) -> None:
    """More could not be sent in time. Requests whose callers have left do not count."""
    limiter = world.process()
    await world.start(*(world.ask(limiter, "ann") for _ in range(5)))
    waiting = await world.start(*(world.ask(limiter, "flood") for _ in range(12)))
    assert [name for _, name, _ in world.refused] == ["flood", "flood"]
    for task in waiting[:3]:
        task.cancel()
    await world.start(*(world.ask(limiter, "flood") for _ in range(3)))
    assert len(world.refused) == 2


async def test_connection_without_access_does_not_delay_others(world: World) -> None:
    """It gets one turn per window over all processes, and only if no other request waits."""
    limiters = [world.process() for _ in range(4)]
    for limiter in limiters:
        limiter.record_answer(BASE, "mallory", 403)
        limiter.record_answer(BASE, "ann", 200)
    began = world.time()
    for _ in range(40):
        for limiter in limiters:
            await world.start(*(world.ask(limiter, "mallory", status=403) for _ in range(3)))
        await world.start(world.ask(limiters[0], "ann"))
        await world.run(0.35)
    await world.run(2)
    seconds = world.time() - began
    assert world.count()["ann"] == 40
    assert world.count()["mallory"] <= seconds / WINDOW + 1
    assert "ann" not in {name for _, name, _ in world.refused}
    assert most_in_a_second([time for time, _ in world.sent]) <= 5


async def test_refused_connection_waits_behind_the_others_at_once(world: World) -> None:
    """Its queued requests, too, go behind the others as soon as Airtable refuses one."""
    limiter = world.process(patience=5)
    limiter.record_answer(BASE, "ann", 200)
    asked = (world.ask(limiter, "mallory", status=404, seconds=1) for _ in range(5))
    await world.start(*asked, *(world.ask(limiter, "bob") for _ in range(4)))
    await world.start(world.ask(limiter, "ann"), world.ask(limiter, "ann"))
    await world.run(1.7)
    assert [name for _, name in world.sent[5:]] == ["ann", "ann", "mallory"]
    limiter.record_answer(BASE, "mallory", 200)
    await world.run(1.7)
    assert world.count()["mallory"] == 5


async def test_errors_that_do_not_prove_access_do_not_count_as_access(world: World) -> None:
    """Airtable may reject a body before it checks permissions. A 401 says nothing about them."""
    limiter = world.process()
    limiter.record_answer(BASE, "mallory", 403)
    for status in (301, 401, 422, 429, 500):
        limiter.record_answer(BASE, "mallory", status)
    await world.start(*(world.ask(limiter, "mallory", status=403) for _ in range(3)))
    assert len(world.sent) == 1


async def test_one_refusal_does_not_outweigh_a_recent_success(world: World) -> None:
    """A missing record is also a 404. The success is forgotten after ten minutes."""
    limiter = world.process()
    limiter.record_answer(BASE, "ann", 200)
    world.time.advance(599)
    limiter.record_answer(BASE, "ann", 404)
    await world.start(*(world.ask(limiter, "ann", status=404) for _ in range(5)))
    assert len(world.sent) == 5
    world.time.advance(2)
    limiter.record_answer(BASE, "ann", 404)
    await world.start(*(world.ask(limiter, "ann", status=404) for _ in range(5)))
    assert len(world.sent) == 6


async def test_new_connection_has_one_request_under_way(world: World) -> None:
    """In each process its second request waits for the first answer, in case it has no access."""
    limiters = [world.process() for _ in range(2)]
    for limiter in limiters:
        asked = (world.ask(limiter, "ann", seconds=0.5) for _ in range(3))
        await world.start(*asked)
    await world.start(world.ask(limiters[0], "bob"))
    assert world.count() == {"ann": 2, "bob": 1}
    await world.run(0.51)
    assert world.count() == {"ann": 4, "bob": 1}
    await world.run(1.2)
    assert world.count() == {"ann": 6, "bob": 1}


@pytest.mark.parametrize("end", ["422", "500", "error", "cancelled"])
async def test_inconclusive_answer_lets_the_next_request_go(world: World, end: str) -> None:
    """Only one request is sent at a time, whether the one before failed or was cancelled."""
    limiter = world.process()

    async def fail() -> None:
        async with limiter.turn(BASE, "ann"):
            await world.time.sleep(0.5)
            raise UpstreamTimeout

    status = int(end) if end.isdigit() else 0
    first = world.ask(limiter, "ann", status=status, seconds=0.5) if status else fail()
    (task,) = await world.start(first)
    await world.start(*(world.ask(limiter, "ann", status=500, seconds=0.5) for _ in range(2)))
    world.sent.clear()
    if end == "cancelled":
        task.cancel()
    await world.run(0.51)
    assert len(world.sent) == 1
    await world.run(0.51)
    assert len(world.sent) == 2
    await asyncio.gather(task, return_exceptions=True)


async def test_new_connection_is_released_if_its_caller_leaves_at_the_turn(world: World) -> None:
    """The caller leaves at the moment when its request could be sent."""
    limiter = world.process()
    leaving, staying = (asyncio.create_task(world.ask(limiter, "ann")) for _ in range(2))
    while not limiter._bases or not limiter._known(BASE).under_way:  # noqa: SLF001
        await asyncio.sleep(0)
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    assert staying.done()
    assert len(world.sent) == 1


async def test_request_behind_a_slow_answer_is_refused_in_time(world: World) -> None:
    """It waits at most for the configured patience, or until the process ends."""
    limiter = world.process()
    await world.start(*(world.ask(limiter, "ann", seconds=60) for _ in range(2)))
    await world.run(2.01)
    assert [name for _, name, _ in world.refused] == ["ann"]
    await world.start(world.ask(limiter, "ann"))
    await limiter.close()
    await settle()
    assert len(world.refused) == 2


async def test_known_and_new_connections_alternate(world: World) -> None:
    """There may be many new connections without access, and known ones may be busy all the time."""
    limiter = world.process()
    for name in ("ann", "bob", "cat"):
        limiter.record_answer(BASE, name, 200)
    await world.start(*(world.ask(limiter, "first", status=500) for _ in range(5)))
    await world.start(*(world.ask(limiter, f"new{number}") for number in range(5)))
    await world.start(*(world.ask(limiter, name) for name in ("ann", "bob", "cat")))
    await world.run(1.2)
    assert [name for _, name in world.sent[5:]] == ["ann", "new0", "bob", "new1", "cat"]


async def test_busy_process_does_not_starve_another(world: World) -> None:
    """A process reserves only one turn in advance, so processes take turns as well."""
    busy, other = world.process(), world.process()
    for number in range(60):
        await world.start(*(world.ask(busy, f"user{each}") for each in range(4)))
        if number % 10 == 5:
            await world.start(world.ask(other, "ann"))
        await world.run(0.1)
    await world.run(2)
    assert world.count()["ann"] == 6


async def test_eight_busy_processes_all_get_turns(world: World) -> None:
    """The turns that they reserve reach as far ahead as a request may wait."""

    async def use(limiter: RateLimiter, connection: str) -> None:
        while world.time() < end:
            await world.ask(limiter, connection)
            await world.time.sleep(0.5)

    end = world.time() + 8
    limiters = [world.process() for _ in range(8)]
    for _ in range(3):
        await world.start(*(use(each, f"user{number}") for number, each in enumerate(limiters)))
    await world.run(11)
    assert set(world.count()) == {f"user{number}" for number in range(8)}
    assert min(world.count().values()) >= 3
    assert most_in_a_second([time for time, _ in world.sent]) == 5


# Pauses


async def test_pause_refuses_the_requests_that_wait(world: World) -> None:
    """The process that got the 429 refuses them at once, the others before they would send them."""
    here, there = world.process(), world.process()
    await world.start(*(world.ask(here, "ann") for _ in range(7)))
    await world.start(*(world.ask(there, "bob") for _ in range(2)))
    await world.run(0.3)
    await world.pause(here)
    await settle()
    assert [(name, seconds) for _, name, seconds in world.refused] == [("ann", 30)] * 2
    await world.run(1.5)
    assert [name for _, name, _ in world.refused] == ["ann", "ann", "bob", "bob"]
    assert world.refused[-1][2] == 30
    await world.start(world.ask(here, "ann"), world.ask(there, "bob"))
    assert len(world.refused) == 6
    assert len(world.sent) == 5
    world.time.advance(30)
    await world.start(world.ask(here, "ann"), world.ask(there, "bob"))
    await world.run(0.05)
    assert len(world.sent) == 7


async def test_request_in_a_known_pause_costs_no_round_trip(world: World) -> None:
    """A process learns of a pause once, from its own 429 or from the store."""
    here, there = world.process(), world.process()
    await world.pause(here)
    await world.start(world.ask(there, "bob"))
    before = world.store.trips
    await world.start(*(world.ask(limiter, "ann") for limiter in (here, there) for _ in range(5)))
    assert len(world.refused) == 11
    assert world.store.trips == before


async def test_request_waits_for_the_end_of_a_short_pause(world: World) -> None:
    """For example, it waits if the pause ends within a second."""
    limiter, other = world.process(), world.process()
    await world.pause(limiter)
    world.time.advance(29)
    await world.start(world.ask(limiter, "ann"), world.ask(other, "bob"))
    assert world.sent == []
    await world.run(1.1)
    assert {name for _, name in world.sent} == {"ann", "bob"}


async def test_pause_that_could_not_be_stored_is_stored_later(world: World) -> None:
    """Until then, the process that got the 429 observes the pause alone."""
    here, there = world.process(), world.process()
    await world.start(world.ask(here, "ann"))
    world.store.down = True
    await world.pause(here)
    await world.start(world.ask(here, "ann"))
    assert len(world.sent) == 1
    world.store.down = False
    await world.run(3)
    await world.start(world.ask(there, "bob"))
    assert len(world.sent) == 1
    assert world.refused[-1][2] <= 28


# The store


async def test_without_a_store_a_process_keeps_the_limit_alone(world: World) -> None:
    """It also observes the limit when the store is back and has lost its data."""
    limiter = world.process()
    await world.start(world.ask(limiter, "ann"))
    world.store.down = True
    await world.start(*(world.ask(limiter, "ann") for _ in range(4)))
    assert len(world.sent) == 5
    world.store.down = False
    await world.store.store.close()
    await world.run(0.1)
    await world.start(*(world.ask(limiter, "bob") for _ in range(8)))
    await world.run(3)
    assert most_in_a_second([time for time, _ in world.sent]) == 5


async def test_without_a_store_from_the_start_requests_are_sent(world: World) -> None:
    """The process still limits itself to five at a time."""
    world.store.down = True
    limiter = world.process()
    await world.start(*(world.ask(limiter, "ann") for _ in range(6)))
    assert len(world.sent) == 5


async def test_quiet_base_costs_one_round_trip(world: World) -> None:
    """This holds for one process or several, one after the other or at once."""
    limiters = [world.process() for _ in range(3)]
    for pause in (0, 1, 2, 5, 20):
        await world.run(pause)
        await world.start(*(world.ask(limiter, "ann") for limiter in limiters))
    assert len(world.sent) == 15
    assert world.store.trips == 15


@pytest.mark.parametrize(("processes", "trips"), [(1, 1.1), (2, 1.2), (4, 1.3)])
@pytest.mark.parametrize(("names", "pause"), [("abcd", 0.5), ("ab", 0.15)])
async def test_hot_base_costs_little_more_than_one_round_trip_for_each_request(
    world: World, processes: int, trips: float, names: str, pause: float
) -> None:
    """One trip reserves a turn. The few others look for a free turn or a new pause."""
    limiters = [world.process() for _ in range(processes)]
    for _ in range(round(10 / pause)):
        await world.start(*(world.ask(each, name) for each in limiters for name in names))
        await world.run(pause)
    await world.run(3)
    assert len(world.sent) > 45
    assert world.store.trips / len(world.sent) <= trips


async def test_request_that_waits_alone_costs_two_round_trips(world: World) -> None:
    """The second checks whether a pause has begun since the turn was reserved."""
    limiter, other = world.process(), world.process()
    await world.start(*(world.ask(limiter, "ann") for _ in range(5)))
    await world.start(world.ask(other, "bob"))
    await world.run(1.2)
    assert len(world.sent) == 6
    assert world.store.trips == 7


@pytest.mark.parametrize("differing", [0.0, 0.09])
async def test_far_store_does_not_bunch_requests(world: World, differing: float) -> None:
    """A turn counts from the store's reply, not from the request for it.

    The delays of request and reply may each vary by up to a tenth of a second.
    """
    stores = [SlowStore(world.store.store, world.time, differing) for _ in range(2)]
    limiters = [world.process(store=store) for store in stores]
    for _ in range(30):
        await world.start(*(world.ask(limiter, name) for limiter in limiters for name in "ab"))
        await world.run(0.2)
    await world.run(3)
    assert len(world.sent) > 25
    assert most_in_a_second([time for time, _ in world.sent]) <= 5


class SlowStore(FaultyStore):
    """A store whose round trip takes 100 ms, or up to `differing` more each way."""

    def __init__(self, store: Store, time: VirtualTime, differing: float) -> None:
        super().__init__(store)
        self._time = time
        self._differing = differing
        self._random = Random(1)  # noqa: S311 (the same each time)

    async def _do(self, verb: str, *arguments: Any, **named: Any) -> Any:
        await self._travel()
        result = await super()._do(verb, *arguments, **named)
        await self._travel()
        return result

    async def _travel(self) -> None:
        await self._time.sleep(0.05 + self._random.random() * self._differing)


async def test_clock_that_was_wrong_blocks_no_base(world: World) -> None:
    """The store's clock was an hour ahead, and was then corrected."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)
    limiter, other = world.process(store=store), world.process(store=store)
    await world.start(*(world.ask(limiter, "ann") for _ in range(5)))
    clock.advance(-3600)
    world.time.advance(2)
    await world.start(world.ask(other, "bob"), world.ask(limiter, "cat"))
    assert [name for _, name in world.sent[5:]] == ["bob", "cat"]


async def test_turns_are_stored_outside_the_encrypted_namespace(world: World) -> None:
    """`keys rotate` decrypts everything below `airtable:`, and turns are not encrypted."""
    await world.start(world.ask(world.process(), "ann"))
    assert [key async for key in world.store.scan("airtable")] == []
    assert len([key async for key in world.store.scan("airtable.plain")]) == 1


async def test_error_that_a_store_should_not_raise_reaches_the_callers(world: World) -> None:
    """No caller waits for ever, and the next request is served."""

    class Broken(MemoryStore):
        works = False

        async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
            if not self.works:
                raise LookupError
            return await super().reserve_turn(key, most=most, window=window, within=within)

    store = Broken(clock=world.time)
    limiter = world.process(store=store)
    limiter.record_answer(BASE, "ann", 200)
    calls = [world.ask(limiter, "ann") for _ in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    store.works = True
    await world.start(world.ask(limiter, "ann"))
    assert len(world.sent) == 1


async def test_requests_that_wait_are_refused_when_the_process_ends(world: World) -> None:
    """Closing does not wait for their turns. A closed limiter can be used again."""
    limiter = world.process()
    await world.start(*(world.ask(limiter, "ann") for _ in range(6)))
    await limiter.close()
    await settle()
    assert len(world.refused) == 1
    world.time.advance(WINDOW)
    await world.start(world.ask(limiter, "ann"))
    assert len(world.sent) == 6


async def test_bases_of_the_past_are_forgotten(world: World) -> None:
    """Paused bases are not forgotten."""
    limiter = world.process()
    await world.pause(limiter, "appPaused")
    for number in range(3000):
        await world.ask(limiter, "ann", f"app{number}")
        world.time.advance(0.01)
    assert len(limiter._bases) <= 1001  # noqa: SLF001
    assert len(limiter._standings) == 3000  # noqa: SLF001
    for number in range(20_000):
        limiter.record_answer(f"app{number}", "ann", 403)
    assert len(limiter._standings) == 10_000  # noqa: SLF001
    world.sent.clear()
    await world.start(world.ask(limiter, "ann", "appPaused"))
    assert world.sent == []


# Over real sockets


async def test_flood_in_one_process_does_not_starve_another_over_redis(redis_url: str) -> None:
    """Three seconds of real time: a user of the other process sends a request every half second."""
    stores = [RedisStore(redis_url) for _ in range(2)]
    busy, other = (RateLimiter(store, "real") for store in stores)
    loop = asyncio.get_running_loop()
    end = loop.time() + 3

    async def ask(limiter: RateLimiter, connection: str, pause: float) -> list[float]:
        """How long each request waited, in seconds."""
        waited = []
        while (began := loop.time()) < end:
            async with limiter.turn(BASE, connection):
                limiter.record_answer(BASE, connection, 200)
            waited.append(loop.time() - began)
            await asyncio.sleep(pause)
        return waited

    async def flood(number: int) -> None:
        while loop.time() < end:
            with suppress(RateLimited):
                await ask(busy, f"flood{number}", 0)
            await asyncio.sleep(0.05)

    user = asyncio.create_task(ask(other, "ann", 0.5))
    await asyncio.gather(*map(flood, range(20)))
    waited = await user
    for each in (busy, other):
        await each.close()
    for store in stores:
        await store.close()
    assert len(waited) >= 2
    assert max(waited) < 2


class Upstream:
    """An Airtable that sends prepared answers byte for byte."""

    def __init__(self) -> None:
        self.arrived: list[tuple[float, str]] = []
        """When each request arrived, and its path."""
        self.answers: list[bytes] = []
        self.body = asyncio.Event()
        """While set, the rest of an answer follows its head at once."""
        self.body.set()
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ")[1].decode()
                self.arrived.append((asyncio.get_running_loop().time(), path))
                is_whoami = path == "/v0/meta/whoami"
                answer = self.answers.pop(0) if self.answers and not is_whoami else ANSWER
                start, end, rest = answer.partition(b"\r\n\r\n")
                writer.write(start + end)
                await self.body.wait()
                writer.write(rest)
                if answer is not ANSWER:
                    break
        writer.close()

    def about_bases(self) -> list[tuple[float, str]]:
        return [each for each in self.arrived if each[1] != "/v0/meta/whoami"]


def answer(status: str, body: bytes, *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body


ANSWER = answer("200 OK", b'{"id": "usr1"}')
LIMITED = b'{"errors": [{"error": "RATE_LIMIT_REACHED"}]}'


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream()
    server = await asyncio.start_server(made.handle, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()


@pytest.fixture
async def clients(upstream: Upstream) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of the same connection in two processes that share a store."""
    store = MemoryStore()
    settings = make_settings(airtable_api_url=upstream.url)
    async with AsyncExitStack() as stack:
        both = [AirtableOAuth(settings, store=store) for _ in range(2)]
        for each in both:
            await stack.enter_async_context(each.lifespan())
        tokens = TokenSet(
            access_token="a",
            refresh_token="r",
            scope=" ".join(SCOPES),
            expires_in=3600,
            refresh_expires_in=86400,
        )
        connection = await both[0].adopt("ann", tokens)
        yield [each.client(connection.id) for each in both]


async def test_every_path_about_a_base_counts(
    upstream: Upstream, clients: list[httpx.AsyncClient]
) -> None:
    """Records, structure, webhooks and uploads share the limit of five requests a second."""
    paths = [
        "/v0/appX/Tasks",
        "/v0/appX/Tasks/listRecords",
        "/v0/appX/recX/fldX/uploadAttachment",
        "/v0/meta/bases/appX/tables",
        "/v0/bases/appX/webhooks",
        "/v0/bases/appX/webhooks/achX/payloads",
    ]
    answers = await asyncio.gather(*(clients[0].get(path) for path in paths))
    assert {each.status_code for each in answers} == {200}
    times = [time for time, _ in upstream.about_bases()]
    assert len(times) == 6
    assert times[5] - times[0] >= 1


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/v0/appX", "appX"),
        ("/v0/meta/bases/appX", "appX"),
        ("/v0/bases/appX/webhooks", "appX"),
        ("/v0/meta/bases", None),
        ("/v0/meta/bases/", None),
        ("/v0/meta/whoami", None),
        ("/v0/meta/enterpriseAccounts/entX/users", None),
        ("/v0/meta/workspaces/wspX", None),
        ("/v0/entX/hyperDB/tblX/records", None),
        ("/v0/", None),
        ("/v0", None),
        ("/", None),
        ("", None),
    ],
)
def test_base_of_a_path(path: str, base: str | None) -> None:
    assert base_of(path) == base


@pytest.mark.parametrize(
    "broken",
    [
        answer("429 Too Many Requests", LIMITED, length=1000),
        answer("429 Too Many Requests", b" " * 100_000),
    ],
    ids=["breaks off", "too large"],
)
async def test_429_without_a_readable_body_begins_a_pause(
    upstream: Upstream, clients: list[httpx.AsyncClient], broken: bytes
) -> None:
    """The pause applies to all processes."""
    upstream.answers = [broken]
    for client in (*clients, *clients):
        with pytest.raises(RateLimited) as refused:
            await client.get("/v0/appX/Tasks")
        assert refused.value.retry_after in (29, 30)
    assert len(upstream.about_bases()) == 1


async def test_request_that_waits_is_not_sent_into_a_pause(
    upstream: Upstream, clients: list[httpx.AsyncClient]
) -> None:
    """Of eight requests, five are sent at once. One of them is answered 429."""
    limited = answer("429 Too Many Requests", LIMITED)
    upstream.answers = [ANSWER] * 4 + [limited]
    calls = [client.get("/v0/appX/Tasks") for client in clients for _ in range(4)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, RateLimited)]
    assert len(refused) == 3
    assert len(upstream.about_bases()) == 5


async def test_pause_begins_although_the_caller_has_left(
    upstream: Upstream, clients: list[httpx.AsyncClient]
) -> None:
    """The caller leaves between the head of the 429 and its body."""
    upstream.answers = [answer("429 Too Many Requests", LIMITED)]
    upstream.body.clear()
    call = asyncio.ensure_future(clients[0].get("/v0/appX/Tasks"))
    await asyncio.sleep(0.2)
    call.cancel()
    upstream.body.set()
    await asyncio.sleep(0.2)
    for client in clients:
        with pytest.raises(RateLimited):
            await client.get("/v0/appX/Tasks")
