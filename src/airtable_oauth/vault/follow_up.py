"""What follows a refresh: the implementation of `refresh.AfterRefresh`."""

from dataclasses import dataclass, replace

from airtable_oauth.vault.events import Event, Hooks
from airtable_oauth.vault.identity import Identities
from airtable_oauth.vault.model import Connection, StoredConnection
from airtable_oauth.vault.owners import Owners


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Keeps the owner's index and the user up to date, and calls the hooks."""

    owners: Owners
    identities: Identities
    hooks: Hooks

    async def renewed(self, connection: StoredConnection) -> None:
        """The tokens are new: prolong the entry in the owner's index, and ask who granted access.

        Airtable is asked only if the user is not known yet. A connection of a session has no
        entry in the index.
        """
        if connection.keep_until is None:
            await self.owners.note(connection)
        if connection.user is None:
            await self.identities.identify(connection)

    async def ended(self, connection: StoredConnection) -> None:
        """The user must reconnect."""
        await self.hooks.emit(Event.RECONNECT_REQUIRED, Connection.of(connection))

    async def revived(self, connection: StoredConnection) -> None:
        """The connection had been reported as ended, and works again."""
        revived = replace(Connection.connected(connection), reconnected=True)
        await self.hooks.emit(Event.CONNECTED, revived)
