"""Connections that nobody uses: Airtable ends them after sixty days, unless they are renewed."""

import asyncio
from collections.abc import AsyncIterator
from enum import StrEnum

from airtable_oauth.background import Sleep
from airtable_oauth.connections import Connections
from airtable_oauth.errors import NotConnected, Unavailable
from airtable_oauth.records import ConnectionRecord, Found, Reason, Status

_PAUSE_SECONDS = 0.2


class IdleOutcome(StrEnum):
    """What became of a connection that was idle."""

    RENEWED = "renewed"
    """It has another sixty days."""
    ENDED = "ended"
    """It must be made anew by its user."""
    LATER = "later"
    """It could not be renewed now; it is kept, and the next run tries again."""


async def renew_idle(
    connections: Connections, *, within: float, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[tuple[str, IdleOutcome]]:
    """Renew what would end within so many seconds, five a second; ids and outcomes as they come.

    Any number of runs at once do no harm: each refresh happens once. Connections of sessions are
    left alone: they end with their sessions.

    Raises:
        ClientRefused: Airtable does not accept this service; nothing ended by that.
        StoreUnavailable: the store does not answer.
    """
    async for found in connections.records.all():
        if _is_idle(found.record, await connections.clock.now() + within):
            yield found.record.id, await _renew(connections, found)
            await sleep(_PAUSE_SECONDS)


def _is_idle(record: ConnectionRecord, horizon: float) -> bool:
    """Whether it has not ended, and will before then although it could live longer."""
    return (
        record.reason is None
        and record.keep_until is None
        and record.reconnect_by is not None
        and record.reconnect_by <= horizon
    )


async def _renew(connections: Connections, found: Found) -> IdleOutcome:
    record = found.record
    status, reason = record.status(await connections.clock.now())
    if status is Status.RECONNECT_REQUIRED and reason is Reason.EXPIRED:
        await connections.end_expired(found)
        return IdleOutcome.ENDED
    try:
        current = await connections.rotation.beyond(record, by_force=False)
    except NotConnected:
        return IdleOutcome.ENDED
    except Unavailable:
        return IdleOutcome.LATER
    if current.reason is not None:
        return IdleOutcome.ENDED
    return IdleOutcome.LATER if current.generation == record.generation else IdleOutcome.RENEWED
