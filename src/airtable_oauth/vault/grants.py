"""Decides which connection gets the tokens of a login."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import until_stored
from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import AirtableOAuthError, NotConnected, OtherUser, UnreadableRecord
from airtable_oauth.oauth.login import StoredTokens
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.vault.access import AccessTokens
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.events import Event, Hooks
from airtable_oauth.vault.identity import Identities
from airtable_oauth.vault.lifecycle import Lifecycle
from airtable_oauth.vault.model import Connection, StoredConnection
from airtable_oauth.vault.owners import user_id_of


@dataclass(frozen=True, slots=True)
class Grants:
    """Stores the tokens of logins, in new connections or in existing ones."""

    connections: Connections
    access_tokens: AccessTokens
    lifecycle: Lifecycle
    identities: Identities
    hooks: Hooks
    random: RandomBytes
    session_seconds: float
    """How long a session's connection lives if the session is not used."""
    allow_other_user: bool
    """Whether another Airtable user may reconnect a connection."""
    separate_connections: bool
    """Whether each login of an owner creates a connection, even for the same Airtable user."""

    async def accept(self, tokens: TokenSet, context: LoginContext) -> StoredTokens:
        """Store the tokens of a login. The hooks are called afterwards.

        Raises:
            NotConnected, OtherUser, UpstreamError: see `Lifecycle.reconnect`.
            UpstreamError: see `Lifecycle.connect`.
        """
        if context.owner is None:
            record = await self._connect_session(context.connection_id, tokens)
        elif context.connection_id is not None:
            record = await self._reconnect(
                context.owner, context.connection_id, tokens, context.data
            )
        else:
            record = await self._connect(context.owner, tokens, context.data)
        return StoredTokens(record.id, partial(self._emit_connected, record))

    async def adopt(self, owner: str, tokens: TokenSet, data: Any) -> str:
        """Store tokens that were obtained elsewhere. Returns the id of their connection.

        Raises:
            UpstreamError: see `Lifecycle.connect`.
        """
        record = await self._connect(owner, tokens, data)
        await self._emit_connected(record)
        return record.id

    async def _connect_session(
        self, connection_id: str | None, tokens: TokenSet
    ) -> StoredConnection:
        """Store the tokens in the connection of the browser's session, if it has one.

        They go into a new connection if another Airtable user granted access, if Airtable does not
        say who did, or if that connection was disconnected meanwhile or cannot be read.
        """
        owner = f"session:{base64url(self.random(16))}"
        if connection_id is None:
            return await self._create(owner, tokens, keep_seconds=self.session_seconds)
        user = await self.identities.user_of(tokens)
        if user is not None:
            with suppress(NotConnected, OtherUser, UnreadableRecord):
                return await self._reconnect_session(connection_id, tokens, user)
        return await self.lifecycle.create(
            owner=owner, tokens=tokens, user=user, keep_seconds=self.session_seconds
        )

    async def _reconnect_session(
        self, connection_id: str, tokens: TokenSet, user: User
    ) -> StoredConnection:
        connection = await self._identified(connection_id)
        if user.id != user_id_of(connection.user):
            raise OtherUser
        return await self.lifecycle.reconnect(
            connection_id,
            owner=connection.owner,
            tokens=tokens,
            user=user,
            keep_seconds=self.session_seconds,
        )

    async def _reconnect(
        self, owner: str, connection_id: str, tokens: TokenSet, data: Any
    ) -> StoredConnection:
        """Ask Airtable for the user first: a user must not end up with another user's bases."""
        connection = await self._read(partial(self.connections.owned, owner, connection_id))
        if connection.user is None and not self.allow_other_user:
            await self._identify(connection_id)
        return await self.lifecycle.reconnect(
            connection_id,
            owner=owner,
            tokens=tokens,
            user=await self.identities.user_of(tokens),
            data=data,
            allow_other_user=self.allow_other_user,
        )

    async def _connect(self, owner: str, tokens: TokenSet, data: Any) -> StoredConnection:
        """Ask Airtable for the user first: an owner has one connection per Airtable user."""
        if self.separate_connections:
            return await self._create(owner, tokens, data=data)
        user = await self.identities.user_of(tokens)
        if user is not None:
            with suppress(AirtableOAuthError):
                await self._identify_all(owner)
        return await self.lifecycle.connect(owner=owner, tokens=tokens, user=user, data=data)

    async def _create(self, owner: str, tokens: TokenSet, **options: Any) -> StoredConnection:
        """Store the tokens before Airtable is asked for the user."""
        created = await self.lifecycle.create(owner=owner, tokens=tokens, **options)
        return await self.identities.identify(created)

    async def _identify_all(self, owner: str) -> None:
        """Identify the owner's connections whose user is not known."""
        for connection in await self.connections.of(owner):
            if connection.user is None:
                await self._identify(connection.id)

    async def _identified(self, connection_id: str) -> Connection:
        """The connection, with its user if Airtable says who that is."""
        read = partial(self.connections.get, connection_id)
        connection = await self._read(read)
        if connection.user is not None:
            return connection
        await self._identify(connection_id)
        return await self._read(read)

    async def _read(self, read: Callable[[], Awaitable[Connection]]) -> Connection:
        """Read until the store answers: the code is spent, and its tokens must be stored."""
        return await until_stored(read, self.lifecycle.sleep)

    async def _identify(self, connection_id: str) -> None:
        with suppress(AirtableOAuthError):  # if it has ended, its user can no longer be found out
            await self.identities.identify(await self.access_tokens.ensure_fresh(connection_id))

    async def _emit_connected(self, record: StoredConnection) -> None:
        await self.hooks.emit(Event.CONNECTED, Connection.connected(record))
