"""Refreshes tokens. However many processes there are, a refresh token is sent once.

It is sent again only after an attempt that certainly did not use it or whose outcome is unknown.
Airtable's refresh tokens are single use, and a refresh ends the old access token at once. So an
attempt is announced in the store before it is sent (the marker), and its outcome is stored even if
the caller goes away. Marker and generation guarantee that a token is sent again only in these two
cases; the lease only avoids needless work.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from airtable_oauth.background import Background, Sleep, Tries, until_stored, wait
from airtable_oauth.errors import (
    AccessUnavailable,
    AirtableError,
    ClientRefused,
    NotSent,
    StoreUnavailable,
    TokenEndpointBusy,
    Unavailable,
)
from airtable_oauth.logs import logger
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.request_notes import current_notes, log_fields
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.lease import Lease
from airtable_oauth.vault.metrics import count_refresh, lease_wait
from airtable_oauth.vault.model import Marker, Reason, StoredConnection
from airtable_oauth.vault.outcomes import EFFECTS, RefreshOutcome, marker_after, outcome_of
from airtable_oauth.vault.repository import ConnectionRepository

_POLL_SECONDS = 0.1

Change = Callable[[StoredConnection], StoredConnection]


class AfterRefresh(Protocol):
    """What a process does once it has stored the outcome of a refresh."""

    async def renewed(self, connection: StoredConnection) -> None:
        """This process has stored new tokens."""

    async def ended(self, connection: StoredConnection) -> None:
        """This process has stored that the connection has ended."""

    async def revived(self, connection: StoredConnection) -> None:
        """The connection had been marked as ended when its new tokens were stored."""


@dataclass(slots=True)
class Refresher:
    """Refreshes the connections of one integration, in this process."""

    repository: ConnectionRepository
    token_endpoint: TokenEndpoint
    clock: StoreClock
    background: Background
    after: AfterRefresh
    sleep: Sleep = asyncio.sleep
    store_seconds: float = 3.0
    """How long a caller waits for the store, in seconds."""
    _running: dict[tuple[str, int], "_Attempt"] = field(default_factory=dict, init=False)
    """The attempts that are running, by connection and generation."""

    @property
    def term(self) -> float:
        """Lifetime of a lease in seconds: longer than the call to Airtable with its writes."""
        return lease_seconds(self.token_endpoint.deadline, self.store_seconds)

    async def refresh(self, record: StoredConnection, *, by_force: bool) -> StoredConnection:
        """Refresh the tokens. Returns the new record, or the current one if a retry is pending.

        All callers in a process share one attempt, and none of them can interrupt it. `by_force`
        says that Airtable rejected the old tokens before they expired; it is stored with the new
        ones.

        Raises:
            NotConnected: the connection was disconnected meanwhile.
            ClientRefused: Airtable does not accept this service; the connection is kept.
            Unavailable: the store does not answer, or the refresh takes too long.
        """
        key = (record.id, record.generation)
        attempt = self._running.get(key)
        if attempt is None:
            task = self.background.start(self._refresh(record, by_force=by_force))
            attempt = self._running[key] = _Attempt(task)
            task.add_done_callback(lambda _: self._running.pop(key, None))
        try:
            return await wait(attempt.task, self.term, otherwise=AccessUnavailable())
        finally:
            attempt.note()

    async def _refresh(self, seen: StoredConnection, *, by_force: bool) -> StoredConnection:
        """Refresh under the lease, or return the record that the holder of the lease has stored.

        Waits for a slot first, so that the wait takes no time from the lease, the marker or the
        call. If a holder dies, its lease stays until it expires. The lease is advisory: a process
        that has waited for two terms goes on without it.
        """
        lease = self._lease(seen.id)
        with lease_wait() as waits:
            for _ in range(int(2 * self.term / _POLL_SECONDS)):
                slot = await self._take_slot()
                with slot:
                    if await lease.acquire():
                        try:
                            return await self._refresh_under_lease(seen, slot, by_force=by_force)
                        finally:
                            await lease.release()
                waits.begin()
                record = (await self.repository.require(seen.id)).record
                if record.generation != seen.generation or record.reason is not None:
                    return record
                await self.sleep(_POLL_SECONDS)
        with await self._take_slot() as slot:
            return await self._refresh_under_lease(seen, slot, by_force=by_force)

    async def _take_slot(self) -> ExitStack:
        try:
            return await self.token_endpoint.refresh_slots.take()
        except TokenEndpointBusy:
            raise AccessUnavailable from None

    async def _refresh_under_lease(
        self, seen: StoredConnection, slot: ExitStack, *, by_force: bool
    ) -> StoredConnection:
        async for _ in Tries(self.sleep):
            found = await self.repository.require(seen.id)
            record, now = found.record, await self.clock.now()
            if record.generation != seen.generation or record.reason is not None:
                return record
            if record.marker is not None and record.marker.holds(now, self.term):
                return record
            marker = Marker(_attempts(record) + 1, retry_at=now + self.term)
            marked = replace(record, marker=marker)
            # Stored before the request. If that fails, nothing is sent.
            if await self.repository.replace(marked, now, version=found.version):
                return await self._send(record, marker, slot, by_force=by_force)
        raise StoreUnavailable(cause="contention")

    async def _send(
        self, record: StoredConnection, marker: Marker, slot: ExitStack, *, by_force: bool
    ) -> StoredConnection:
        """Send the refresh token, and store the outcome. The marker has announced this attempt."""
        try:
            await self._require_time(marker)
            tokens = await self.token_endpoint.refresh(refresh_token=record.refresh_token)
        except AirtableError as error:
            slot.close()
            return await self._failed(record, marker, error)
        slot.close()
        return await self._succeeded(record, tokens, by_force=by_force)

    async def _require_time(self, marker: Marker) -> None:
        """Check that this process has not been suspended since it stored the marker.

        Once the marker has expired, another process may send the same refresh token.

        Raises:
            NotSent: too little time is left for the call and for storing its outcome.
        """
        if (
            await self.clock.now() + self.token_endpoint.deadline + self.store_seconds
            > marker.retry_at
        ):
            raise NotSent(cause="the process was suspended")

    async def _succeeded(
        self, record: StoredConnection, tokens: TokenSet, *, by_force: bool
    ) -> StoredConnection:
        renewed = record.renewed(tokens, await self.clock.now(), by_force=by_force)
        ended = False

        def change(current: StoredConnection) -> StoredConnection:
            """Keep what others have stored meanwhile, but neither a marker nor an end."""
            nonlocal ended
            ended = current.reason is not None
            return replace(
                renewed, user=current.user, keep_until=current.keep_until, data=current.data
            )

        async def store() -> StoredConnection:
            stored = await self._store(record, change)
            self.background.start(self.after.renewed(stored))
            if ended and stored.login == record.login:  # a reconnect has its own event
                self.background.start(self.after.revived(stored))
            return stored

        self._report(record, RefreshOutcome.RENEWED)
        return await self._in_time(store())

    async def _failed(
        self, record: StoredConnection, marker: Marker, error: AirtableError
    ) -> StoredConnection:
        """Store the effect of a failure, as `EFFECTS` defines it. `marker` is this attempt's.

        Raises:
            ClientRefused: that was the failure; the refresh token was not used.
        """
        outcome = outcome_of(error, record, await self.clock.now())
        effect = EFFECTS[outcome]
        self._report(record, outcome, error.cause)
        if effect.waits_for_peer:
            newer = await self._wait_for_peer(record, marker)
            if newer is not None:
                return newer
            self._report(record, RefreshOutcome.UNKNOWN, error.cause)
        after = marker_after(effect.marker, marker, record.marker, await self.clock.now())
        if effect.reason is None:
            stored = await self._in_time(self._store(record, _replace_marker(marker, after)))
        else:
            stored = await self._in_time(self._end(record, effect.reason))
        if outcome is RefreshOutcome.NOT_SENT and isinstance(error, ClientRefused):
            raise error
        return stored

    async def _end(self, record: StoredConnection, reason: Reason) -> StoredConnection:
        """Store that the connection has ended, and why, unless there are newer tokens."""
        stored = await self._store(
            record, lambda current: replace(current, reason=reason, marker=None)
        )
        if stored.generation == record.generation:
            self.background.start(self.after.ended(stored))
        return stored

    async def _wait_for_peer(
        self, record: StoredConnection, marker: Marker
    ) -> StoredConnection | None:
        """Wait until another process has stored the new tokens. Returns None if none has in time.

        Airtable answered 409, so another process probably has them. The wait ends before the marker
        expires: until then no other process sends the token.
        """
        while await self.clock.now() < marker.retry_at - self.store_seconds:
            try:
                current = (await self.repository.require(record.id)).record
            except Unavailable:
                pass
            else:
                if current.generation != record.generation or current.reason is not None:
                    return current
            await self.sleep(_POLL_SECONDS)
        return None

    async def _in_time(self, storing: Coroutine[Any, Any, StoredConnection]) -> StoredConnection:
        """Return what `storing` returns. It goes on if the caller goes away or the time is over.

        Raises:
            StoreUnavailable: it takes too long.
        """
        task = self.background.start(storing)
        return await wait(task, self.store_seconds, otherwise=StoreUnavailable())

    async def _store(self, record: StoredConnection, change: Change) -> StoredConnection:
        """Store an outcome, with retries, unless the record already has another generation.

        Raises:
            NotConnected: the connection was disconnected meanwhile.
        """

        async def attempt() -> StoredConnection:
            async for _ in Tries(self.sleep):
                found = await self.repository.require(record.id)
                if found.record.generation != record.generation:
                    # An earlier try stored it, and its reply was lost; or there are newer tokens.
                    return found.record
                changed = change(found.record)
                if changed is found.record:
                    return changed
                now = await self.clock.now()
                if await self.repository.replace(changed, now, version=found.version):
                    return changed
            raise StoreUnavailable(cause="contention")

        return await until_stored(attempt, self.sleep)

    def _lease(self, connection_id: str) -> Lease:
        repository = self.repository
        key = storage_key(repository.name, "lease", "refresh", connection_id)
        return Lease(repository.store, key, self.term)

    def _report(
        self, record: StoredConnection, outcome: RefreshOutcome, cause: str | None = None
    ) -> None:
        count_refresh(outcome)
        level = logger.info if outcome is RefreshOutcome.RENEWED else logger.warning
        level(
            "refresh of %s, generation %d: %s",
            *(record.id, record.generation, outcome),
            extra=log_fields(connection=record.id, outcome=outcome.value, cause=cause),
        )
        attempt = self._running.get((record.id, record.generation))
        if attempt is not None:
            attempt.outcome, attempt.cause = outcome, cause


@dataclass(slots=True)
class _Attempt:
    """A refresh, for which several requests may wait."""

    task: asyncio.Task[StoredConnection]
    outcome: RefreshOutcome | None = None
    cause: str | None = None

    def note(self) -> None:
        """Note the outcome for the log line of the current request."""
        notes = current_notes()
        if notes is not None and self.outcome is not None:
            notes.outcome = self.outcome.value
            notes.cause = self.cause or notes.cause


def lease_seconds(deadline: float, store_seconds: float) -> float:
    """How long a refresh may take, in seconds, from the lease to the stored outcome.

    The call takes up to `deadline`. The store is used once before the call and twice after it,
    because the write may have to be repeated.
    """
    return deadline + 3 * store_seconds


def _attempts(record: StoredConnection) -> int:
    return 0 if record.marker is None else record.marker.attempts


def _replace_marker(marker: Marker, other: Marker | None) -> Change:
    """A change that replaces this marker, unless a later attempt has replaced it already."""
    return lambda current: replace(current, marker=other) if current.marker == marker else current
