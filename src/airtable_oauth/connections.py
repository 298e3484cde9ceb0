"""The vault: connections of owners to Airtable, whose access tokens are always fresh."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

from airtable_oauth import pkce
from airtable_oauth.background import until_stored
from airtable_oauth.errors import (
    AccessUnavailable,
    ClientRefused,
    NotConnected,
    ReconnectRequired,
    Unavailable,
)
from airtable_oauth.pkce import RandomBytes
from airtable_oauth.protocol import TokenSet
from airtable_oauth.records import (
    ConnectionRecord,
    Found,
    Reason,
    Records,
    Status,
    User,
    token_fields,
)
from airtable_oauth.rotation import Rotation
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key

_LEEWAY_SECONDS = 60.0
"""An access token with less life than this is renewed before use (or with a tenth of its life)."""
_FORCED_SECONDS = 60.0
_OWNER_SECONDS = 400 * 24 * 3600.0
_PROVED = 10_000


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as a host app sees it: everything but the tokens.

    Times are seconds since 1970.
    """

    id: str
    owner: str
    status: Status
    reason: Reason | None
    """Why it has ended, where it has."""
    user: User | None
    """The Airtable user who granted access, if Airtable said who that is."""
    scopes: tuple[str, ...]
    """What was granted."""
    expires_at: float
    """When the access token ends; it is renewed before."""
    reconnect_by: float | None
    """When the connection ends if nobody uses it."""

    @classmethod
    def of(cls, record: ConnectionRecord, now: float) -> "Connection":
        """What a record says at this time."""
        status, reason = record.status(now)
        return cls(
            id=record.id,
            owner=record.owner,
            status=status,
            reason=reason,
            user=record.user,
            scopes=tuple(record.scope.split()),
            expires_at=record.expires_at,
            reconnect_by=record.reconnect_by,
        )


@dataclass(slots=True)
class Connections:
    """The connections of one integration, in a store that any number of processes share."""

    records: Records
    rotation: Rotation
    owners: "Owners"
    clock: StoreClock
    random: RandomBytes = secrets.token_bytes
    _proved: dict[str, int] = field(default_factory=dict, init=False)
    """The generation of each connection that was seen to work by this process."""

    async def create(
        self, *, owner: str, tokens: TokenSet, keep_seconds: float | None = None
    ) -> ConnectionRecord:
        """A connection from a login's tokens; `keep_seconds` ends it in any case.

        Returns once it is stored, however long that takes: the code that it came from is spent.
        """
        connection_id = f"con_{pkce.base64url(self.random(16))}"

        async def store() -> ConnectionRecord:
            now = await self.clock.now()
            record = ConnectionRecord(
                id=connection_id,
                owner=owner,
                keep_until=None if keep_seconds is None else now + keep_seconds,
                **token_fields(tokens, now),
            )
            await self.owners.add(owner, connection_id)
            await self.records.put(record, now)
            return record

        return await until_stored(store, self.rotation.sleep)

    async def get(self, connection_id: str) -> Connection:
        """The connection as it is.

        Raises:
            NotConnected: there is none with this id.
            Unavailable: the store does not answer.
        """
        record = (await self._load(connection_id)).record
        return Connection.of(record, await self.clock.now())

    async def of(self, owner: str) -> list[Connection]:
        """The connections of an owner, oldest first."""
        now = await self.clock.now()
        found = [await self.records.load(each) for each in await self.owners.ids(owner)]
        return [Connection.of(each.record, now) for each in found if each is not None]

    async def all(self) -> AsyncIterator[Connection]:
        """Every connection of the integration, for maintenance."""
        now = await self.clock.now()
        async for record in self.records.all():
            yield Connection.of(record, now)

    async def access(
        self, connection_id: str, *, rejected: ConnectionRecord | None = None
    ) -> ConnectionRecord:
        """The record whose access token may be used now.

        `rejected` is what an earlier call returned and Airtable's Web API answered with 401: the
        tokens were renewed meanwhile, or they are renewed now. Where that was done by force a
        moment ago and never helped, the same record comes back: the 401 is the answer.

        Raises:
            NotConnected: there is no such connection.
            ReconnectRequired: it has ended.
            AccessUnavailable: the token has ended, and could not be renewed yet.
            ClientRefused: Airtable does not accept this service; the connection is kept.
            Unavailable: the store does not answer.
        """
        record = (await self._load(connection_id)).record
        now = await self.clock.now()
        _refuse_ended(record, now)
        if rejected is None or record.generation != rejected.generation:
            if record.expires_at - now > _leeway(record):
                return record
            return await self._renewed(record, usable_until=record.expires_at)
        if self._was_forced_in_vain(record, now):
            return record
        return await self._renewed(record, usable_until=now, by_force=True)

    def prove(self, record: ConnectionRecord) -> None:
        """Airtable accepted this token: should it reject it later, that is news."""
        if record.by_force and self._proved.get(record.id) != record.generation:
            while len(self._proved) >= _PROVED:
                self._proved.pop(next(iter(self._proved)))
            self._proved[record.id] = record.generation

    async def identify(self, connection_id: str, user: User) -> None:
        """Note who granted access."""
        while (found := await self.records.load(connection_id)) is not None:
            known = replace(found.record, user=user)
            now = await self.clock.now()
            if await self.records.replace(known, now, version=found.version):
                return

    async def disconnect(self, connection_id: str) -> None:
        """Erase the tokens. A refresh that is under way cannot bring them back.

        Airtable has no revocation: there the integration stays listed until its user removes it.

        Raises:
            NotConnected: there is no such connection.
            Unavailable: the store does not answer; nothing is certain.
        """
        record = (await self._load(connection_id)).record
        await self.records.entomb(connection_id)
        await self.owners.remove(record.owner, connection_id)

    async def _renewed(
        self, record: ConnectionRecord, *, usable_until: float, by_force: bool = False
    ) -> ConnectionRecord:
        try:
            renewed = await self.rotation.beyond(record, by_force=by_force)
        except (Unavailable, ClientRefused):
            if await self.clock.now() < usable_until:
                return record
            raise
        now = await self.clock.now()
        _refuse_ended(renewed, now)
        if renewed.generation != record.generation or now < usable_until:
            return renewed
        raise AccessUnavailable(_seconds_to_retry(renewed, now))

    def _was_forced_in_vain(self, record: ConnectionRecord, now: float) -> bool:
        return (
            record.by_force
            and self._proved.get(record.id) != record.generation
            and now - record.obtained_at < _FORCED_SECONDS
        )

    async def _load(self, connection_id: str) -> Found:
        found = await self.records.load(connection_id)
        if found is None:
            raise NotConnected
        return found


