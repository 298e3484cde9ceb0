"""One clock for all processes: the store's."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import Store

_PERIOD = 60.0
"""Seconds until the store is asked again."""


@dataclass(slots=True)
class StoreClock:
    """The store's clock, asked now and then and carried on by a monotonic one.

    Machines whose clocks disagree by minutes, or are set while they run, agree all the same on
    when a token ends.
    """

    store: Store
    monotonic: Callable[[], float] = time.monotonic
    _offset: float | None = field(default=None, init=False)
    _asked: float = field(default=0.0, init=False)

    async def now(self) -> float:
        """Seconds since 1970.

        Raises:
            StoreUnavailable: it does not answer, and never has.
        """
        here = self.monotonic()
        if self._offset is None or here - self._asked >= _PERIOD:
            try:
                now = await self.store.now()
                # Read after the reply: the request may have had to connect first, which takes long.
                here = self._asked = self.monotonic()
                self._offset = now - here
            except StoreUnavailable:
                if self._offset is None:
                    raise
        return here + self._offset
