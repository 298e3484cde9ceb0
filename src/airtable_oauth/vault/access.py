"""Access tokens that may be used now: refreshed before they expire, and after a 401."""

from dataclasses import dataclass, field, replace

from airtable_oauth.background import Background, Sleep
from airtable_oauth.errors import AccessUnavailable, ClientRefused, ReconnectRequired, Unavailable
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.refresh import Refresher
from airtable_oauth.vault.repository import ConnectionRepository

_LEEWAY_SECONDS = 300.0
"""An access token that expires within this time is refreshed.

If a tenth of its lifetime is shorter, that counts instead.
"""
_FORCED_SECONDS = 60.0
"""How long after a forced refresh a second 401 is passed on, without another refresh."""


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """The access tokens of one integration's connections."""

    repository: ConnectionRepository
    refresher: Refresher
    clock: StoreClock
    background: Background
    sleep: Sleep
    _being_marked: set[tuple[str, int]] = field(default_factory=set, init=False)
    """Connections and generations that this process is currently marking as accepted."""

    async def ensure_fresh(
        self,
        connection_id: str,
        *,
        rejected: StoredConnection | None = None,
        at_least: float = 0.0,
    ) -> StoredConnection:
        """Return the connection with an access token that may be used now.

        A token that expires within five minutes is refreshed first. If that fails for the moment,
        the old token is used until it expires.

        Args:
            connection_id: The connection.
            rejected: What an earlier call returned, if Airtable's Web API answered 401 to its
                token. The token is then refreshed, unless that has been done meanwhile. If a
                forced refresh within the last minute did not help, the same record is returned,
                so that the caller passes the 401 on.
            at_least: Seconds for which the token must stay valid, or a tenth of its lifetime if
                that is shorter.

        Raises:
            NotConnected: there is no such connection.
            ReconnectRequired: it has ended.
            AccessUnavailable: the token expires too soon, and it could not be refreshed yet.
            ClientRefused: Airtable does not accept this service; the connection is kept.
            Unavailable: the store does not answer.
        """
        record = (await self.repository.require(connection_id)).record
        now = await self.clock.now()
        _refuse_ended(record)
        if rejected is None or record.generation != rejected.generation:
            left = record.seconds_left(now)
            if left > _share_of_lifetime(record, _LEEWAY_SECONDS):
                return record
            usable = left - _share_of_lifetime(record, at_least)
            return await self._refreshed(record, usable_until=now + usable)
        if _was_forced_in_vain(record, now):
            return record
        return await self._refreshed(record, usable_until=now, by_force=True)

    async def _refreshed(
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

    def mark_accepted(self, record: StoredConnection) -> None:
        """Note for all processes that Airtable accepted the token of a forced refresh.

        If Airtable rejects that token later, another forced refresh may help.
        """
        attempt = (record.id, record.generation)
        if record.by_force and attempt not in self._being_marked:
            self._being_marked.add(attempt)
            task = self.background.start(self._mark_accepted(record))
            task.add_done_callback(lambda _: self._being_marked.discard(attempt))

    async def _mark_accepted(self, record: StoredConnection) -> None:
        """Best effort: without the note, another process passes on a 401 that it could avoid."""

        def accepted(current: StoredConnection) -> StoredConnection | None:
            is_same = current.generation == record.generation
            return replace(current, by_force=False) if is_same else None

        await self.repository.update(record.id, accepted, self.clock, self.sleep)


def _share_of_lifetime(record: StoredConnection, seconds: float) -> float:
    """`seconds`, or a tenth of the access token's lifetime if that is shorter."""
    return min(seconds, (record.expires_at - record.obtained_at) / 10)


def _was_forced_in_vain(record: StoredConnection, now: float) -> bool:
    recent = now - record.obtained_at < _FORCED_SECONDS
    return record.by_force and recent and not record.comes_from_the_future(now)


def _refuse_ended(record: StoredConnection) -> None:
    if record.reason is not None:
        raise ReconnectRequired(record.reason)


def _seconds_to_retry(record: StoredConnection, now: float) -> float:
    return 5.0 if record.marker is None else record.marker.retry_at - now