@dataclass(frozen=True, slots=True)
class Owners:
    """Which connections an owner has. An id whose connection is gone does no harm."""

    store: Store
    name: str

    async def ids(self, owner: str) -> list[str]:
        """The ids, oldest first."""
        entry = await self.store.get(self._key(owner))
        return [] if entry is None else _ids(entry.value)

    async def add(self, owner: str, connection_id: str) -> None:
        """Note one, or note it anew, which prolongs the note."""
        await self._change(
            owner, lambda ids: ids if connection_id in ids else [*ids, connection_id]
        )

    async def remove(self, owner: str, connection_id: str) -> None:
        """Forget one."""
        await self._change(owner, lambda ids: [each for each in ids if each != connection_id])

    async def _change(self, owner: str, change: Callable[[list[str]], list[str]]) -> None:
        key = self._key(owner)
        while True:
            entry = await self.store.get(key)
            value = json.dumps({"v": 1, "ids": change([] if entry is None else _ids(entry.value))})
            if entry is None:
                done = await self.store.add(key, value.encode(), _OWNER_SECONDS)
            else:
                done = await self.store.replace(
                    key, value.encode(), _OWNER_SECONDS, version=entry.version
                )
            if done:
                return

    def _key(self, owner: str) -> str:
        return storage_key(self.name, "owner", owner)


def _ids(value: bytes) -> list[str]:
    ids: list[str] = json.loads(value)["ids"]
    return ids


def _leeway(record: ConnectionRecord) -> float:
    return min(_LEEWAY_SECONDS, (record.expires_at - record.obtained_at) / 10)


def _refuse_ended(record: ConnectionRecord, now: float) -> None:
    status, reason = record.status(now)
    if status is Status.RECONNECT_REQUIRED and reason is not None:
        raise ReconnectRequired(reason)


def _seconds_to_retry(record: ConnectionRecord, now: float) -> float:
    return 5.0 if record.marker is None else record.marker.retry_at - now
