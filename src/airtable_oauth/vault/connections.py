"""Reads connections, in the form that hosts and the API see."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from airtable_oauth.errors import ConnectionNotNamed, NotConnected
from airtable_oauth.vault.model import Connection
from airtable_oauth.vault.owners import Owners
from airtable_oauth.vault.repository import ConnectionRepository


@dataclass(frozen=True, slots=True)
class Connections:
    """Reads the connections of one integration. No method changes anything or calls Airtable."""

    repository: ConnectionRepository
    owners: Owners

    async def get(self, connection_id: str) -> Connection:
        """The connection as it is.

        Raises:
            NotConnected: there is none with this id.
            Unavailable: the store does not answer.
        """
        return Connection.of((await self.repository.require(connection_id)).record)

    async def owned(self, owner: str, connection_id: str | None) -> Connection:
        """The owner's connection with this id; without an id, the owner's only connection.

        Raises:
            NotConnected: the owner has no such connection.
            ConnectionNotNamed: the owner has several.
            Unavailable: the store does not answer.
        """
        if connection_id is not None:
            connection = await self.get(connection_id)
            if connection.owner != owner:
                raise NotConnected
            return connection
        found = await self.of(owner)
        if not found:
            raise NotConnected
        if len(found) > 1:
            raise ConnectionNotNamed
        return found[0]

    async def of(self, owner: str) -> list[Connection]:
        """The connections of an owner, oldest first."""
        found = await self.repository.load_many(await self.owners.ids(owner))
        return [
            Connection.of(each.record)
            for each in found
            if each is not None and each.record.owner == owner
        ]

    async def all(self) -> AsyncIterator[Connection]:
        """Every connection of the integration, for maintenance."""
        async for found in self.repository.all():
            yield Connection.of(found.record)
