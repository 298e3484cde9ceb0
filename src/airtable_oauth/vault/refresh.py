"""Renewing tokens: one request per refresh token, over any number of processes.

Airtable's refresh tokens are single use, and a refresh ends the old access token at once. So what
is about to happen is written down first (the marker), and what happened is written down whatever
the callers do meanwhile. Marker and generation are the fence; the lease only saves work.
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
        """This process has refreshed the tokens."""

    async def ended(self, connection: StoredConnection) -> None:
        """This process has learned that the connection has ended."""

    async def revived(self, connection: StoredConnection) -> None:
        """The connection had been marked as ended when its new tokens were stored."""


@dataclass(slots=True)
class Refresher:
    """The refreshes of one integration, as this process does them."""

    repository: ConnectionRepository
    token_endpoint: TokenEndpoint
    clock: StoreClock
    background: Background
    after: AfterRefresh
    sleep: Sleep = asyncio.sleep
    store_seconds: float = 3.0
    """How long a caller waits for the store."""
    _running: dict[tuple[str, int], "_Attempt"] = field(default_factory=dict, init=False)
    """By connection and generation."""

    @property
    def term(self) -> float:
        """Seconds that a lease lives: longer than a call to Airtable and the writes around it."""
        return lease_seconds(self.token_endpoint.deadline, self.store_seconds)

    async def refresh(self, record: StoredConnection, *, by_force: bool) -> StoredConnection:
        """The record after this generation, or this generation if it could not be renewed yet.

        All callers of a process share one attempt. None of them can interrupt it.

        Raises:
            NotConnected: it was disconnected meanwhile.
            ClientRefused: Airtable does not accept this service; the connection is kept.
            Unavailable: the store does not answer, or it takes too long.
        """
        key = (record.id, record.generation)
        attempt = self._running.get(key)
        if attempt is None:
            task = self.background.start(self._renew(record, by_force=by_force))
            attempt = self._running[key] = _Attempt(task)
            task.add_done_callback(lambda _: self._running.pop(key, None))
        try:
            return await wait(attempt.task, self.term, otherwise=AccessUnavailable())
        finally:
            attempt.note()

    async def _renew(self, seen: StoredConnection, *, by_force: bool) -> StoredConnection:
        """Refresh under the lease, or return the record that the lease's holder has stored.

        The slot comes first: waiting for it spends no time of the lease, the marker or the call. A
        holder that died leaves its lease for the whole term. The lease is advisory, so a process
        that has waited for two terms goes on without it.
        """
        lease = self._lease(seen.id)
        with lease_wait() as waits:
            for _ in range(int(2 * self.term / _POLL_SECONDS)):
                slot = await self._take_slot()
                with slot:
                    if await lease.acquire():
                        try:
                            return await self._renew_under_lease(seen, slot, by_force=by_force)
                        finally:
                            await lease.release()
                waits.begin()
                record = (await self.repository.require(seen.id)).record
                if record.generation != seen.generation or record.reason is not None:
                    return record
                await self.sleep(_POLL_SECONDS)
        with await self._take_slot() as slot:
            return await self._renew_under_lease(seen, slot, by_force=by_force)

    async def _take_slot(self) -> ExitStack:
        try:
            return await self.token_endpoint.refresh_slots.take()
        except TokenEndpointBusy:
            raise AccessUnavailable from None

    async def _renew_under_lease(
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
            # Written ahead. If that fails, Airtable is not called.
            if await self.repository.replace(marked, now, version=found.version):
                return await self._send(record, marker, slot, by_force=by_force)
        raise StoreUnavailable(cause="contention")

    async def _send(
        self, record: StoredConnection, marker: Marker, slot: ExitStack, *, by_force: bool
    ) -> StoredConnection:
        """Send the refresh token, which this attempt's marker announces, and store the outcome."""
        try:
            await self._require_time(marker)
            tokens = await self.token_endpoint.refresh(refresh_token=record.refresh_token)
        except AirtableError as error:
            slot.close()
            return await self._failed(record, marker, error)
        slot.close()
        return await self._succeeded(record, tokens, by_force=by_force)

    async def _require_time(self, marker: Marker) -> None:
        """Send nothing if this process stood still since it wrote the marker.

        Once the marker's time is over, another process may send the same refresh token.

        Raises:
            NotSent: too little time is left for the call and for storing its outcome.
        """
        if (
            await self.clock.now() + self.token_endpoint.deadline + self.store_seconds
            > marker.retry_at
        ):
            raise NotSent(cause="the process stood still")

    async def _succeeded(
        self, record: StoredConnection, tokens: TokenSet, *, by_force: bool
    ) -> StoredConnection:
        renewed = record.renewed(tokens, await self.clock.now(), by_force=by_force)
        ended = False

        def change(current: StoredConnection) -> StoredConnection:
            """Keep what others have added since, such as the user, but no marker and no end."""
            nonlocal ended
            ended = current.reason is not None
            return replace(
                renewed, user=current.user, keep_until=current.keep_until, data=current.data
            )

        stored = await self._settle(record, change)
        self._report(record, RefreshOutcome.RENEWED)
        self.background.start(self.after.renewed(stored))
        if ended:
            self.background.start(self.after.revived(stored))
        return stored

    async def _failed(
        self, record: StoredConnection, marker: Marker, error: AirtableError
    ) -> StoredConnection:
        """Store what `EFFECTS` says of a failure. `marker` is this attempt's.

        Raises:
            ClientRefused: the error, if the refresh token was not used.
        """
        outcome = outcome_of(error, record, await self.clock.now())
        effect = EFFECTS[outcome]
        self._report(record, outcome, error.cause)
        if effect.waits_for_peer:
            newer = await self._from_a_peer(record, marker)
            if newer is not None:
                return newer
            self._report(record, RefreshOutcome.UNKNOWN, error.cause)
        after = marker_after(effect.marker, marker, record.marker, await self.clock.now())
        if effect.reason is None:
            stored = await self._settle(record, _instead_of(marker, after))
        else:
            stored = await self._settle(record, _ending(effect.reason), then=self.after.ended)
        if outcome is RefreshOutcome.NOT_SENT and isinstance(error, ClientRefused):
            raise error
        return stored

    async def _from_a_peer(
        self, record: StoredConnection, marker: Marker
    ) -> StoredConnection | None:
        """Wait for the pair that another process has, as Airtable says, until it is stored.

        The wait ends before the marker does: until then no other process sends the token.
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

    async def _settle(
        self,
        record: StoredConnection,
        change: Change,
        then: Callable[[StoredConnection], Coroutine[Any, Any, None]] | None = None,
    ) -> StoredConnection:
        """Store an outcome: until it is stored, superseded, or the process ends.

        `then` is told of it once it is stored: twice if the store's first reply was lost.

        Raises:
            NotConnected: it was disconnected meanwhile, which wins.
            StoreUnavailable: it takes longer; it goes on in the background.
        """

        async def attempt() -> StoredConnection:
            async for _ in Tries(self.sleep):
                found = await self.repository.require(record.id)
                if found.record.generation != record.generation:
                    return found.record  # ours, whose reply was lost, or a newer one
                changed = change(found.record)
                if changed is found.record:
                    return changed
                now = await self.clock.now()
                if await self.repository.replace(changed, now, version=found.version):
                    if then is not None:
                        self.background.start(then(changed))
                    return changed
            raise StoreUnavailable(cause="contention")

        task = self.background.start(until_stored(attempt, self.sleep))
        return await wait(task, self.store_seconds, otherwise=StoreUnavailable())

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
    """A refresh that several requests may wait for."""

    task: asyncio.Task[StoredConnection]
    outcome: RefreshOutcome | None = None
    cause: str | None = None

    def note(self) -> None:
        """Tell the log of the current request how it went."""
        notes = current_notes()
        if notes is not None and self.outcome is not None:
            notes.outcome = self.outcome.value
            notes.cause = self.cause or notes.cause


def lease_seconds(deadline: float, store_seconds: float) -> float:
    """How long a refresh may take, from its lease to its end.

    That is the store's time once before the call and twice after it, for one repeat, and
    `deadline`, the time of the call.
    """
    return deadline + 3 * store_seconds


def _attempts(record: StoredConnection) -> int:
    return 0 if record.marker is None else record.marker.attempts


def _ending(reason: Reason) -> Change:
    """End the connection, whatever marker is on it."""
    return lambda current: replace(current, reason=reason, marker=None)


def _instead_of(marker: Marker, other: Marker | None) -> Change:
    """Put another marker in the place of this one, unless a later attempt's stands there."""
    return lambda current: replace(current, marker=other) if current.marker == marker else current
