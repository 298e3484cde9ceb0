"""Events of connections, and the hooks of a host app that are called for them."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum

from airtable_oauth.background import Background
from airtable_oauth.logs import logger, places
from airtable_oauth.vault.model import Connection

_PATIENCE_SECONDS = 10.0
_LONGEST_SECONDS = 60.0

Hook = Callable[[Connection], Awaitable[None]]
"""Gets the new state of the connection. An exception is logged and has no other effect."""


class Event(StrEnum):
    """The events of a connection."""

    CONNECTED = "connected"
    """The user connected or reconnected; `Connection.reconnected` says which.

    A connection that was reported as ended and works again counts as reconnected.
    """
    RECONNECT_REQUIRED = "reconnect_required"
    """The connection has ended, and not by `disconnect`. `Connection.reason` says why."""
    DISCONNECTED = "disconnected"
    """The tokens were erased."""


class Hooks:
    """Calls the registered hooks of an event, after its change has been stored."""

    def __init__(
        self, background: Background, *, longest_seconds: float = _LONGEST_SECONDS
    ) -> None:
        """The hooks run in `background`, each for at most `longest_seconds`."""
        self._background = background
        self._longest_seconds = longest_seconds
        self._hooks: dict[Event, list[Hook]] = {event: [] for event in Event}

    def add(self, event: Event, hook: Hook) -> None:
        """Register a hook."""
        self._hooks[event].append(hook)

    async def emit(self, event: Event, connection: Connection) -> None:
        """Call the hooks of an event in order, and wait for them, at most ten seconds.

        If a hook fails, that is logged, and the next one is called.
        """
        if self._hooks[event]:
            work = self._background.start(self._call(event, connection))
            await asyncio.wait({work}, timeout=_PATIENCE_SECONDS)

    async def _call(self, event: Event, connection: Connection) -> None:
        for hook in self._hooks[event]:
            try:
                async with asyncio.timeout(self._longest_seconds):
                    await hook(connection)
            except (
                Exception,
                asyncio.CancelledError,
            ) as error:
                if _is_cancelled():
                    raise
                logger.error(
                    "a hook for connection %s failed, event %s\n%s",
                    connection.id,
                    event,
                    "\n".join(places(error)),
                )


def _is_cancelled() -> bool:
    """Whether this task is being cancelled. A hook may also raise `CancelledError` on its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
