"""Rate limiting for Airtable's Web API: five requests per second per base, across all processes.

Source: Airtable's reference, "Rate limits". Above five requests per second per base, Airtable
answers 429, and the client must then wait 30 seconds.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from airtable_oauth.background import Background, Sleep, until_stored
from airtable_oauth.errors import RateLimited, Unavailable
from airtable_oauth.stores import Store, Turn
from airtable_oauth.stores.keys import storage_key

_REQUESTS = 5
_WINDOW_SECONDS = 1.1
"""Slightly more than Airtable's second. Airtable counts arrivals, and some requests travel faster
than those sent before them."""
PAUSE_SECONDS = 30.0
"""How long Airtable refuses requests to a base after a 429."""
_LONGEST_WAIT = PAUSE_SECONDS + 5.0
"""A turn further away than this was stored while the store's clock was wrong."""
_MOST_WAITING = 10
"""Waiting requests of one connection per base: more could not be sent within `patience`."""
_STANDING_SECONDS = 600.0
_MOST_STANDINGS = 10_000
_MOST_BASES = 1_000
_FRESH_SECONDS = 0.25
"""A turn reserved longer ago than this is used only if no pause has begun since."""
_CLOSE_SECONDS = 1.0

Standing = Callable[[str], bool | None]
"""Whether a connection has access to the base; None if unknown."""


class _Reserved(NamedTuple):
    """A reserved turn, or the next free one. Monotonic seconds."""

    at: float
    is_reserved: bool


