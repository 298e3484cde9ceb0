"""Refreshes connections that are not used: Airtable would end them after sixty days."""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import StrEnum

from airtable_oauth.background import Sleep
from airtable_oauth.errors import ClockSkew, NotConnected, Unavailable
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.refresh import Refresher
from airtable_oauth.vault.repository import ConnectionRepository

_PAUSE_SECONDS = 0.2
_SKEW_SECONDS = 24 * 3600.0


class IdleOutcome(StrEnum):
    """The outcome for one idle connection."""

    RENEWED = "renewed"
    """It has another sixty days."""
    ENDED = "ended"
    """It has ended, or was disconnected meanwhile."""
    LATER = "later"
    """It could not be refreshed now; the next run tries again."""


async def renew_idle(
    repository: ConnectionRepository,
    refresher: Refresher,
    store_clock: StoreClock,
    *,
    within: float,
    clock: Callable[[], float],
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[tuple[str, IdleOutcome]]:
    """Refresh the connections that would end within `within` seconds, at most five a second.

    Yields each connection's id and outcome as soon as it is known. Several runs may overlap: each
    refresh is sent once. Connections of sessions end with their sessions, and are skipped. `clock`
    is this machine's clock, in seconds since 1970.

    Raises:
        ClockSkew: the store's clock and this machine's differ by more than a day, so it is
            unknown which connections are idle. Nothing was sent.
        ClientRefused: Airtable does not accept this service. The connections not yet
            yielded are unchanged.
        StoreUnavailable: the store does not answer.
    """
    if abs(await store_clock.now() - clock()) > _SKEW_SECONDS:
        raise ClockSkew
    async for found in repository.idle(store_clock, within):
        yield found.record.id, await _renew(refresher, found.record)
        await sleep(_PAUSE_SECONDS)


async def _renew(refresher: Refresher, record: StoredConnection) -> IdleOutcome:
    try:
        current = await refresher.refresh(record, by_force=False)
    except NotConnected:
        return IdleOutcome.ENDED
    except Unavailable:
        return IdleOutcome.LATER
    if current.reason is not None:
        return IdleOutcome.ENDED
    return IdleOutcome.LATER if current.generation == record.generation else IdleOutcome.RENEWED
