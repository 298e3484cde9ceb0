"""The index of owners: which connections each of them has."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import Sleep, Tries
from airtable_oauth.errors import (
    StoreUnavailable,
    UnknownRecordFormat,
)
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.vault.model import StoredConnection

_OWNER_SECONDS = 400 * 24 * 3600.0
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Noted:
    """The entry of an owner in the index."""

    ids: tuple[str, ...] = ()
    """The connections, oldest first."""
    users: Mapping[str, str] = field(default_factory=dict)
    """The id of the Airtable user who granted access, by connection, as far as it is known."""

    def having(self, connection_id: str, user: User | None) -> "Noted":
        """The entry with this connection added, and its user."""
        ids = self.ids if connection_id in self.ids else (*self.ids, connection_id)
        others = self._users_without(connection_id)
        return Noted(ids, others if user is None else others | {connection_id: user.id})

    def without(self, connection_id: str) -> "Noted":
        """The entry without this connection."""
        ids = tuple(each for each in self.ids if each != connection_id)
        return Noted(ids, self._users_without(connection_id))

    def to_bytes(self) -> bytes:
        """Serialise. Processes that know only the earlier format, without `users`, drop them."""
        return json.dumps({"v": _FORMAT, "ids": self.ids, "users": self.users}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Noted":
        """Deserialise. Unknown fields are ignored, and `users` may be missing.

        Raises:
            UnknownRecordFormat: a newer version wrote it, and it cannot be understood.
        """
        stored: dict[str, Any] = json.loads(data)
        if stored["v"] > _FORMAT:
            raise UnknownRecordFormat
        return cls(tuple(stored["ids"]), stored.get("users", {}))

    def _users_without(self, connection_id: str) -> dict[str, str]:
        return {each: user for each, user in self.users.items() if each != connection_id}


@dataclass(frozen=True, slots=True)
class Owners:
    """The index in a store. It may contain ids of connections that no longer exist."""

    store: Store
    name: str
    sleep: Sleep = asyncio.sleep

    async def ids(self, owner: str) -> list[str]:
        """The ids of an owner's connections, oldest first."""
        return list((await self.noted(owner)).ids)

    async def noted(self, owner: str) -> Noted:
        """The entry of an owner."""
        entry = await self.store.get(self._key(owner))
        return Noted() if entry is None else Noted.from_bytes(entry.value)

    async def note(self, record: StoredConnection) -> None:
        """Add a connection to its owner's entry, which then lives for another 400 days."""
        await self._change(record.owner, lambda noted: noted.having(record.id, record.user))

    async def claim(
        self, owner: str, connection_id: str, user: User | None, *, seen: Noted
    ) -> bool:
        """Add a connection if the entry is still `seen`. Returns whether it was added."""
        wanted = seen.having(connection_id, user)
        return wanted == await self._change(owner, lambda noted: wanted if noted == seen else noted)

    async def remove(self, owner: str, connection_id: str) -> None:
        """Remove a connection from the entry."""
        await self._change(owner, lambda noted: noted.without(connection_id))

    async def _change(self, owner: str, change: Callable[[Noted], Noted]) -> Noted:
        """Change the entry of an owner by compare-and-set, and return the new one."""
        key = self._key(owner)
        async for _ in Tries(self.sleep):
            entry = await self.store.get(key)
            noted = change(Noted() if entry is None else Noted.from_bytes(entry.value))
            value = noted.to_bytes()
            if entry is None and not noted.ids:
                return noted
            if entry is not None and not noted.ids:
                done = await self.store.discard(key, version=entry.version)
            elif entry is None:
                done = await self.store.add(key, value, _OWNER_SECONDS)
            else:
                done = await self.store.replace(key, value, _OWNER_SECONDS, version=entry.version)
            if done:
                return noted
        raise StoreUnavailable(cause="contention")

    def _key(self, owner: str) -> str:
        return storage_key(self.name, "owner", owner)


def user_id_of(user: User | None) -> str | None:
    """The id of a user, if there is one."""
    return None if user is None else user.id
