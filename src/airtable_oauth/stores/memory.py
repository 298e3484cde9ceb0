"""The in-memory store: for one process, not durable, bounded."""

import heapq
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from airtable_oauth.errors import TooManyLogins
from airtable_oauth.stores import Entry, Turn, turns
from airtable_oauth.stores.pages import is_wanted

_SLACK = 64


class MemoryStore:
    """Holds entries in a dictionary, and their expiry times in a heap.

    No operation ever suspends, so each is atomic within its event loop. `limits` is the maximum
    number of entries by namespace (`{"airtable:login": 100_000}`). A full namespace refuses new
    keys and retains its entries.
    """

    def __init__(
        self,
        *,
        limits: Mapping[str, int] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._limits = dict(limits or {})
        self._clock = clock or _steady_clock()
        self._entries: dict[str, tuple[bytes, float]] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._sizes: Counter[str] = Counter()

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        value = self._live(key)
        return None if value is None else Entry(value, value)

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `Store.get_many`."""
        return [await self.get(key) for key in keys]

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """See `Store.put`."""
        self._expire()
        self._set(key, value, ttl)

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`."""
        self._expire()
        if key in self._entries:
            return False
        self._set(key, value, ttl)
        return True

    async def pop(self, key: str) -> bytes | None:
        """See `Store.pop`."""
        value = self._live(key)
        if value is not None:
            self._remove(key)
        return value

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """See `Store.replace`."""
        if self._live(key) != version:
            return False
        if ttl is None:
            self._entries[key] = (value, self._entries[key][1])
        else:
            self._set(key, value, ttl)
        return True

    async def discard(self, key: str, *, version: bytes) -> bool:
        """See `Store.discard`."""
        if self._live(key) != version:
            return False
        self._remove(key)
        return True

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """See `Store.reserve_turn`."""
        now, known = self._clock(), turns.decode(self._live(key), most)
        turn = turns.next_turn(known, now, window)
        if turn - now > within:
            return Turn(turn - now, is_reserved=False)
        known = [*known[1:], turn]
        self._set(key, turns.encode(known), max(known) + window - now)
        return Turn(turn - now, is_reserved=True)

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """See `Store.delay_turns`."""
        now = self._clock()
        delayed = turns.delay(turns.decode(self._live(key), most), now + seconds, window)
        self._set(key, turns.encode(delayed), max(delayed) + window - now)

    async def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """See `Store.scan`."""
        self._expire()
        now = self._clock()
        for key, (_, deadline) in list(self._entries.items()):
            if key.startswith(f"{namespace}:") and is_wanted(deadline - now, skip_ttl):
                yield key

    async def now(self) -> float:
        """See `Store.now`."""
        return self._clock()

    async def close(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self._deadlines.clear()
        self._sizes.clear()

    def _live(self, key: str) -> bytes | None:
        self._expire()
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def _set(self, key: str, value: bytes, ttl: float) -> None:
        namespace = _namespace(key)
        if key not in self._entries:
            if self._sizes[namespace] >= self._limits.get(namespace, self._sizes[namespace] + 1):
                raise TooManyLogins
            self._sizes[namespace] += 1
        deadline = self._clock() + ttl
        self._entries[key] = (value, deadline)
        heapq.heappush(self._deadlines, (deadline, key))
        self._compact()

    def _remove(self, key: str) -> None:
        del self._entries[key]
        self._sizes[_namespace(key)] -= 1

    def _expire(self) -> None:
        now = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, key = heapq.heappop(self._deadlines)
            if self._entries.get(key, (b"", None))[1] == deadline:
                self._remove(key)

    def _compact(self) -> None:
        """Drop outdated deadlines once they outnumber the entries by more than `_SLACK`."""
        if len(self._deadlines) > 2 * len(self._entries) + _SLACK:
            self._deadlines = [(deadline, key) for key, (_, deadline) in self._entries.items()]
            heapq.heapify(self._deadlines)


def _steady_clock() -> Callable[[], float]:
    """Return a clock in seconds since 1970 that ignores later changes of the system clock."""
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()


def _namespace(key: str) -> str:
    return key.rpartition(":")[0]