@dataclass(eq=False, slots=True)
class _Schedule:
    """What this process knows about the turns under one storage key. Monotonic seconds."""

    key: str
    most: int
    full_until: float = -math.inf
    """Until then no turn is free, according to the store or because of a pause."""
    turns: deque[float] = field(default_factory=deque)
    """This process's last turns. They enforce the limit while the store is unavailable."""

    @property
    def next_turn(self) -> float:
        """The earliest time at which the next turn can be due."""
        own = self.turns[0] + _WINDOW_SECONDS if len(self.turns) == self.most else -math.inf
        return max(self.full_until, own)

    def add(self, turn: float) -> None:
        """Record a turn of this process."""
        self.turns.append(turn)
        if len(self.turns) > self.most:
            self.turns.popleft()


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request that waits for its turn."""

    connection: str
    deadline: float
    turn: asyncio.Future[None]
    is_first: bool = False
    """Whether it is the request whose answer will show if the connection has access to the base."""


class _Queue:
    """A queue of requests to a base.

    The base's turns go to its connections alternately, so a flood delays only itself. A connection
    of unknown access (it is not known whether it may use the base) sends one request at a time: its
    other requests wait until Airtable has answered that one.
    """

    def __init__(self, standing: Standing, under_way: set[str], *schedules: _Schedule) -> None:
        """`under_way`: the connections of unknown access that have a request under way."""
        self.schedules = schedules
        self.is_served = False
        self._standing = standing
        self._under_way = under_way
        self._waiting: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._known_is_next = True

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def join(self, waiter: _Waiter) -> None:
        """Queue a request behind the connection's other requests.

        Raises:
            RateLimited: too many of them are waiting already.
        """
        waiting = self._waiting.setdefault(waiter.connection, deque())
        if len(waiting) >= _MOST_WAITING:
            raise RateLimited(_drain_seconds(_MOST_WAITING))
        waiting.append(waiter)

    def leave(self, waiter: _Waiter) -> None:
        """Remove a request from the queue."""
        waiting = self._waiting.get(waiter.connection, deque())
        if waiter in waiting:
            waiting.remove(waiter)
        if not waiting:
            self._waiting.pop(waiter.connection, None)

    def move(self, connection: str, other: "_Queue") -> None:
        """Move the requests of a connection to another queue."""
        waiting = self._waiting.pop(connection, None)
        if waiting:
            other._waiting.setdefault(connection, deque()).extend(waiting)  # noqa: SLF001 (its own)

    def ready(self) -> list[_Waiter]:
        """The requests that may be sent as soon as turns are free."""
        found: list[_Waiter] = []
        for connection, waiting in self._waiting.items():
            is_unknown = self._standing(connection) is None
            if not is_unknown:
                found.extend(waiting)
            elif connection not in self._under_way:
                found.append(waiting[0])
        return found

    def take_next(self) -> _Waiter | None:
        """Remove and return the request that is next, or None.

        Connections that are known to have access alternate with those of unknown access, so that
        neither a flood of the former nor a large number of the latter can starve the others.
        """
        ready = [waiter.connection for waiter in self.ready()]
        preferred = (each for each in ready if self._is_known(each) == self._known_is_next)
        connection = next(preferred, next(iter(ready), None))
        if connection is None:
            return None
        self._known_is_next = not self._is_known(connection)
        waiter = self._waiting[connection][0]
        self._waiting.move_to_end(connection)
        self.leave(waiter)
        if self._standing(connection) is None:
            waiter.is_first = True
            self._under_way.add(connection)
        return waiter

    def refuse(self, now: float, next_turn: float) -> None:
        """Refuse the requests with a deadline before the next turn."""
        seconds = max(next_turn - now, _drain_seconds(len(self)))
        for waiter in [each for each in self._waiters() if each.deadline < next_turn]:
            self.leave(waiter)
            _fail(waiter, RateLimited(seconds))

    def fail(self, error: Exception) -> None:
        """Fail all waiting requests with an error."""
        for waiter in self._waiters():
            self.leave(waiter)
            _fail(waiter, error)

    def _is_known(self, connection: str) -> bool:
        return self._standing(connection) is True

    def _waiters(self) -> list[_Waiter]:
        return [waiter for waiting in self._waiting.values() for waiter in waiting]


class _Base:
    """A base: its turns, and the requests that wait for them."""

    def __init__(self, key: str, refused_key: str, standing: Standing) -> None:
        self.standing = standing
        self.schedule = _Schedule(key, _REQUESTS)
        self.under_way: set[str] = set()
        refused_schedule = _Schedule(refused_key, 1)
        self.regular = _Queue(standing, self.under_way, self.schedule)
        self.refused = _Queue(standing, self.under_way, refused_schedule, self.schedule)
        self.queues = (self.regular, self.refused)

    def is_idle(self, now: float) -> bool:
        """Whether it can be dropped from memory."""
        is_used = any(queue.is_served or len(queue) for queue in self.queues) or self.under_way
        return not is_used and max(queue.schedules[0].next_turn for queue in self.queues) <= now


@dataclass(slots=True)
class RateLimiter:
    """Limits requests to each base to five per window, across all processes of an integration.

    The processes reserve turns in the store. A process gives its turns to its connections
    alternately. Those that Airtable recently refused (403 or 404) share one turn per window, across
    all processes, and get it only while no other connection waits. While the store is unavailable,
    each process applies the limit on its own.
    """

    store: Store
    name: str
    monotonic: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    patience: float = 2.0
    """Seconds that a request may wait for its turn before it is refused."""
    _tasks: Background = field(default_factory=Background, init=False)
    _bases: OrderedDict[str, _Base] = field(default_factory=OrderedDict, init=False)
    _standings: OrderedDict[tuple[str, str], tuple[bool, float]] = field(
        default_factory=OrderedDict, init=False
    )
    """By base and connection: whether Airtable granted access, and when (monotonic seconds)."""

    @asynccontextmanager
    async def turn(self, base: str, connection: str) -> AsyncIterator[None]:
        """Wait for a turn to send one request. Call `record_answer` when it is answered.

        If a caller is cancelled while it waits, the next request gets its turn.

        Raises:
            RateLimited: No turn becomes free within `patience`, a pause is in force, or too many
                requests of the connection are waiting already.
        """
        known = self._known(base)
        waiter = await self._wait(known, connection)
        try:
            yield
        finally:
            self._release(known, waiter)

    async def record_429(self, base: str) -> None:
        """Begin a pause of 30 seconds in all processes, and refuse the waiting requests."""
        known, now = self._known(base), self.monotonic()
        end = known.schedule.full_until = max(known.schedule.full_until, now + PAUSE_SECONDS)
        for queue in known.queues:
            queue.refuse(now, end)
        try:
            await self._store_pause(known.schedule, end)
        except Unavailable:
            self._tasks.start(
                until_stored(lambda: self._store_pause(known.schedule, end), self.sleep)
            )

    def record_answer(self, base: str, connection: str, status: int) -> None:
        """Record whether a connection has access to a base.

        Only a success proves access: Airtable may give other errors before it checks permissions.
        A 403 or 404 within ten minutes of a success is ignored.
        """
        is_success = 200 <= status < 300  # noqa: PLR2004
        is_refusal = status in (403, 404) and self._standing(base, connection) is not True
        if not (is_success or is_refusal):
            return
        self._standings[base, connection] = (is_success, self.monotonic())
        self._standings.move_to_end((base, connection))
        if len(self._standings) > _MOST_STANDINGS:
            self._standings.popitem(last=False)
        if known := self._bases.get(base):
            old, new = known.queues
            if is_success:
                old, new = new, old
            old.move(connection, new)
            self._serve(known, new)

    async def close(self) -> None:
        """Refuse the waiting requests. The limiter can be used again afterwards."""
        for known in self._bases.values():
            for queue in known.queues:
                queue.fail(RateLimited(_WINDOW_SECONDS))
        self._tasks.cancel()
        await self._tasks.drain(_CLOSE_SECONDS)

    async def _wait(self, known: _Base, connection: str) -> _Waiter:
        queue = known.refused if known.standing(connection) is False else known.regular
        waiter = _Waiter(connection, self.monotonic() + self.patience, asyncio.Future())
        queue.join(waiter)
        if waiter not in queue.ready():
            self._tasks.start(self._expire(known, waiter))
        self._serve(known, queue)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            for each in known.queues:
                each.leave(waiter)
            if not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._release(known, waiter)
                self._hand_out(known, queue)
            raise
        return waiter

    async def _expire(self, known: _Base, waiter: _Waiter) -> None:
        """Refuse a request at its deadline if its connection still waits for another answer."""
        await self.sleep(waiter.deadline - self.monotonic())
        for queue in known.queues:
            queue.leave(waiter)
        _fail(waiter, RateLimited(_WINDOW_SECONDS))

    def _release(self, known: _Base, waiter: _Waiter) -> None:
        """Allow a connection of unknown access to send its next request."""
        if waiter.is_first:
            known.under_way.discard(waiter.connection)
            self._serve(known, known.regular)

    def _standing(self, base: str, connection: str) -> bool | None:
        """Whether Airtable recently gave a connection access to a base; None if unknown."""
        has_access, at = self._standings.get((base, connection), (None, 0.0))
        is_recent = self.monotonic() - at < _STANDING_SECONDS
        return has_access if is_recent else None

    def _serve(self, known: _Base, queue: _Queue) -> None:
        """Give turns to a queue until none of its requests can be sent."""
        if not queue.is_served and queue.ready():
            queue.is_served = True
            self._tasks.start(self._serve_queue(known, queue))

    async def _serve_queue(self, known: _Base, queue: _Queue) -> None:
        following = None
        try:
            while queue.ready():
                turn = following or await self._reserve(queue)
                following = None
                queue.refuse(self.monotonic(), turn.at)
                if turn.is_reserved and queue.ready():
                    following = await self._use(known, queue, turn.at)
        except Exception as error:  # noqa: BLE001 (raised in each waiting request)
            queue.fail(error)
        finally:
            queue.is_served = False

    async def _use(self, known: _Base, queue: _Queue, turn: float) -> _Reserved | None:
        """Hand out a turn when it is due. Returns the following turn if it was asked for meanwhile.

        A turn is dropped if a pause has begun since it was reserved. Processes reserve turns at
        most `patience` ahead, so if no turn is free for longer than that, there is a pause.
        """
        following = None
        if (wait := turn - self.monotonic()) > _FRESH_SECONDS:
            await self.sleep(wait - _FRESH_SECONDS)
            following = await self._look_ahead(known, queue)
        if (wait := turn - self.monotonic()) > 0:
            await self.sleep(wait)
        if known.schedule.full_until <= turn + self.patience + _WINDOW_SECONDS:
            self._hand_out(known, queue)
        return following

    async def _look_ahead(self, known: _Base, queue: _Queue) -> _Reserved:
        """Reserve the next turn if another request is waiting. Otherwise only ask when it is due.

        Either answer shows whether a pause has begun.
        """
        waiting = queue.ready() if queue is known.regular else []
        return await self._ask(known.schedule, self._within(waiting) if waiting[1:] else -1.0)

    def _hand_out(self, known: _Base, queue: _Queue) -> None:
        """Give a turn to the next request. Connections that were not refused come first."""
        for each in (known.regular, queue):
            while waiter := each.take_next():
                if not waiter.turn.done():
                    waiter.turn.set_result(None)
                    return
                self._release(known, waiter)

    async def _reserve(self, queue: _Queue) -> _Reserved:
        """Reserve one turn if a waiting request can wait that long."""
        turn = _Reserved(max(each.next_turn for each in queue.schedules), is_reserved=True)
        for schedule in queue.schedules:
            within = self._within(queue.ready())
            if not turn.is_reserved or turn.at > self.monotonic() + within:
                return turn._replace(is_reserved=False)
            found = await self._ask(schedule, within)
            turn = _Reserved(max(turn.at, found.at), found.is_reserved)
        return turn

    def _within(self, waiting: list[_Waiter]) -> float:
        """Seconds until the latest deadline of the waiting requests."""
        return max(0.0, max(waiter.deadline for waiter in waiting) - self.monotonic())

    async def _ask(self, schedule: _Schedule, within: float) -> _Reserved:
        """Reserve a turn under one key. A negative `within` only asks when the next one is due.

        The wait counts from the arrival of the store's answer. Turns are therefore used late rather
        than early, and about equally late in all processes.
        """
        try:
            turn = await self._ask_store(schedule, within)
        except Unavailable:
            turn = Turn(0.0, is_reserved=within >= 0)
        at = max(self.monotonic() + turn.wait, schedule.next_turn)
        if turn.is_reserved:
            schedule.add(at)
        else:
            schedule.full_until = at
        return _Reserved(at, turn.is_reserved)

    async def _ask_store(self, schedule: _Schedule, within: float) -> Turn:
        async def ask() -> Turn:
            return await self.store.reserve_turn(
                schedule.key, most=schedule.most, window=_WINDOW_SECONDS, within=within
            )

        turn = await ask()
        if turn.wait > _LONGEST_WAIT:
            await self.store.pop(schedule.key)
            turn = await ask()
        return turn

    async def _store_pause(self, schedule: _Schedule, end: float) -> None:
        seconds = end - self.monotonic()
        if seconds > 0:
            await self.store.delay_turns(
                schedule.key, most=schedule.most, window=_WINDOW_SECONDS, seconds=seconds
            )

    def _known(self, base: str) -> _Base:
        """Return the state of a base. Drops the least recently used one, unless it is busy."""
        known = self._bases.get(base)
        if known is None:
            # The namespace is not below `name:`, because everything there is encrypted.
            namespace = f"{self.name}.plain", "rate-limit"
            known = self._bases[base] = _Base(
                storage_key(*namespace, base),
                storage_key(*namespace, base, "refused"),
                lambda connection: self._standing(base, connection),
            )
        self._bases.move_to_end(base)
        for _ in range(min(2, max(0, len(self._bases) - _MOST_BASES))):
            oldest, busy = self._bases.popitem(last=False)
            if not busy.is_idle(self.monotonic()):
                self._bases[oldest] = busy
        return known


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(error)


def _drain_seconds(waiting: int) -> float:
    """Seconds that it takes to send this many requests."""
    return waiting * _WINDOW_SECONDS / _REQUESTS
