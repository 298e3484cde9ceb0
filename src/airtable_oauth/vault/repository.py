"""Reads and writes connections in a store."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from airtable_oauth.background import Sleep, Tries
from airtable_oauth.errors import NotConnected, StoreUnavailable, UnreadableRecord
from airtable_oauth.logs import logger
from airtable_oauth.stores import Entry, Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.pages import PAGE, pages
from airtable_oauth.vault.model import StoredConnection, ttl_unless_idle

_FORMAT = 1
_DAY = 24 * 3600.0
_TOMBSTONE_SECONDS = _DAY
_TOMBSTONE = json.dumps({"v": _FORMAT, "gone": True}).encode()


class Found(NamedTuple):
    """A record and the version that a change of it must name."""

    record: StoredConnection
    version: bytes


@dataclass(frozen=True, slots=True)
class ConnectionRepository:
    """The connections of one integration in a store."""

    store: Store
    name: str

    async def load(self, connection_id: str) -> Found | None:
        """The record; None if there is none, or if it was disconnected.

        Raises:
            Unavailable: the store does not answer, or the record cannot be read by this process.
        """
        return _found(await self.store.get(self._key(connection_id)))

    async def load_many(self, connection_ids: Sequence[str]) -> list[Found | None]:
        """The same for several connections, a page at a time. Raises what `load` raises."""
        keys = [self._key(each) for each in connection_ids]
        starts = range(0, len(keys), PAGE)
        return [each for start in starts for each in await self._load(keys[start : start + PAGE])]

    async def require(self, connection_id: str) -> Found:
        """Load a record that must exist.

        Raises:
            NotConnected: there is none, or it was disconnected.
            Unavailable: as `load` does.
        """
        found = await self.load(connection_id)
        if found is None:
            raise NotConnected
        return found

    async def update(
        self,
        connection_id: str,
        change: Callable[[StoredConnection], StoredConnection | None],
        clock: StoreClock,
        sleep: Sleep,
    ) -> None:
        """Compare and set: store what `change` makes of the record.

        Nothing is stored if there is no such connection, or if `change` returns None. If another
        process changes the record at the same time, `change` is called again with the new one.

        Raises:
            StoreUnavailable: the store does not answer, or others keep changing the record.
        """
        async for _ in Tries(sleep):
            found = await self.load(connection_id)
            changed = None if found is None else change(found.record)
            if found is None or changed is None:
                return
            if await self.replace(changed, await clock.now(), version=found.version):
                return
        raise StoreUnavailable(cause="contention")

    async def put(self, record: StoredConnection, now: float) -> None:
        """Store a record, in place of any other with its id."""
        await self.store.put(self._key(record.id), record.to_bytes(), record.seconds_to_keep(now))

    async def add(self, record: StoredConnection, now: float) -> bool:
        """Store a record unless there is one with its id. Returns whether it was stored."""
        return await self.store.add(
            self._key(record.id), record.to_bytes(), record.seconds_to_keep(now)
        )

    async def replace(self, record: StoredConnection, now: float, *, version: bytes) -> bool:
        """Replace a record if its version is unchanged. Returns whether it was replaced."""
        return await self.store.replace(
            self._key(record.id), record.to_bytes(), record.seconds_to_keep(now), version=version
        )

    async def tombstone(self, connection_id: str, *, version: bytes) -> bool:
        """Erase a record if its version is unchanged. Returns whether it was erased.

        A tombstone stays for a day: a refresh that is under way cannot overwrite it.
        """
        return await self.store.replace(
            self._key(connection_id), _TOMBSTONE, _TOMBSTONE_SECONDS, version=version
        )

    async def all(self) -> AsyncIterator[Found]:
        """Every connection, for maintenance. Records that cannot be read are logged and skipped."""
        async for found in self._scan():
            yield found

    async def idle(self, clock: StoreClock, within: float) -> AsyncIterator[Found]:
        """The connections that are idle, as `StoredConnection.is_idle` defines it.

        Only a few others are read from the store. Like `all`, skips records that cannot be read.
        """
        async for found in self._scan(skip_ttl=ttl_unless_idle(within)):
            if found.record.is_idle(await clock.now(), within):
                yield found

    async def _scan(self, skip_ttl: tuple[float, float] | None = None) -> AsyncIterator[Found]:
        async for keys in pages(self.store.scan(f"{self.name}:connection", skip_ttl=skip_ttl)):
            try:
                found = await self._load(keys)
            except UnreadableRecord:
                found = [each for key in keys for each in await self._load_readable(key)]
            for each in found:
                if each is not None:
                    yield each

    async def _load(self, keys: Sequence[str]) -> list[Found | None]:
        return [_found(entry) for entry in await self.store.get_many(keys)]

    async def _load_readable(self, key: str) -> list[Found | None]:
        try:
            return await self._load([key])
        except UnreadableRecord as error:
            logger.warning("skipped a connection that cannot be read: %s", error.error)
            return []

    def _key(self, connection_id: str) -> str:
        return storage_key(self.name, "connection", connection_id)


def _found(entry: Entry | None) -> Found | None:
    record = None if entry is None else StoredConnection.from_bytes(entry.value)
    return None if entry is None or record is None else Found(record, entry.version)
