"""What becomes of the tokens that a login brought."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from airtable_oauth import pkce
from airtable_oauth.connections import Connections
from airtable_oauth.errors import Unavailable
from airtable_oauth.hooks import Event
from airtable_oauth.login import Purpose
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

    async def accept(self, tokens: TokenSet, purpose: Purpose) -> str:
        """The id of the connection that now has these tokens.

        Raises:
            NotConnected, OtherUser, UpstreamError: see `Connections.reconnect`.
        """
        if purpose.connection_id is not None:
            record = await self._reconnect(purpose.connection_id, tokens, purpose)
        elif purpose.owner is not None:
            record = await self.connect(purpose.owner, tokens, data=purpose.data)
        else:
            owner = f"session:{pkce.base64url(self.random(16))}"
            record = await self.connect(owner, tokens, keep_seconds=self.session_seconds)
        return record.id

    async def connect(self, owner: str, tokens: TokenSet, **options: Any) -> ConnectionRecord:
        """A new connection. It is stored before Airtable is asked who granted access."""
        record = await self.connections.create(owner=owner, tokens=tokens, **options)
        user = await self.web_api.whoami(tokens.access_token)
        if user is not None:
            record = replace(record, user=user)
            with suppress(Unavailable):  # it is connected all the same
                await self.connections.identify(record.id, user)
        await self._tell(record)
        return record

    async def _reconnect(
        self, connection_id: str, tokens: TokenSet, purpose: Purpose
    ) -> ConnectionRecord:
        """Airtable is asked first: nobody must find another person's bases in their connection."""
        record = await self.connections.reconnect(
            connection_id,
            owner=purpose.owner,
            tokens=tokens,
            user=await self.web_api.whoami(tokens.access_token),
            data=purpose.data,
            allow_other_user=self.allow_other_user,
        )
        await self._tell(record)
        return record

    async def _tell(self, record: ConnectionRecord) -> None:
        connection = Connection.of(record, record.obtained_at)
        await self.connections.hooks.tell(Event.CONNECTED, connection)
