"""Rate limiting for Airtable's Web API: five requests a second for each base, over all processes.

Source: Airtable's reference, "Rate limits": past five requests a second for a base it answers 429,
and a client must then wait for 30 seconds.
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
"""Airtable counts arrivals: a little more than its second, because some requests travel faster."""
PAUSE_SECONDS = 30.0
"""How long Airtable refuses a base after a 429."""
_LONGEST_WAIT = PAUSE_SECONDS + 5.0
"""A turn that is further away was stored while the store's clock was wrong."""
_MOST_WAITING = 10
"""Requests of one connection that wait for a base: more could not be sent within the patience."""
_STANDING_SECONDS = 600.0
_MOST_STANDINGS = 10_000
_MOST_BASES = 1_000
_FRESH_SECONDS = 0.25
"""A turn that was reserved longer ago is used only if no pause has begun since."""
_CLOSE_SECONDS = 1.0

Standing = Callable[[str], bool | None]
"""Whether a connection has access to the base; None if that is not known."""


class _Reserved(NamedTuple):
    """A turn, or the next one that would be free. Monotonic seconds."""

    at: float
    is_reserved: bool


@dataclass(eq=False, slots=True)
class _Schedule:
    """What this process knows about the turns under a key of the store. Monotonic seconds."""

    key: str
    most: int
    full_until: float = -math.inf
    """No turn is free earlier: the store's answer, or the end of a pause."""
    turns: deque[float] = field(default_factory=deque)
    """The last turns of this process: it keeps the limit also while the store is away."""

    @property
    def next_turn(self) -> float:
        """No turn is due earlier."""
        own = self.turns[0] + _WINDOW_SECONDS if len(self.turns) == self.most else -math.inf
        return max(self.full_until, own)

    def add(self, turn: float) -> None:
        """Note a turn of this process."""
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
    """Whether its answer will show if the connection has access to the base."""


