"""What becomes of the tokens that a login brought."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from airtable_oauth.airtable_api.transport import WebApi
from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import AirtableOAuthError, Unavailable
from airtable_oauth.oauth.login import LoginContext, StoredTokens
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.events import Event
from airtable_oauth.vault.model import Connection, StoredConnection


@dataclass(frozen=True, slots=True)
class Grants:
    """Stores tokens as connections: new ones, or ones that exist already."""

    connections: Connections
    web_api: WebApi
    random: RandomBytes
    session_seconds: float
    """How long a connection lives whose session is not used; `Sessions` prolongs it."""
    allow_other_user: bool
    """Whether a reconnect may be granted by another Airtable user than before."""
    separate_connections: bool
    """Whether each login of an owner creates a connection, also for the same Airtable user."""

    async def accept(self, tokens: TokenSet, purpose: LoginContext) -> StoredTokens:
        """The connection that now has these tokens; its hooks are told afterwards.

        Raises:
            NotConnected, OtherUser, UpstreamError: see `Connections.reconnect`.
            UpstreamError: see `Connections.connect`.
        """
        if purpose.connection_id is not None:
            record = await self._reconnected(purpose.connection_id, tokens, purpose)
        elif purpose.owner is not None:
            record = await self._owned(purpose.owner, tokens, purpose.data)
        else:
            owner = f"session:{base64url(self.random(16))}"
            record = await self._created(owner, tokens, keep_seconds=self.session_seconds)
        return StoredTokens(record.id, partial(self._tell, record))

    async def adopt(self, owner: str, tokens: TokenSet, data: Any) -> str:
        """The id of the connection that now has these tokens, which come from elsewhere.

        Raises:
            UpstreamError: see `Connections.connect`.
        """
        record = await self._owned(owner, tokens, data)
        await self._tell(record)
        return record.id

    async def identify(self, record: StoredConnection) -> StoredConnection:
        """The record with the user whose tokens it has, if Airtable says who that is."""
        user = await self.web_api.whoami(record.access_token)
        if user is None:
            return record
        with suppress(Unavailable):  # it is connected all the same
            await self.connections.identify(record, user)
        return replace(record, user=user)

    async def _owned(self, owner: str, tokens: TokenSet, data: Any) -> StoredConnection:
        """Airtable is asked who granted access, because each user is one connection."""
        if self.separate_connections:
            return await self._created(owner, tokens, data=data)
        user = await self.web_api.whoami(tokens.access_token)
        if user is not None:
            with suppress(AirtableOAuthError):
                await self._identify_all(owner)
        return await self.connections.connect(owner=owner, tokens=tokens, user=user, data=data)

    async def _identify_all(self, owner: str) -> None:
        """Ask whose connections an owner has where Airtable did not say at their login."""
        for connection in await self.connections.of(owner):
            if connection.user is None:
                await self._identify_stored(connection.id)

    async def _identify_stored(self, connection_id: str) -> None:
        with suppress(AirtableOAuthError):  # it has ended: nothing can tell any more whose it was
            await self.identify(await self.connections.access(connection_id))

    async def _created(self, owner: str, tokens: TokenSet, **options: Any) -> StoredConnection:
        """It is stored before Airtable is asked who granted access."""
        return await self.identify(
            await self.connections.create(owner=owner, tokens=tokens, **options)
        )

    async def _reconnected(
        self, connection_id: str, tokens: TokenSet, purpose: LoginContext
    ) -> StoredConnection:
        """Airtable is asked first: nobody must find another person's bases in their connection."""
        connection = await self.connections.owned(purpose.owner or "", connection_id)
        if connection.user is None and not self.allow_other_user:
            await self._identify_stored(connection_id)
        return await self.connections.reconnect(
            connection_id,
            owner=purpose.owner,
            tokens=tokens,
            user=await self.web_api.whoami(tokens.access_token),
            data=purpose.data,
            allow_other_user=self.allow_other_user,
        )

    async def _tell(self, record: StoredConnection) -> None:
        await self.connections.hooks.emit(Event.CONNECTED, Connection.connected(record))
