"""Connections in a store."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from airtable_oauth.errors import UnreadableRecord
from airtable_oauth.logs import logger
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.vault.model import StoredConnection

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
        """The record; None if there is none, or one that was disconnected.

        Raises:
            Unavailable: the store does not answer, or the record cannot be read by this process.
        """
        entry = await self.store.get(self._key(connection_id))
        record = None if entry is None else StoredConnection.from_bytes(entry.value)
        return None if entry is None or record is None else Found(record, entry.version)

    async def put(self, record: StoredConnection, now: float) -> None:
        """Store it, whatever was there."""
        await self.store.put(self._key(record.id), record.to_bytes(), record.seconds_to_keep(now))

    async def add(self, record: StoredConnection, now: float) -> bool:
        """Store it if there is none with its id; whether it was stored."""
        return await self.store.add(
            self._key(record.id), record.to_bytes(), record.seconds_to_keep(now)
        )

    async def replace(self, record: StoredConnection, now: float, *, version: bytes) -> bool:
        """Store it if this version is still there; whether it was stored."""
        return await self.store.replace(
            self._key(record.id), record.to_bytes(), record.seconds_to_keep(now), version=version
        )

    async def tombstone(self, connection_id: str, *, version: bytes) -> bool:
        """Erase it if this version is still there; whether it was.

        It leaves what a refresh that is under way cannot overwrite.
        """
        return await self.store.replace(
            self._key(connection_id), _TOMBSTONE, _TOMBSTONE_SECONDS, version=version
        )

    async def all(self) -> AsyncIterator[Found]:
        """Every connection, for maintenance. What this process cannot read is logged."""
        async for key in self.store.scan(f"{self.name}:connection"):
            try:
                entry = await self.store.get(key)
                record = None if entry is None else StoredConnection.from_bytes(entry.value)
            except UnreadableRecord as error:
                logger.warning("a connection was passed over: %s", error.error)
                continue
            if entry is not None and record is not None:
                yield Found(record, entry.version)

    def _key(self, connection_id: str) -> str:
        return storage_key(self.name, "connection", connection_id)
