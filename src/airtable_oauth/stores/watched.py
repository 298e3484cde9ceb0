"""Logs when a store stops working, why, and when it works again."""

from collections.abc import AsyncIterator, Sequence

from airtable_oauth.incidents import Incidents
from airtable_oauth.stores import Entry, Store, Turn


class WatchedStore:
    """Wraps any store, including a host's own. Reports the result of each operation."""

    def __init__(self, store: Store, incidents: Incidents) -> None:
        self._store = store
        self._incidents = incidents

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        with self._incidents:
            return await self._store.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `Store.get_many`."""
        with self._incidents:
            return await self._store.get_many(keys)

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """See `Store.put`."""
        with self._incidents:
            await self._store.put(key, value, ttl)

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`."""
        with self._incidents:
            return await self._store.add(key, value, ttl)

    async def pop(self, key: str) -> bytes | None:
        """See `Store.pop`."""
        with self._incidents:
            return await self._store.pop(key)

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """See `Store.replace`."""
        with self._incidents:
            return await self._store.replace(key, value, ttl, version=version)

    async def discard(self, key: str, *, version: bytes) -> bool:
        """See `Store.discard`."""
        with self._incidents:
            return await self._store.discard(key, version=version)

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """See `Store.reserve_turn`."""
        with self._incidents:
            return await self._store.reserve_turn(key, most=most, window=window, within=within)

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """See `Store.delay_turns`."""
        with self._incidents:
            await self._store.delay_turns(key, most=most, window=window, seconds=seconds)

    async def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """See `Store.scan`."""
        with self._incidents:
            async for key in self._store.scan(namespace, skip_ttl=skip_ttl):
                yield key

    async def now(self) -> float:
        """See `Store.now`."""
        with self._incidents:
            return await self._store.now()

    async def close(self) -> None:
        """See `Store.close`."""
        await self._store.close()
