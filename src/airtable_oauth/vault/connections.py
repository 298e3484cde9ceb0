"""The vault: connections of owners to Airtable, whose access tokens are always fresh."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import Tries, until_stored
from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.errors import (
    AccessUnavailable,
    ClientRefused,
    ConnectionNotNamed,
    NotConnected,
    OtherUser,
    ReconnectRequired,
    StoreUnavailable,
    Unavailable,
    UpstreamError,
)
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.events import Event, Hooks
from airtable_oauth.vault.model import Connection, StoredConnection, token_fields
from airtable_oauth.vault.owners import Noted, Owners, user_id_of
from airtable_oauth.vault.refresh import Refresher
from airtable_oauth.vault.repository import ConnectionRepository, Found

_LEEWAY_SECONDS = 300.0
"""An access token with less life than this is renewed before use (or with a tenth of its life)."""
_FORCED_SECONDS = 60.0
_READS_AT_ONCE = 10
"""Fewer than the connections of a process to its store, which others need as well."""
_USER_UNKNOWN = "Airtable does not say who granted access at the moment."


@dataclass(slots=True)
class Connections:
    """The connections of one integration, in a store that any number of processes share."""

    records: ConnectionRepository
    refresher: Refresher
    owners: "Owners"
    hooks: Hooks
    clock: StoreClock
    random: RandomBytes = secrets.token_bytes
    _accepted: set[tuple[str, int]] = field(default_factory=set, init=False)
    """Forced generations that this process is just marking as accepted."""

    async def create(
        self, *, owner: str, tokens: TokenSet, keep_seconds: float | None = None, data: Any = None
    ) -> StoredConnection:
        """A new connection from a login's tokens; `keep_seconds` ends it in any case.

        Returns once it is stored, however long that takes: the code that it came from is spent.
        """
        login = self._login(tokens, None, data)

        async def store() -> StoredConnection:
            now = await self.clock.now()
            record = login.first(login.connection_id, owner, now)
            if keep_seconds is None:
                await self.owners.note(record)
            else:
                record = replace(record, keep_until=now + keep_seconds)
            # Where it is there already, it is this one: a reply was lost. It may be newer by now.
            await self.records.add(record, now)
            return record

        return await until_stored(store, self.refresher.sleep)

    async def connect(
        self, *, owner: str, tokens: TokenSet, user: User | None, data: Any = None
    ) -> StoredConnection:
        """The owner's one connection of this Airtable user, with the tokens of a new login.

        It is created, or renewed under its id if the owner has connected this user before. This
        holds for simultaneous logins in any number of processes. `user` is the one who granted
        access; None if Airtable does not say. Returns once it is stored, as `create` does.

        Raises:
            UpstreamError: `user` is None, and the owner has a connection, which may be that user's.
        """
        async for _ in Tries(self.refresher.sleep):
            login = self._login(tokens, user, data)
            record = await until_stored(partial(self._store, owner, login), self.refresher.sleep)
            if record is not None:
                return record
        raise StoreUnavailable(cause="contention")

    async def _store(self, owner: str, login: "_Login") -> StoredConnection | None:
        """The record with this login's tokens; None if its connection was disconnected meanwhile.

        Each pass notes in the owner's index which connection the user has. That is one
        compare-and-set, so simultaneous logins of a user all store under the same id.
        """
        async for _ in Tries(self.refresher.sleep):
            noted = await self.owners.noted(owner)
            connection_id, found = await self._match(owner, noted, login)
            if not await self.owners.claim(owner, connection_id, login.user, seen=noted):
                continue
            now = await self.clock.now()
            if found is None:
                record = login.first(connection_id, owner, now)
                if await self.records.add(record, now):
                    return record
                if await self.records.load(connection_id) is None:  # a tombstone
                    await self.owners.remove(owner, connection_id)
                    return None
            elif found.record.login == login.id:  # a reply was lost; it may be newer by now
                return found.record
            else:
                record = login.renewed(found.record, now)
                if await self.records.replace(record, now, version=found.version):
                    return record
        raise StoreUnavailable(cause="contention")

    async def _match(self, owner: str, noted: "Noted", login: "_Login") -> tuple[str, Found | None]:
        """The connection that a login is for: an id that is noted, or a new one.

        Where there is a record, it says whose it is. Where there is none yet, the index does.
        """
        for each in noted.ids:
            found = await self.records.load(each)
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
        owner: str | None,
        tokens: TokenSet,
        user: User | None,
        data: Any = None,
        allow_other_user: bool = False,
    ) -> StoredConnection:
        """The same connection with the tokens of a new login, whatever had become of it.

        `user` is whose tokens they are. Returns once it is stored, as `create` does.

        Raises:
            NotConnected: this owner has no such connection any more.
            OtherUser: they are not the user's whose connection it is; it stays as it was.
            UpstreamError: the same, where Airtable does not say whose they are.
        """
        login = self._login(tokens, user, data)

        async def store() -> StoredConnection:
            async for _ in Tries(self.refresher.sleep):
                found = await self._load(connection_id)
                if found.record.owner != owner:
                    raise NotConnected
                if found.record.login == login.id:  # a reply was lost; it may be newer by now
                    return found.record
                if not allow_other_user:
                    _refuse_other(user, than=found.record.user)
                now = await self.clock.now()
                renewed = login.renewed(found.record, now)
                if not allow_other_user:
                    renewed = replace(renewed, user=user or found.record.user)
                if await self.records.replace(renewed, now, version=found.version):
                    return renewed
            raise StoreUnavailable(cause="contention")

        record = await until_stored(store, self.refresher.sleep)
        await until_stored(partial(self.owners.note, record), self.refresher.sleep)
        return record

    async def owned(self, owner: str, connection_id: str | None) -> Connection:
        """The connection of an owner with this id, or the only one that there is.

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

    async def get(self, connection_id: str) -> Connection:
        """The connection as it is.

        Raises:
            NotConnected: there is none with this id.
            Unavailable: the store does not answer.
        """
        return Connection.of((await self._load(connection_id)).record)

    async def of(self, owner: str) -> list[Connection]:
        """The connections of an owner, oldest first."""
        ids = await self.owners.ids(owner)
        found = [
            each
            for start in range(0, len(ids), _READS_AT_ONCE)
            for each in await asyncio.gather(
                *map(self.records.load, ids[start : start + _READS_AT_ONCE])
            )
        ]
        return [
            Connection.of(each.record)
            for each in found
            if each is not None and each.record.owner == owner
        ]

    async def all(self) -> AsyncIterator[Connection]:
        """Every connection of the integration, for maintenance."""
        async for found in self.records.all():
            yield Connection.of(found.record)

    async def access(
        self,
        connection_id: str,
        *,
        rejected: StoredConnection | None = None,
        at_least: float = 0.0,
    ) -> StoredConnection:
        """The record whose access token may be used now.

        `rejected` is what an earlier call returned and Airtable's Web API answered with 401: the
        tokens were renewed meanwhile, or they are renewed now. If a forced refresh within the last
        minute did not help, the same record comes back: the 401 is the answer.

        `at_least`: seconds that the token must live, or a tenth of its life if that is shorter. It
        is renewed some minutes before its end in any case. If that fails for the moment, a token
        with less life left is used on, unless it falls below `at_least`.

        Raises:
            NotConnected: there is no such connection.
            ReconnectRequired: it has ended.
            AccessUnavailable: the token's life is too short, and it could not be renewed yet.
            ClientRefused: Airtable does not accept this service; the connection is kept.
            Unavailable: the store does not answer.
        """
        record = (await self._load(connection_id)).record
        now = await self.clock.now()
        _refuse_ended(record)
        if rejected is None or record.generation != rejected.generation:
            left = record.seconds_left(now)
            if left > _share_of_life(record, _LEEWAY_SECONDS):
                return record
            usable = left - _share_of_life(record, at_least)
            return await self._renewed(record, usable_until=now + usable)
        if _was_forced_in_vain(record, now):
            return record
        return await self._renewed(record, usable_until=now, by_force=True)

    def mark_accepted(self, record: StoredConnection) -> None:
        """Note for all processes that Airtable accepted this token.

        If Airtable rejects it later, that is news, and a forced refresh may help.
        """
        attempt = (record.id, record.generation)
        if record.by_force and attempt not in self._accepted:
            self._accepted.add(attempt)
            task = self.refresher.background.start(self._mark_accepted(record))
            task.add_done_callback(lambda _: self._accepted.discard(attempt))

    async def _mark_accepted(self, record: StoredConnection) -> None:
        """Best effort: without the note, another process passes on a 401 that it could mend."""
        async for _ in Tries(self.refresher.sleep):
            found = await self.records.load(record.id)
            if found is None or found.record.generation != record.generation:
                return
            accepted = replace(found.record, by_force=False)
            now = await self.clock.now()
            if await self.records.replace(accepted, now, version=found.version):
                return

    async def identify(self, record: StoredConnection, user: User) -> None:
        """Note whose tokens a connection has, as long as they come from the same login."""
        async for _ in Tries(self.refresher.sleep):
            found = await self.records.load(record.id)
            if found is None or found.record.login != record.login:
                return
            known = replace(found.record, user=user)
            now = await self.clock.now()
            if await self.records.replace(known, now, version=found.version):
                return
        raise StoreUnavailable(cause="contention")

    async def prolong(self, connection_id: str, until: float) -> None:
        """Keep a connection of sessions until this time at least, in seconds since 1970.

        It is never shortened: of several sessions that share it, the longest counts. A connection
        of an owner, or one that is gone, is left as it is.

        Raises:
            Unavailable: the store does not answer.
        """
        async for _ in Tries(self.refresher.sleep):
            found = await self.records.load(connection_id)
            if found is None or found.record.keep_until is None:
                return
            if found.record.keep_until >= until:
                return
            prolonged = replace(found.record, keep_until=until)
            now = await self.clock.now()
            if await self.records.replace(prolonged, now, version=found.version):
                return
        raise StoreUnavailable(cause="contention")

    async def disconnect(self, connection_id: str) -> None:
        """Erase the tokens. A refresh that is under way cannot bring them back.

        Airtable has no revocation: there the integration stays listed until its user removes it.

        Raises:
            NotConnected: there is no such connection.
            Unavailable: the store does not answer; nothing is certain.
        """
        await asyncio.shield(self.refresher.background.start(self._disconnect(connection_id)))

    async def _disconnect(self, connection_id: str) -> None:
        record = await self._erased(connection_id)
        await self.hooks.emit(Event.DISCONNECTED, Connection.disconnected(record))
        if record.keep_until is None:
            await self.owners.remove(record.owner, connection_id)

    async def _erased(self, connection_id: str) -> StoredConnection:
        async for _ in Tries(self.refresher.sleep):
            found = await self._load(connection_id)
            if await self._entombed(found):
                return found.record
        raise StoreUnavailable(cause="contention")

    async def _entombed(self, found: Found) -> bool:
        connection_id = found.record.id
        try:
            return await self.records.tombstone(connection_id, version=found.version)
        except Unavailable:  # the store may have carried this out and lost its reply
            if await self.records.load(connection_id) is None:
                return True
            raise

    async def _renewed(
        self, record: StoredConnection, *, usable_until: float, by_force: bool = False
    ) -> StoredConnection:
        try:
            renewed = await self.refresher.refresh(record, by_force=by_force)
        except (Unavailable, ClientRefused):
            if await self.clock.now() < usable_until:
                return record
            raise
        now = await self.clock.now()
        _refuse_ended(renewed)
        if renewed.generation != record.generation or now < usable_until:
            return renewed
        raise AccessUnavailable(_seconds_to_retry(renewed, now))

    async def _load(self, connection_id: str) -> Found:
        found = await self.records.load(connection_id)
        if found is None:
            raise NotConnected
        return found

    def _login(self, tokens: TokenSet, user: User | None, data: Any) -> "_Login":
        connection_id = f"con_{base64url(self.random(16))}"
        return _Login(base64url(self.random(16)), connection_id, tokens, user, data)


