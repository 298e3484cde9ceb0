"""How a connection is created, reconnected, prolonged and disconnected."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import Background, Sleep, Tries, until_stored
from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import (
    NotConnected,
    OtherUser,
    StoreUnavailable,
    Unavailable,
    UpstreamError,
)
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.events import Event, Hooks
from airtable_oauth.vault.model import Connection, StoredConnection, token_fields
from airtable_oauth.vault.owners import Noted, Owners, user_id_of
from airtable_oauth.vault.repository import ConnectionRepository, Found

_USER_UNKNOWN = "Couldn't ask Airtable who granted access. Try again in a moment."


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Creates, reconnects, prolongs and disconnects the connections of one integration."""

    repository: ConnectionRepository
    owners: Owners
    hooks: Hooks
    clock: StoreClock
    background: Background
    sleep: Sleep
    random: RandomBytes = secrets.token_bytes

    async def create(
        self,
        *,
        owner: str,
        tokens: TokenSet,
        user: User | None = None,
        keep_seconds: float | None = None,
        data: Any = None,
    ) -> StoredConnection:
        """Create a connection from the tokens of a login.

        `user` is the Airtable user who granted access, or None if that is not known yet. With
        `keep_seconds` the connection ends after that time, unless `prolong` is called. Retries
        until it is stored, however long that takes: the authorization code cannot be used again.
        """
        login = self._login(tokens, user, data)

        async def store() -> StoredConnection:
            now = await self.clock.now()
            record = login.first(login.connection_id, owner, now)
            if keep_seconds is None:
                await self.owners.note(record)
            else:
                record = replace(record, keep_until=now + keep_seconds)
            # If it exists already, an earlier try stored it and its reply was lost.
            await self.repository.add(record, now)
            return record

        return await until_stored(store, self.sleep)

    async def connect(
        self, *, owner: str, tokens: TokenSet, user: User | None, data: Any = None
    ) -> StoredConnection:
        """Store the tokens of a login in the one connection that the owner has for this user.

        If the owner has connected this user before, that connection gets the new tokens and keeps
        its id. Simultaneous logins, in any number of processes, end with one connection. `user` is
        the Airtable user who granted access; it is None if Airtable does not say who did. Retries
        until the tokens are stored, as `create` does.

        Raises:
            UpstreamError: `user` is None, and the owner has connections, one of which may be that
                user's.
        """
        async for _ in Tries(self.sleep):
            login = self._login(tokens, user, data)
            record = await until_stored(partial(self._store, owner, login), self.sleep)
            if record is not None:
                return record
        raise StoreUnavailable(cause="contention")

    async def _store(self, owner: str, login: "_Login") -> StoredConnection | None:
        """Store the tokens. Returns None if the connection was disconnected meanwhile.

        The owner's index is written first, by compare-and-set: it says which connection the user
        has, so simultaneous logins of one user all store under the same id.
        """
        async for _ in Tries(self.sleep):
            noted = await self.owners.noted(owner)
            connection_id, found = await self._match(owner, noted, login)
            if not await self.owners.claim(owner, connection_id, login.user, seen=noted):
                continue
            now = await self.clock.now()
            if found is None:
                record = login.first(connection_id, owner, now)
                if await self.repository.add(record, now):
                    return record
                if await self.repository.load(connection_id) is None:  # a tombstone
                    await self.owners.remove(owner, connection_id)
                    return None
            elif found.record.login == login.id:  # an earlier try stored it; its reply was lost
                return found.record
            else:
                record = login.renewed(found.record, now)
                if await self.repository.replace(record, now, version=found.version):
                    return record
        raise StoreUnavailable(cause="contention")

    async def _match(self, owner: str, noted: "Noted", login: "_Login") -> tuple[str, Found | None]:
        """The id of the connection that a login belongs to, and its record if there is one.

        The id is one from the owner's index, or a new one. The record says which user it belongs
        to; as long as it is not stored yet, the index does.
        """
        for each in noted.ids:
            found = await self.repository.load(each)
            if found is not None and found.record.owner != owner:
                continue
            user_id = noted.users.get(each) if found is None else user_id_of(found.record.user)
            if each == login.connection_id or (login.user and user_id == login.user.id):
                return each, found
        if login.user is None and noted.ids:
            raise UpstreamError(_USER_UNKNOWN)
        return login.connection_id, None

    async def reconnect(
        self,
        connection_id: str,
        *,
        owner: str,
        tokens: TokenSet,
        user: User | None,
        data: Any = None,
        allow_other_user: bool = False,
        keep_seconds: float | None = None,
    ) -> StoredConnection:
        """Give a connection the tokens of a new login, even if it has ended.

        `user` is the Airtable user who granted access; it is None if Airtable does not say who did.
        `keep_seconds` is as for `create`. Retries until the tokens are stored, as `create` does.

        Raises:
            NotConnected: the owner has no such connection, or not any more.
            OtherUser: another Airtable user granted access, and `allow_other_user` is False. The
                connection is unchanged.
            UpstreamError: `user` is None, the connection's user is known, and `allow_other_user` is
                False. The connection is unchanged.
        """
        login = self._login(tokens, user, data)

        async def store() -> StoredConnection:
            async for _ in Tries(self.sleep):
                found = await self.repository.require(connection_id)
                if found.record.owner != owner:
                    raise NotConnected
                if found.record.login == login.id:  # an earlier try stored it; its reply was lost
                    return found.record
                if not allow_other_user:
                    _refuse_other(user, than=found.record.user)
                now = await self.clock.now()
                renewed = login.renewed(found.record, now)
                if not allow_other_user:
                    renewed = replace(renewed, user=user or found.record.user)
                if keep_seconds is not None:
                    renewed = renewed.kept_until(now + keep_seconds)
                if await self.repository.replace(renewed, now, version=found.version):
                    return renewed
            raise StoreUnavailable(cause="contention")

        record = await until_stored(store, self.sleep)
        if record.keep_until is None:
            await until_stored(partial(self.owners.note, record), self.sleep)
        return record

    async def prolong(self, connection_id: str, until: float) -> None:
        """Keep the connection of a session at least until this time; see `kept_until`.

        Raises:
            Unavailable: the store does not answer.
        """

        def prolonged(current: StoredConnection) -> StoredConnection | None:
            kept = current.kept_until(until)
            return None if kept is current else kept

        await self.repository.update(connection_id, prolonged, self.clock, self.sleep)

    async def disconnect(self, connection_id: str) -> None:
        """Erase the tokens. A refresh that is under way cannot bring them back.

        Airtable has no revocation endpoint: it lists the integration until the user removes it.

        Raises:
            NotConnected: there is no such connection.
            Unavailable: the store does not answer; the tokens may or may not be erased.
        """
        await asyncio.shield(self.background.start(self._disconnect(connection_id)))

    async def _disconnect(self, connection_id: str) -> None:
        record = await self._erase(connection_id)
        await self.hooks.emit(Event.DISCONNECTED, Connection.disconnected(record))
        if record.keep_until is None:
            await self.owners.remove(record.owner, connection_id)

    async def _erase(self, connection_id: str) -> StoredConnection:
        async for _ in Tries(self.sleep):
            found = await self.repository.require(connection_id)
            if await self._tombstone(found):
                return found.record
        raise StoreUnavailable(cause="contention")

    async def _tombstone(self, found: Found) -> bool:
        connection_id = found.record.id
        try:
            return await self.repository.tombstone(connection_id, version=found.version)
        except Unavailable:  # the store may have carried this out and lost its reply
            if await self.repository.load(connection_id) is None:
                return True
            raise

    def _login(self, tokens: TokenSet, user: User | None, data: Any) -> "_Login":
        connection_id = f"con_{base64url(self.random(16))}"
        return _Login(base64url(self.random(16)), connection_id, tokens, user, data)


@dataclass(frozen=True, slots=True)
class _Login:
    """A login whose tokens are to be stored."""

    id: str
    connection_id: str
    """The id of the connection, if it is a new one."""
    tokens: TokenSet
    user: User | None
    """Who granted access; None if Airtable does not say."""
    data: Any

    def first(self, connection_id: str, owner: str, now: float) -> StoredConnection:
        """The record of a new connection."""
        return StoredConnection(
            id=connection_id,
            owner=owner,
            user=self.user,
            data=self.data,
            login=self.id,
            **token_fields(self.tokens, now),
        )

    def renewed(self, record: StoredConnection, now: float) -> StoredConnection:
        """The record of an existing connection, with the tokens of this login."""
        return replace(
            record.renewed(self.tokens, now, by_force=False),
            user=self.user,
            data=record.data if self.data is None else self.data,
            login=self.id,
            reconnected=True,
        )


def _refuse_other(user: User | None, *, than: User | None) -> None:
    if than is None:
        return
    if user is None:
        raise UpstreamError(_USER_UNKNOWN)
    if user.id != than.id:
        raise OtherUser
