"""What a host app is told about its connections, as it happens."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from airtable_oauth.background import Background
from airtable_oauth.logs import logger, places
from airtable_oauth.vault.model import Connection

_PATIENCE_SECONDS = 10.0
_LONGEST_SECONDS = 60.0

Hook = Callable[[Connection], Awaitable[None]]
"""Gets the connection as it is from now on; what it raises is logged and changes nothing."""


class Event(StrEnum):
    """What may happen to a connection."""

    CONNECTED = "connected"
    """Access was granted, the first time or again: `Connection.reconnected` says which.

    Or a connection that was reported as ended works again, which also counts as reconnected.
    """
    RECONNECT_REQUIRED = "reconnect_required"
    """It has ended without anybody here wanting it; `Connection.reason` says why."""
    DISCONNECTED = "disconnected"
    """Its tokens were erased."""


class Hooks:
    """Calls what was registered, once what it is about is stored."""

    def __init__(
        self, background: Background, *, longest_seconds: float = _LONGEST_SECONDS
    ) -> None:
        """Hooks that run in `background`, each for `longest_seconds` at most."""
        self._background = background
        self._longest_seconds = longest_seconds
        self._hooks: dict[Event, list[Hook]] = {event: [] for event in Event}

    def add(self, event: Event, hook: Hook) -> None:
        """Call it from now on."""
        self._hooks[event].append(hook)

    async def emit(self, event: Event, connection: Connection) -> None:
        """Call the hooks in their order, and wait for them, but not for long."""
        if self._hooks[event]:
            work = self._background.start(self._call(event, connection))
            await asyncio.wait({work}, timeout=_PATIENCE_SECONDS)

    async def _call(self, event: Event, connection: Connection) -> None:
        for hook in self._hooks[event]:
            try:
                async with asyncio.timeout(self._longest_seconds):
                    await hook(connection)
            except (Exception, asyncio.CancelledError) as error:  # a host's mistake costs no tokens
                if _is_cancelled():
                    raise
                logger.error(
                    "a hook failed that was told of %s: %s\n%s",
                    connection.id,
                    event,
                    "\n".join(places(error)),
                )


def _is_cancelled() -> bool:
    """Whether it is us who shall end, and not a hook that was cancelled by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
