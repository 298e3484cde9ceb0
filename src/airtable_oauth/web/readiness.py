"""Whether this process can serve logins: its store must accept a write."""

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airtable_oauth.background import Background
from airtable_oauth.causes import cause_of
from airtable_oauth.encoding import RandomBytes
from airtable_oauth.errors import AirtableOAuthError, StoreUnavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.probe import prove_write

_SHARED_SECONDS = 1.0
"""How long a result is reused."""


@dataclass(slots=True)
class Readiness:
    """Checks that the store works, with at most one write per second for any number of callers.

    One check runs at a time. Callers during it, and within a second after it, get its result.
    """

    store: Store
    name: str
    background: Background
    seconds: float
    """How long a check may take."""
    monotonic: Callable[[], float] = time.monotonic
    random: RandomBytes = secrets.token_bytes
    _running: asyncio.Task[AirtableOAuthError | None] | None = field(default=None, init=False)
    _ended: float = field(default=-math.inf, init=False)

    async def check(self) -> None:
        """Return if the store works.

        Raises:
            StoreUnavailable: it does not, or not in time.
        """
        if self._running is None or self._is_over(self._running):
            self._running = self.background.start(self._write())
        error = await asyncio.shield(self._running)
        if error is not None:
            raise error.with_traceback(None)

    def _is_over(self, check: asyncio.Task[AirtableOAuthError | None]) -> bool:
        is_old = self.monotonic() - self._ended >= _SHARED_SECONDS
        return check.cancelled() or (check.done() and is_old)

    async def _write(self) -> AirtableOAuthError | None:
        try:
            async with asyncio.timeout(self.seconds):
                await prove_write(self.store, self.name, random=self.random)
        except TimeoutError as error:
            return StoreUnavailable(cause=cause_of(error))
        except AirtableOAuthError as error:
            return error
        finally:
            self._ended = self.monotonic()
        return None