class _Line:
    """Requests that wait for a base. Their connections take turns, so a flood delays only itself.

    A connection whose access is not known has one request under way at a time: until Airtable has
    answered that one, the others wait.
    """

    def __init__(self, standing: Standing, under_way: set[str], *schedules: _Schedule) -> None:
        """`under_way`: the new connections that have a request under way."""
        self.schedules = schedules
        self.is_served = False
        self._standing = standing
        self._under_way = under_way
        self._waiting: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._known_is_next = True

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def join(self, waiter: _Waiter) -> None:
        """Wait behind the connection's other requests.

        Raises:
            RateLimited: too many of them wait already.
        """
        waiting = self._waiting.setdefault(waiter.connection, deque())
        if len(waiting) >= _MOST_WAITING:
            raise RateLimited(_drain_seconds(_MOST_WAITING))
        waiting.append(waiter)

    def leave(self, waiter: _Waiter) -> None:
        """Wait no longer."""
        waiting = self._waiting.get(waiter.connection, deque())
        if waiter in waiting:
            waiting.remove(waiter)
        if not waiting:
            self._waiting.pop(waiter.connection, None)

    def move(self, connection: str, other: "_Line") -> None:
        """Move the requests of a connection to another line."""
        waiting = self._waiting.pop(connection, None)
        if waiting:
            other._waiting.setdefault(connection, deque()).extend(waiting)  # noqa: SLF001 (its own)

    def ready(self) -> list[_Waiter]:
        """The requests that may be sent as soon as there are turns."""
        found: list[_Waiter] = []
        for connection, waiting in self._waiting.items():
            is_new = self._standing(connection) is None
            if not is_new:
                found.extend(waiting)
            elif connection not in self._under_way:
                found.append(waiting[0])
        return found

    def take_next(self) -> _Waiter | None:
        """Take out the request whose turn it is.

        If connections that are known to have access and new ones wait, they alternate: neither a
        flood of the former nor many of the latter keeps the others waiting.
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
        """Refuse requests that would not wait until the next turn."""
        seconds = max(next_turn - now, _drain_seconds(len(self)))
        for waiter in [each for each in self._waiters() if each.deadline < next_turn]:
            self.leave(waiter)
            _fail(waiter, RateLimited(seconds))

    def fail(self, error: Exception) -> None:
        """Raise an error in all requests that wait."""
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
        self.others = _Line(standing, self.under_way, self.schedule)
        self.refused = _Line(standing, self.under_way, refused_schedule, self.schedule)
        self.lines = (self.others, self.refused)

    def is_idle(self, now: float) -> bool:
        """Whether it can be forgotten."""
        is_used = any(line.is_served or len(line) for line in self.lines) or self.under_way
        return not is_used and max(line.schedules[0].next_turn for line in self.lines) <= now


@dataclass(slots=True)
class RateLimiter:
    """Turns for the requests to each base, five in a window, over all processes of an integration.

    The processes reserve turns in the store. Within a process the connections take turns. Those
    that Airtable lately refused the base (403 or 404) get one turn in a window, in all processes
    together, and only while none of the others waits. When the store is unavailable, each process
    keeps the limit on its own.
    """

    store: Store
    name: str
    monotonic: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    patience: float = 2.0
    """Seconds that a request waits for its turn before it is refused."""
    _tasks: Background = field(default_factory=Background, init=False)
    _bases: OrderedDict[str, _Base] = field(default_factory=OrderedDict, init=False)
    _standings: OrderedDict[tuple[str, str], tuple[bool, float]] = field(
        default_factory=OrderedDict, init=False
    )
    """By base and connection: whether Airtable gave it access, and when (monotonic seconds)."""

    @asynccontextmanager
    async def turn(self, base: str, connection: str) -> AsyncIterator[None]:
        """Wait for a turn, and send one request. Call `record_answer` when it is answered.

        A caller that is cancelled while it waits leaves its turn to the next one.

        Raises:
            RateLimited: No turn becomes free within `patience`, or a pause is in force.
        """
        known = self._known(base)
        waiter = await self._wait(known, connection)
        try:
            yield
        finally:
            self._release(known, waiter)

    async def record_429(self, base: str) -> None:
        """Begin a pause of 30 seconds in all processes, and refuse the requests that wait."""
        known, now = self._known(base), self.monotonic()
        end = known.schedule.full_until = max(known.schedule.full_until, now + PAUSE_SECONDS)
        for line in known.lines:
            line.refuse(now, end)
        try:
            await self._store_pause(known.schedule, end)
        except Unavailable:
            self._tasks.start(
                until_stored(lambda: self._store_pause(known.schedule, end), self.sleep)
            )

    def record_answer(self, base: str, connection: str, status: int) -> None:
        """Note whether a connection has access to a base.

        Only a success proves access: Airtable may give other errors before it checks permissions.
        A single 403 or 404 does not outweigh a success of the last ten minutes.
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
            old, new = known.lines
            if is_success:
                old, new = new, old
            old.move(connection, new)
            self._serve(known, new)

    async def close(self) -> None:
        """Refuse the requests that wait. Later ones are served again."""
        for known in self._bases.values():
            for line in known.lines:
                line.fail(RateLimited(_WINDOW_SECONDS))
        self._tasks.cancel()
        await self._tasks.drain(_CLOSE_SECONDS)

    async def _wait(self, known: _Base, connection: str) -> _Waiter:
        line = known.refused if known.standing(connection) is False else known.others
        waiter = _Waiter(connection, self.monotonic() + self.patience, asyncio.Future())
        line.join(waiter)
        if waiter not in line.ready():
            self._tasks.start(self._expire(known, waiter))
        self._serve(known, line)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            for each in known.lines:
                each.leave(waiter)
            if not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._release(known, waiter)
                self._hand_out(known, line)
            raise
        return waiter

    async def _expire(self, known: _Base, waiter: _Waiter) -> None:
        """Refuse a request whose connection waits for another answer for too long."""
        await self.sleep(waiter.deadline - self.monotonic())
        for line in known.lines:
            line.leave(waiter)
        _fail(waiter, RateLimited(_WINDOW_SECONDS))

    def _release(self, known: _Base, waiter: _Waiter) -> None:
        """Let the next request of a new connection go."""
        if waiter.is_first:
            known.under_way.discard(waiter.connection)
            self._serve(known, known.others)

    def _standing(self, base: str, connection: str) -> bool | None:
        """Whether Airtable gave a connection access to a base; None if it is not known."""
        has_access, at = self._standings.get((base, connection), (None, 0.0))
        is_recent = self.monotonic() - at < _STANDING_SECONDS
        return has_access if is_recent else None

    def _serve(self, known: _Base, line: _Line) -> None:
        """Give turns to a line until no request in it can be sent."""
        if not line.is_served and line.ready():
            line.is_served = True
            self._tasks.start(self._serve_line(known, line))

    async def _serve_line(self, known: _Base, line: _Line) -> None:
        following = None
        try:
            while line.ready():
                turn = following or await self._reserve(line)
                following = None
                line.refuse(self.monotonic(), turn.at)
                if turn.is_reserved and line.ready():
                    following = await self._use(known, line, turn.at)
        except Exception as error:  # noqa: BLE001 (raised where it can be answered)
            line.fail(error)
        finally:
            line.is_served = False

    async def _use(self, known: _Base, line: _Line, turn: float) -> _Reserved | None:
        """Hand out a turn when it is due. Returns the turn after it if the store was asked for it.

        If a pause has begun since the turn was reserved, it is not handed out. Every process
        reserves turns at most `patience` ahead, so only a pause can fill a longer time.
        """
        following = None
        if (wait := turn - self.monotonic()) > _FRESH_SECONDS:
            await self.sleep(wait - _FRESH_SECONDS)
            following = await self._look_ahead(known, line)
        if (wait := turn - self.monotonic()) > 0:
            await self.sleep(wait)
        if known.schedule.full_until <= turn + self.patience + _WINDOW_SECONDS:
            self._hand_out(known, line)
        return following

    async def _look_ahead(self, known: _Base, line: _Line) -> _Reserved:
        """Reserve the next turn if another request waits for it. Shows whether a pause began."""
        waiting = line.ready() if line is known.others else []
        return await self._ask(known.schedule, self._within(waiting) if waiting[1:] else -1.0)

    def _hand_out(self, known: _Base, line: _Line) -> None:
        """Give a turn to the request that is next: to one of the others first."""
        for each in (known.others, line):
            while waiter := each.take_next():
                if not waiter.turn.done():
                    waiter.turn.set_result(None)
                    return
                self._release(known, waiter)

    async def _reserve(self, line: _Line) -> _Reserved:
        """Reserve one turn if a request would wait for it."""
        turn = _Reserved(max(each.next_turn for each in line.schedules), is_reserved=True)
        for schedule in line.schedules:
            within = self._within(line.ready())
            if not turn.is_reserved or turn.at > self.monotonic() + within:
                return turn._replace(is_reserved=False)
            found = await self._ask(schedule, within)
            turn = _Reserved(max(turn.at, found.at), found.is_reserved)
        return turn

    def _within(self, waiting: list[_Waiter]) -> float:
        """For how many seconds the most patient request will wait."""
        return max(0.0, max(waiter.deadline for waiter in waiting) - self.monotonic())

    async def _ask(self, schedule: _Schedule, within: float) -> _Reserved:
        """Reserve a turn under one key. A negative `within` only asks when the next one is due.

        The seconds count from the store's answer. So a turn is used late rather than early, and
        those of all processes by about as much.
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
        """What is known about a base. The one used longest ago is forgotten, unless it is busy."""
        known = self._bases.get(base)
        if known is None:
            # The namespace is not below `name:`, where everything is encrypted.
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
    """Seconds in which so many requests can be sent."""
    return waiting * _WINDOW_SECONDS / _REQUESTS
