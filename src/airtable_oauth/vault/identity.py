"""Which Airtable user granted access."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import Sleep
from airtable_oauth.errors import Unavailable
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.repository import ConnectionRepository

WhoAmI = Callable[[str], Awaitable[User | None]]
"""Asks Airtable's Web API who granted an access token; see `WebApi.whoami`."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Asks Airtable who granted access, and stores the answer with the connection."""

    repository: ConnectionRepository
    whoami: WhoAmI
    clock: StoreClock
    sleep: Sleep

    async def user_of(self, tokens: TokenSet) -> User | None:
        """The user who granted these tokens; None if Airtable does not say at the moment."""
        return await self.whoami(tokens.access_token)

    async def identify(self, connection: StoredConnection) -> StoredConnection:
        """Ask for the user of a connection, and store it.

        Returns the connection with its user, or unchanged if Airtable does not answer. A store
        that fails is ignored: the connection works without its user.
        """
        user = await self.whoami(connection.access_token)
        if user is None:
            return connection

        def identified(current: StoredConnection) -> StoredConnection | None:
            """Another login may have brought another user's tokens meanwhile."""
            return replace(current, user=user) if current.login == connection.login else None

        with suppress(Unavailable):
            await self.repository.update(connection.id, identified, self.clock, self.sleep)
        return replace(connection, user=user)
