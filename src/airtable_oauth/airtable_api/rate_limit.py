"""Rate limiting for Airtable's Web API: five requests per second per base, across all processes.

Source: Airtable's reference, "Rate limits". Above five requests per second per base, Airtable
answers 429, and the client must then wait 30 seconds.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from airtable_oauth.airtable_api.queues import (
    WINDOW_SECONDS,
    BaseQueues,
    Queue,
    Schedule,
    Waiter,
)
from airtable_oauth.background import Background, Sleep, until_stored
from airtable_oauth.errors import RateLimited, Unavailable
from airtable_oauth.stores import Store, Turn
from airtable_oauth.stores.keys import storage_key

PAUSE_SECONDS = 30.0
"""How long Airtable refuses requests to a base after a 429."""
_LONGEST_WAIT = PAUSE_SECONDS + 5.0
"""A turn further away than this was stored while the store's clock was wrong."""
_STANDING_SECONDS = 600.0
_MOST_STANDINGS = 10_000
_MOST_BASES = 1_000
_FRESH_SECONDS = 0.25
"""A turn reserved longer ago than this is used only if no pause has begun since."""
_CLOSE_SECONDS = 1.0


class _Reserved(NamedTuple):
    """A reserved turn, or the next free one. `at` is in monotonic seconds."""

    at: float
    is_reserved: bool


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
    _bases: OrderedDict[str, BaseQueues] = field(default_factory=OrderedDict, init=False)
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
                queue.fail(RateLimited(WINDOW_SECONDS))
        self._tasks.cancel()
        await self._tasks.drain(_CLOSE_SECONDS)

    async def _wait(self, known: BaseQueues, connection: str) -> Waiter:
        queue = known.refused if known.standing(connection) is False else known.regular
        waiter = Waiter(connection, self.monotonic() + self.patience, asyncio.Future())
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

    async def _expire(self, known: BaseQueues, waiter: Waiter) -> None:
        """Refuse a request at its deadline if its connection still waits for another answer."""
        await self.sleep(waiter.deadline - self.monotonic())
        for queue in known.queues:
            queue.leave(waiter)
        waiter.fail(RateLimited(WINDOW_SECONDS))

    def _release(self, known: BaseQueues, waiter: Waiter) -> None:
        """Allow a connection of unknown access to send its next request."""
        if waiter.is_first:
            known.under_way.discard(waiter.connection)
            self._serve(known, known.regular)

    def _standing(self, base: str, connection: str) -> bool | None:
        """Whether Airtable recently gave a connection access to a base; None if unknown."""
        has_access, at = self._standings.get((base, connection), (None, 0.0))
        is_recent = self.monotonic() - at < _STANDING_SECONDS
        return has_access if is_recent else None

    def _serve(self, known: BaseQueues, queue: Queue) -> None:
        """Give turns to a queue until none of its requests can be sent."""
        if not queue.is_served and queue.ready():
            queue.is_served = True
            self._tasks.start(self._serve_queue(known, queue))

    async def _serve_queue(self, known: BaseQueues, queue: Queue) -> None:
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

    async def _use(self, known: BaseQueues, queue: Queue, turn: float) -> _Reserved | None:
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
        if known.schedule.full_until <= turn + self.patience + WINDOW_SECONDS:
            self._hand_out(known, queue)
        return following

    async def _look_ahead(self, known: BaseQueues, queue: Queue) -> _Reserved:
        """Reserve the next turn if another request is waiting. Otherwise only ask for its time.

        Either answer shows whether a pause has begun.
        """
        waiting = queue.ready() if queue is known.regular else []
        return await self._ask(known.schedule, self._within(waiting) if waiting[1:] else -1.0)

    def _hand_out(self, known: BaseQueues, queue: Queue) -> None:
        """Give a turn to the next request. Connections that were not refused come first."""
        for each in (known.regular, queue):
            while waiter := each.take_next():
                if not waiter.turn.done():
                    waiter.turn.set_result(None)
                    return
                self._release(known, waiter)

    async def _reserve(self, queue: Queue) -> _Reserved:
        """Reserve one turn if a waiting request can wait that long."""
        turn = _Reserved(max(each.next_turn for each in queue.schedules), is_reserved=True)
        for schedule in queue.schedules:
            within = self._within(queue.ready())
            if not turn.is_reserved or turn.at > self.monotonic() + within:
                return turn._replace(is_reserved=False)
            found = await self._ask(schedule, within)
            turn = _Reserved(max(turn.at, found.at), found.is_reserved)
        return turn

    def _within(self, waiting: list[Waiter]) -> float:
        """Seconds until the latest deadline of the waiting requests."""
        return max(0.0, max(waiter.deadline for waiter in waiting) - self.monotonic())

    async def _ask(self, schedule: Schedule, within: float) -> _Reserved:
        """Reserve a turn under one key. A negative `within` only asks for the next one's time.

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

    async def _ask_store(self, schedule: Schedule, within: float) -> Turn:
        async def ask() -> Turn:
            return await self.store.reserve_turn(
                schedule.key, most=schedule.most, window=WINDOW_SECONDS, within=within
            )

        turn = await ask()
        if turn.wait > _LONGEST_WAIT:
            await self.store.pop(schedule.key)
            turn = await ask()
        return turn

    async def _store_pause(self, schedule: Schedule, end: float) -> None:
        seconds = end - self.monotonic()
        if seconds > 0:
            await self.store.delay_turns(
                schedule.key, most=schedule.most, window=WINDOW_SECONDS, seconds=seconds
            )

    def _known(self, base: str) -> BaseQueues:
        """Return a base's state. Above `_MOST_BASES`, drops the least recently used if idle."""
        known = self._bases.get(base)
        if known is None:
            # The namespace is not below `name:`, because everything there is encrypted.
            namespace = f"{self.name}.plain", "rate-limit"
            known = self._bases[base] = BaseQueues(
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
