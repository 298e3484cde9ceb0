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
"""How long a result is given to other callers."""


@dataclass(slots=True)
class Readiness:
    """Proves that the store works, for any number of callers at the cost of one write a second.

    One proof is under way at a time. Callers who come meanwhile, and within a second after it, get
    its result.
    """

    store: Store
    name: str
    background: Background
    seconds: float
    """How long a proof may take."""
    monotonic: Callable[[], float] = time.monotonic
    random: RandomBytes = secrets.token_bytes
    _proof: asyncio.Task[AirtableOAuthError | None] | None = field(default=None, init=False)
    _ended: float = field(default=-math.inf, init=False)

    async def check(self) -> None:
        """Return if the store works.

        Raises:
            StoreUnavailable: it does not, or not in time.
        """
        if self._proof is None or self._is_over(self._proof):
            self._proof = self.background.start(self._prove())
        error = await asyncio.shield(self._proof)
        if error is not None:
            raise error.with_traceback(None)

    def _is_over(self, proof: asyncio.Task[AirtableOAuthError | None]) -> bool:
        is_old = self.monotonic() - self._ended >= _SHARED_SECONDS
        return proof.cancelled() or (proof.done() and is_old)

    async def _prove(self) -> AirtableOAuthError | None:
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
