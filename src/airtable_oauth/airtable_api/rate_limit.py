"""Rate limiting for Airtable's Web API: five requests a second for each base, over all processes.

Source: Airtable's reference, "Rate limits": past five requests a second for a base it answers 429,
and a client must then wait for 30 seconds.
"""

import asyncio
import json
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

from airtable_oauth.background import Background, Sleep, Tries
from airtable_oauth.errors import RateLimited, StoreUnavailable, Unavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key

T = TypeVar("T")

_REQUESTS = 5
_WINDOW_SECONDS = 1.1
"""Airtable counts arrivals: a little more than its second, because some requests travel faster."""
_DISTANCE_SECONDS = 0.2
"""Between requests that must wait: a bit less than a fifth of the window."""
PAUSE_SECONDS = 30.0
"""How long Airtable refuses a base after a 429."""
_MOST_WAITING = 10
"""Requests of one connection that wait for a base: more could not be sent within the patience."""
_STANDING_SECONDS = 600.0
_MOST_STANDINGS = 10_000
_MOST_BASES = 1_000
_FRESH_SECONDS = 0.25
"""A schedule that was read so long ago at most is not read again before a request is sent."""
_LONGEST_LEAD = 1.0
_LEAD_DECAY = 0.9
_TTL_MARGIN = 2.0
_CLOSE_SECONDS = 1.0
_CLOCK_SECONDS = 5.0
"""How far the clocks of two processes may be apart."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When requests to a base are sent. All processes share it, as a small JSON object.

    All times are seconds since 1970 by the store's clock.
    """

    pause_until: float = 0.0
    turns: tuple[float, ...] = ()
    """The last five turns, the oldest first. Some may be in the future."""
    refused_turn: float = 0.0
    """The last turn that was reserved for connections without access to the base."""

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Deserialise. What cannot be read counts as an empty schedule."""
        try:
            stored = json.loads(value)
            turns = tuple(map(float, stored["turns"]))
            return cls(float(stored["pause_until"]), turns, float(stored["refused_turn"]))
        except (KeyError, TypeError, ValueError):
            return cls()

    def encode(self) -> bytes:
        """Serialise."""
        stored = {
            "pause_until": self.pause_until,
            "turns": self.turns,
            "refused_turn": self.refused_turn,
        }
        return json.dumps(stored).encode()

    def next_turn(self, earliest: float, *, refused: bool) -> float:
        """The next time at which a request may be sent.

        Any six consecutive turns then span a window at least. Five requests may be sent at once;
        those that must wait are spread over the window, so that the processes which wait do not
        all use the store at the same moment. `refused` is for connections without access: they get
        one turn in a window.
        """
        turn = max(earliest, self.pause_until)
        if refused:
            turn = max(turn, self.refused_turn + _WINDOW_SECONDS)
        if len(self.turns) == _REQUESTS and self.turns[0] + _WINDOW_SECONDS > turn:
            turn = self.turns[0] + _WINDOW_SECONDS
            for other in self.turns:
                if abs(other - turn) < _DISTANCE_SECONDS:
                    turn = other + _DISTANCE_SECONDS
        return turn

    def with_turn(self, turn: float, *, refused: bool) -> "Schedule":
        """This schedule with one more turn."""
        turns = tuple(sorted((*self.turns, turn))[-_REQUESTS:])
        return replace(self, turns=turns, refused_turn=turn if refused else self.refused_turn)

    def merge(self, other: "Schedule") -> "Schedule":
        """What is known from both: neither a pause nor a turn gets lost."""
        if other in (self, _EMPTY):
            return self
        turns = sorted((Counter(self.turns) | Counter(other.turns)).elements())
        return Schedule(
            max(self.pause_until, other.pause_until),
            tuple(turns[-_REQUESTS:]),
            max(self.refused_turn, other.refused_turn),
        )

    def plausible(self, now: float) -> "Schedule":
        """Without times so far ahead that the clock was wrong when they were written."""
        latest = now + PAUSE_SECONDS + _CLOCK_SECONDS
        if self.end <= latest:
            return self
        return Schedule(
            self.pause_until if self.pause_until <= latest else 0.0,
            tuple(turn for turn in self.turns if turn <= latest),
            self.refused_turn if self.refused_turn <= latest else 0.0,
        )

    @property
    def end(self) -> float:
        """When it no longer delays any request."""
        last = max((*self.turns, self.refused_turn))
        return max(self.pause_until, last + _WINDOW_SECONDS)


_EMPTY = Schedule()


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request that waits for its turn."""

    connection: str
    deadline: float
    turn: asyncio.Future[None]


