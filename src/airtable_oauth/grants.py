"""What becomes of the tokens that a login brought."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from airtable_oauth import pkce
from airtable_oauth.connections import Connections
from airtable_oauth.errors import AirtableOAuthError, Unavailable
from airtable_oauth.hooks import Event
from airtable_oauth.login import Kept, Purpose
from airtable_oauth.pkce import RandomBytes
from airtable_oauth.protocol import TokenSet
from airtable_oauth.records import Connection, ConnectionRecord
from airtable_oauth.web_api import WebApi


@dataclass(frozen=True, slots=True)
class Grants:
    """Makes connections of them: new ones, or one that there was, anew."""

    connections: Connections
    web_api: WebApi
    random: RandomBytes
    session_seconds: float
    """How long a connection lives that belongs to a session."""
    allow_other_user: bool
    """Whether a connection may be made anew by another Airtable user than before."""

    async def accept(self, tokens: TokenSet, purpose: Purpose) -> Kept:
        """The connection that now has these tokens; its hooks are told afterwards.

        Raises:
            NotConnected, OtherUser, UpstreamError: see `Connections.reconnect`.
        """
        if purpose.connection_id is not None:
            record = await self._reconnected(purpose.connection_id, tokens, purpose)
        elif purpose.owner is not None:
            record = await self._connected(purpose.owner, tokens, data=purpose.data)
        else:
            owner = f"session:{pkce.base64url(self.random(16))}"
            record = await self._connected(owner, tokens, keep_seconds=self.session_seconds)
        return Kept(record.id, partial(self._tell, record))

    async def adopt(self, owner: str, tokens: TokenSet, data: Any) -> str:
        """The id of a new connection with tokens from elsewhere."""
        record = await self._connected(owner, tokens, data=data)
        await self._tell(record)
        return record.id

    async def identify(self, record: ConnectionRecord) -> ConnectionRecord:
        """The record with the user whose tokens it has, if Airtable says who that is."""
        user = await self.web_api.whoami(record.access_token)
        if user is None:
            return record
        with suppress(Unavailable):  # it is connected all the same
            await self.connections.identify(record, user)
        return replace(record, user=user)

    async def _connected(self, owner: str, tokens: TokenSet, **options: Any) -> ConnectionRecord:
        """It is stored before Airtable is asked who granted access."""
        return await self.identify(
            await self.connections.create(owner=owner, tokens=tokens, **options)
        )

    async def _reconnected(
        self, connection_id: str, tokens: TokenSet, purpose: Purpose
    ) -> ConnectionRecord:
        """Airtable is asked first: nobody must find another person's bases in their connection."""
        connection = await self.connections.owned(purpose.owner or "", connection_id)
        if connection.user is None and not self.allow_other_user:
            with suppress(AirtableOAuthError):  # nobody can tell any more whose it was
                await self.identify(await self.connections.access(connection_id))
        return await self.connections.reconnect(
            connection_id,
            owner=purpose.owner,
            tokens=tokens,
            user=await self.web_api.whoami(tokens.access_token),
            data=purpose.data,
            allow_other_user=self.allow_other_user,
        )

    async def _tell(self, record: ConnectionRecord) -> None:
        await self.connections.hooks.tell(Event.CONNECTED, Connection.connected(record))