@dataclass(frozen=True, slots=True)
class _Login:
    """What a login brings to a connection."""

    id: str
    connection_id: str
    """The id of its connection if it is a new one."""
    tokens: TokenSet
    user: User | None
    """Who granted access, if Airtable says so."""
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
        """The record of a connection that there is, with this login's tokens."""
        return replace(
            record.renewed(self.tokens, now, by_force=False),
            user=self.user,
            data=record.data if self.data is None else self.data,
            login=self.id,
            reconnected=True,
        )


def _share_of_life(record: StoredConnection, seconds: float) -> float:
    """So many seconds, or a tenth of the access token's life if that is shorter."""
    return min(seconds, (record.expires_at - record.obtained_at) / 10)


def _was_forced_in_vain(record: StoredConnection, now: float) -> bool:
    recent = now - record.obtained_at < _FORCED_SECONDS
    return record.by_force and recent and not record.comes_from_the_future(now)


def _refuse_ended(record: StoredConnection) -> None:
    if record.reason is not None:
        raise ReconnectRequired(record.reason)


def _refuse_other(user: User | None, *, than: User | None) -> None:
    if than is None:
        return
    if user is None:
        raise UpstreamError(_USER_UNKNOWN)
    if user.id != than.id:
        raise OtherUser


def _seconds_to_retry(record: StoredConnection, now: float) -> float:
    return 5.0 if record.marker is None else record.marker.retry_at - now