class _Line:
    """Requests that wait for a base. Their connections take turns, so a flood delays only itself.

    `refused`: whether this is the line of connections that have no access to the base.
    """

    def __init__(self, *, refused: bool) -> None:
        self.refused = refused
        self.is_served = False
        self._waiting: OrderedDict[str, deque[_Waiter]] = OrderedDict()
        self._known_is_next = True

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def last_deadline(self) -> float:
        """Until when the most patient request waits."""
        return max((waiter.deadline for waiter in self._waiters()), default=-math.inf)

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

    def take_next(self, is_known: Callable[[str], bool]) -> _Waiter | None:
        """Take out the request whose turn it is.

        If connections that are known to have access and new ones wait, they alternate: neither a
        flood of the former nor many of the latter keeps the others waiting.
        """
        preferred = (each for each in self._waiting if is_known(each) == self._known_is_next)
        connection = next(preferred, next(iter(self._waiting), None))
        if connection is None:
            return None
        self._known_is_next = not is_known(connection)
        waiter = self._waiting[connection][0]
        self._waiting.move_to_end(connection)
        self.leave(waiter)
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

    def _waiters(self) -> list[_Waiter]:
        return [waiter for waiting in self._waiting.values() for waiter in waiting]


@dataclass(eq=False, slots=True)
class _Base:
    """What this process knows about a base."""

    key: str
    schedule: Schedule = field(default_factory=Schedule)
    """Everything that is known: what is stored, and what could not be stored yet."""
    stored: Schedule = field(default_factory=Schedule)
    """The schedule as last read or written. Its version is None if the store has no entry."""
    version: bytes | None = None
    expires_at: float = math.inf
    """When the store forgets the entry that this process wrote."""
    contended: bool = False
    """Whether another process has written since this one did. Then it is read first."""
    others: _Line = field(default_factory=lambda: _Line(refused=False))
    refused: _Line = field(default_factory=lambda: _Line(refused=True))

    def learn(self, stored: Schedule, version: bytes | None, expires_at: float = math.inf) -> None:
        """Note what is stored."""
        self.stored, self.version, self.expires_at = stored, version, expires_at
        self.schedule = self.schedule.merge(stored)

    def is_idle(self, now: float) -> bool:
        """Whether it can be forgotten."""
        is_served = self.others.is_served or self.refused.is_served
        return not is_served and self.schedule.end <= now


