"""Connections that nobody uses: Airtable ends them after sixty days, unless they are renewed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import StrEnum

from airtable_oauth.background import Sleep
from airtable_oauth.errors import ClockSkew, NotConnected, Unavailable
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.model import StoredConnection

_PAUSE_SECONDS = 0.2
_SKEW_SECONDS = 24 * 3600.0


class IdleOutcome(StrEnum):
    """What became of a connection that was idle."""

    RENEWED = "renewed"
    """It has another sixty days."""
    ENDED = "ended"
    """Its user must reconnect."""
    LATER = "later"
    """It could not be renewed now; it is kept, and the next run tries again."""


async def renew_idle(
    connections: Connections,
    *,
    within: float,
    clock: Callable[[], float],
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[tuple[str, IdleOutcome]]:
    """Renew what would end within so many seconds, five a second; ids and outcomes as they come.

    Any number of runs at once do no harm: each refresh happens once. Connections of sessions are
    left alone: they end with their sessions. `clock` is this machine's, seconds since 1970.

    Raises:
        ClockSkew: the store's clock and this machine's disagree: one of them would make every
            connection look idle, or none. Nothing was sent.
        ClientRefused: Airtable does not accept this service; nothing ended by that.
        StoreUnavailable: the store does not answer.
    """
    if abs(await connections.clock.now() - clock()) > _SKEW_SECONDS:
        raise ClockSkew
    async for found in connections.records.all():
        if _is_idle(found.record, await connections.clock.now(), within):
            yield found.record.id, await _renew(connections, found.record)
            await sleep(_PAUSE_SECONDS)


def _is_idle(record: StoredConnection, now: float, within: float) -> bool:
    """Whether it has not ended, and will end within that time although it could live longer.

    So will one that was dated by a clock that was ahead: its real end is not known.
    """
    if record.reason is not None or record.keep_until is not None or record.reconnect_by is None:
        return False
    return record.reconnect_by <= now + within or record.comes_from_the_future(now)


async def _renew(connections: Connections, record: StoredConnection) -> IdleOutcome:
    try:
        current = await connections.refresher.refresh(record, by_force=False)
    except NotConnected:
        return IdleOutcome.ENDED
    except Unavailable:
        return IdleOutcome.LATER
    if current.reason is not None:
        return IdleOutcome.ENDED
    return IdleOutcome.LATER if current.generation == record.generation else IdleOutcome.RENEWED
