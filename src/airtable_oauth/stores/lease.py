"""A lease in any store: one process does a job, so that the others need not."""

import secrets
from contextlib import suppress
from dataclasses import dataclass, field

from airtable_oauth.encoding import RandomBytes
from airtable_oauth.errors import Unavailable
from airtable_oauth.stores import Store


@dataclass(slots=True)
class Lease:
    """An advisory lock that one process holds at a time, for at most `term` seconds.

    It is not a fencing token: a holder that overruns its term is not notified.
    """

    store: Store
    key: str
    term: float
    """Seconds, by the store's clock."""
    random: RandomBytes = secrets.token_bytes
    _token: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._token = self.random(16)

    async def acquire(self) -> bool:
        """Acquire the lease if it is free. Returns whether it was acquired.

        Raises:
            StoreUnavailable: the store does not answer. The lease may have been acquired.
        """
        return await self.store.add(self.key, self._token, self.term)

    async def release(self) -> None:
        """Release the lease if it is still ours. If that fails, it expires after its term."""
        with suppress(Unavailable):
            entry = await self.store.get(self.key)
            if entry is not None and entry.value == self._token:
                await self.store.discard(self.key, version=entry.version)