@dataclass(slots=True)
class RateLimiter:
    """Turns for the requests to each base, five in a window, over all processes of an integration.

    The processes share a `Schedule` for each base and reserve turns in it by compare-and-set.
    Reserving a turn therefore also tells whether another process began a pause. The values are
    only times, so `store` may be the one below the encryption: there a process knows the version
    that it has just written and need not read it again, which saves a round trip. Any store works.

    Within a process the connections take turns. Those that Airtable lately refused the base (403
    or 404) get one turn in a window, in all processes together, and only while none of the others
    waits. When the store is unavailable, each process keeps the limit on its own.
    """

    store: Store
    name: str
    clock: StoreClock
    sleep: Sleep = asyncio.sleep
    patience: float = 2.0
    """Seconds that a request waits for its turn before it is refused."""
    _tasks: Background = field(default_factory=Background, init=False)
    _bases: OrderedDict[str, _Base] = field(default_factory=OrderedDict, init=False)
    _standings: OrderedDict[tuple[str, str], tuple[bool, float]] = field(
        default_factory=OrderedDict, init=False
    )
    """By base and connection: whether Airtable gave it access, and when (monotonic seconds)."""
    _lead: float = field(default=0.0, init=False)
    """Seconds that a change in the store takes. A turn is prepared that long before it is due."""

    async def acquire(self, base: str, connection: str) -> None:
        """Wait for a turn. A caller that is cancelled leaves its turn to the next one.

        Raises:
            RateLimited: No turn becomes free within `patience`, or a pause is in force.
        """
        began = self.clock.monotonic()
        now = await self._now()
        self._note_lead(began)  # the store may just have been asked for its time
        known = self._known(base, now)
        if known.schedule.pause_until - now > self.patience:
            raise RateLimited(known.schedule.pause_until - now)
        line = known.refused if self._standing(base, connection) is False else known.others
        waiter = _Waiter(connection, now + self.patience, asyncio.Future())
        line.join(waiter)
        self._serve(base, known, line)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            known.others.leave(waiter)
            known.refused.leave(waiter)
            if not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._hand_out(base, known, line)
            raise

    async def record_429(self, base: str) -> None:
        """Begin a pause of 30 seconds in all processes, and refuse the requests that wait."""
        now = await self._now()
        known = self._known(base, now)
        pause = Schedule(pause_until=now + PAUSE_SECONDS)
        known.schedule = known.schedule.merge(pause)
        for line in (known.others, known.refused):
            line.refuse(now, pause.pause_until)
        await self._change(known, lambda schedule, _now: (schedule.merge(pause), None))

    def record_answer(self, base: str, connection: str, status: int) -> None:
        """Note whether a connection has access to a base.

        Only a success proves access: Airtable may give other errors before it checks permissions.
        A single 403 or 404 does not outweigh a success of the last ten minutes.
        """
        is_success = 200 <= status < 300  # noqa: PLR2004
        is_refusal = status in (403, 404) and self._standing(base, connection) is not True
        if not (is_success or is_refusal):
            return
        self._standings[base, connection] = (is_success, self.clock.monotonic())
        self._standings.move_to_end((base, connection))
        if len(self._standings) > _MOST_STANDINGS:
            self._standings.popitem(last=False)
        if known := self._bases.get(base):
            old, new = known.others, known.refused
            if is_success:
                old, new = new, old
            old.move(connection, new)
            self._serve(base, known, new)

    async def close(self) -> None:
        """Refuse the requests that wait. Later ones are served again."""
        self._tasks.cancel()
        await self._tasks.drain(_CLOSE_SECONDS)

    def _standing(self, base: str, connection: str) -> bool | None:
        """Whether Airtable gave a connection access to a base; None if it is not known."""
        has_access, at = self._standings.get((base, connection), (None, 0.0))
        is_recent = self.clock.monotonic() - at < _STANDING_SECONDS
        return has_access if is_recent else None

    def _serve(self, base: str, known: _Base, line: _Line) -> None:
        """Give turns to a line until it is empty."""
        if len(line) and not line.is_served:
            line.is_served = True
            self._tasks.start(self._serve_line(base, known, line))

    async def _serve_line(self, base: str, known: _Base, line: _Line) -> None:
        turns: deque[float] = deque()
        try:
            while len(line):
                if not turns:
                    turns.extend(await self._reserve(known, line, len(line)))
                await self._refuse(known, line, turns)
                if turns and len(line):
                    await self._serve_turn(base, known, line, turns)
        except Exception as error:  # noqa: BLE001 (raised where it can be answered)
            line.fail(error)
        finally:
            line.is_served = False
            line.fail(RateLimited(_WINDOW_SECONDS))  # this task was cancelled

    async def _serve_turn(self, base: str, known: _Base, line: _Line, turns: deque[float]) -> None:
        """Hand out the first of the reserved turns when it is due.

        If that is later, the schedule is read again shortly before, because a pause may have begun
        meanwhile. The same round trips reserve the turn after it, if a request waits for that.
        """
        lead = self._lead
        wait = turns[0] - await self._now()
        if wait > max(_FRESH_SECONDS, lead):
            await self.sleep(wait - lead)
            turns.extend(await self._reserve(known, line, len(line) - len(turns)))
            wait = min(turns[0] - await self._now(), lead)
        if wait > 0:
            await self.sleep(wait)
        if known.schedule.pause_until > turns[0]:
            turns.clear()
        else:
            turns.popleft()
            self._hand_out(base, known, line)

    def _hand_out(self, base: str, known: _Base, line: _Line) -> None:
        """Give a turn to the request that is next: to one of the others first."""

        def is_known(connection: str) -> bool:
            return self._standing(base, connection) is True

        for each in (known.others, line):
            while waiter := each.take_next(is_known):
                if not waiter.turn.done():
                    waiter.turn.set_result(None)
                    return

    async def _refuse(self, known: _Base, line: _Line, turns: Sequence[float]) -> None:
        """Refuse the requests that would not wait until the next turn."""
        now = await self._now()
        next_turn = known.schedule.next_turn(now, refused=line.refused)
        line.refuse(now, turns[0] if turns else next_turn)

    async def _reserve(self, known: _Base, line: _Line, count: int) -> list[float]:
        """Reserve up to `count` turns: the next one, and others that are due at once or nearly so.

        A process reserves hardly more than one turn in advance. So the processes that have requests
        for a base take turns as well. Nothing is reserved that no request would wait for.
        """

        def reserve(schedule: Schedule, now: float) -> tuple[Schedule, list[float]]:
            turns: list[float] = []
            for _ in range(count):
                turn = schedule.next_turn(now, refused=line.refused)
                if turn > line.last_deadline or (turns and turn > now + _FRESH_SECONDS):
                    break
                turns.append(turn)
                sent_at = max(turn, now + self._lead)
                schedule = schedule.with_turn(sent_at, refused=line.refused)
            return schedule, turns

        return await self._change(known, reserve)

    async def _change(
        self, known: _Base, change: Callable[[Schedule, float], tuple[Schedule, T]]
    ) -> T:
        """Change the schedule in the store, or read it if nothing changes; the change's result.

        One round trip; two while other processes write, too. If the store is unavailable, the
        schedule changes in this process only, and the next change stores it.
        """
        began = self.clock.monotonic()
        try:
            result = await self._change_stored(known, change)
        except Unavailable:
            known.schedule, result = change(known.schedule, await self._now())
        else:
            self._lead *= _LEAD_DECAY
            self._note_lead(began)
        return result

    async def _change_stored(
        self, known: _Base, change: Callable[[Schedule, float], tuple[Schedule, T]]
    ) -> T:
        was_read = known.contended
        if was_read:
            await self._read(known)
        async for _ in Tries(self.sleep):
            now = await self._now()
            known.schedule = known.schedule.plausible(now)
            schedule, result = change(known.schedule, now)
            if schedule == known.stored and was_read:
                return result
            if schedule != known.stored and await self._write(known, schedule, now):
                return result
            await self._read(known)
            was_read = True
        raise StoreUnavailable(cause="contention")

    async def _read(self, known: _Base) -> None:
        """Read the schedule."""
        entry = await self.store.get(known.key)
        known.contended = entry is not None and entry.version != known.version
        if entry is None:
            known.learn(Schedule(), None)
        else:
            known.learn(Schedule.decode(entry.value), entry.version)

    async def _write(self, known: _Base, schedule: Schedule, now: float) -> bool:
        """Store a schedule unless another process has stored one. Returns whether it was stored."""
        value = schedule.encode()
        ttl = max(0.0, schedule.end - now) + _TTL_MARGIN
        version = known.version if now < known.expires_at else None
        if version is None:
            is_stored = await self.store.add(known.key, value, ttl)
        else:
            is_stored = await self.store.replace(known.key, value, ttl, version=version)
        if is_stored:
            known.learn(schedule, value, now + ttl)
        return is_stored

    def _note_lead(self, began: float) -> None:
        self._lead = min(max(self._lead, self.clock.monotonic() - began), _LONGEST_LEAD)

    async def _now(self) -> float:
        """Seconds since 1970 by the store's clock; monotonic ones if it has never answered."""
        try:
            return await self.clock.now()
        except StoreUnavailable:
            return self.clock.monotonic()

    def _known(self, base: str, now: float) -> _Base:
        """What is known about a base. The one used longest ago is forgotten, unless it is busy."""
        known = self._bases.get(base)
        if known is None:
            # The namespace is not below `name:`, where everything is encrypted.
            key = storage_key(f"{self.name}.plain", "rate-limit", base)
            known = self._bases[base] = _Base(key)
        known.schedule = known.schedule.plausible(now)
        self._bases.move_to_end(base)
        for _ in range(min(2, max(0, len(self._bases) - _MOST_BASES))):
            oldest, busy = self._bases.popitem(last=False)
            if not busy.is_idle(now):
                self._bases[oldest] = busy
        return known


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.turn.done():
        waiter.turn.set_exception(error)


def _drain_seconds(waiting: int) -> float:
    """Seconds in which so many requests can be sent."""
    return waiting * _WINDOW_SECONDS / _REQUESTS
