"""One clock for all processes: the store's."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import Store

_PERIOD = 60.0
"""Seconds between two readings of the store's clock."""


@dataclass(slots=True)
class StoreClock:
    """The store's clock, read about once a minute. In between, a monotonic clock advances it.

    All machines then agree on when a token expires, even if their own clocks differ by minutes or
    are changed while they run.
    """

    store: Store
    monotonic: Callable[[], float] = time.monotonic
    _offset: float | None = field(default=None, init=False)
    _asked: float = field(default=0.0, init=False)

    async def now(self) -> float:
        """Return the time in seconds since 1970.

        Raises:
            StoreUnavailable: the store does not answer and its clock has never been read.
        """
        here = self.monotonic()
        if self._offset is None or here - self._asked >= _PERIOD:
            try:
                now = await self.store.now()
                # Taken after the reply, because connecting to the store may have taken long.
                here = self._asked = self.monotonic()
                self._offset = now - here
            except StoreUnavailable:
                if self._offset is None:
                    raise
        return here + self._offset
