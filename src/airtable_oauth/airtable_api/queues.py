"""The requests of this process that wait for a turn, and which of them is sent next. No I/O."""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from airtable_oauth.errors import RateLimited

REQUESTS = 5
"""Turns of a base per window: Airtable's limit."""
WINDOW_SECONDS = 1.1
"""Slightly more than Airtable's second. Airtable counts arrivals, and some requests travel faster
than those sent before them."""
_MOST_WAITING = 10
"""Waiting requests of one connection per base: more could not be sent within
`RateLimiter.patience`."""

Standing = Callable[[str], bool | None]
"""Whether a connection has access to the base; None if unknown."""


@dataclass(eq=False, slots=True)
class Schedule:
    """What this process knows about the turns of one storage key. Times are monotonic seconds."""

    key: str
    most: int
    full_until: float = -math.inf
    """Until then no turn is free, according to the store or because of a pause."""
    turns: deque[float] = field(default_factory=deque)
    """This process's last turns. They enforce the limit while the store is unavailable."""

    @property
    def next_turn(self) -> float:
        """The earliest time at which the next turn can be due."""
        own = self.turns[0] + WINDOW_SECONDS if len(self.turns) == self.most else -math.inf
        return max(self.full_until, own)

    def add(self, turn: float) -> None:
        """Record a turn of this process."""
        self.turns.append(turn)
        if len(self.turns) > self.most:
            self.turns.popleft()


@dataclass(eq=False, slots=True)
class Waiter:
    """A request that waits for its turn."""

    connection: str
    deadline: float
    turn: asyncio.Future[None]
    is_first: bool = False
    """Whether it is the request whose answer will show if the connection has access to the base."""

    def fail(self, error: Exception) -> None:
        """Raise an error in the caller, unless it has its turn or was cancelled."""
        if not self.turn.done():
            self.turn.set_exception(error)


class Queue:
    """A queue of requests to a base.

    The base's turns go to its connections alternately, so a flood delays only itself. A connection
    of unknown access (it is not known whether it may use the base) sends one request at a time: its
    other requests wait until Airtable has answered that one.
    """

    def __init__(self, standing: Standing, under_way: set[str], *schedules: Schedule) -> None:
        """`under_way`: the connections of unknown access that have a request under way."""
        self.schedules = schedules
        self.is_served = False
        self._standing = standing
        self._under_way = under_way
        self._waiting: OrderedDict[str, deque[Waiter]] = OrderedDict()
        self._known_is_next = True

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def join(self, waiter: Waiter) -> None:
        """Queue a request behind the connection's other requests.

        Raises:
            RateLimited: too many of them are waiting already.
        """
        if len(self._waiting.get(waiter.connection, ())) >= _MOST_WAITING:
            raise RateLimited(_drain_seconds(_MOST_WAITING))
        self.add(waiter)

    def add(self, waiter: Waiter) -> None:
        """Queue a request, however many are waiting."""
        self._waiting.setdefault(waiter.connection, deque()).append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Remove a request from the queue."""
        waiting = self._waiting.get(waiter.connection, deque())
        if waiter in waiting:
            waiting.remove(waiter)
        if not waiting:
            self._waiting.pop(waiter.connection, None)

    def move(self, connection: str, other: "Queue") -> None:
        """Move the requests of a connection to another queue."""
        for waiter in self._waiting.pop(connection, ()):
            other.add(waiter)

    def ready(self) -> list[Waiter]:
        """The requests that may be sent as soon as turns are free."""
        found: list[Waiter] = []
        for connection, waiting in self._waiting.items():
            is_unknown = self._standing(connection) is None
            if not is_unknown:
                found.extend(waiting)
            elif connection not in self._under_way:
                found.append(waiting[0])
        return found

    def take_next(self) -> Waiter | None:
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
            waiter.fail(RateLimited(seconds))

    def fail(self, error: Exception) -> None:
        """Fail all waiting requests with an error."""
        for waiter in self._waiters():
            self.leave(waiter)
            waiter.fail(error)

    def _is_known(self, connection: str) -> bool:
        return self._standing(connection) is True

    def _waiters(self) -> list[Waiter]:
        return [waiter for waiting in self._waiting.values() for waiter in waiting]


class BaseQueues:
    """A base: its turns, and the requests that wait for them."""

    def __init__(self, key: str, refused_key: str, standing: Standing) -> None:
        self.standing = standing
        self.schedule = Schedule(key, REQUESTS)
        self.under_way: set[str] = set()
        refused_schedule = Schedule(refused_key, 1)
        self.regular = Queue(standing, self.under_way, self.schedule)
        self.refused = Queue(standing, self.under_way, refused_schedule, self.schedule)
        self.queues = (self.regular, self.refused)

    def is_idle(self, now: float) -> bool:
        """Whether it can be dropped from memory."""
        is_used = any(queue.is_served or len(queue) for queue in self.queues) or self.under_way
        return not is_used and max(queue.schedules[0].next_turn for queue in self.queues) <= now


def _drain_seconds(waiting: int) -> float:
    """Seconds that it takes to send this many requests."""
    return waiting * WINDOW_SECONDS / REQUESTS
