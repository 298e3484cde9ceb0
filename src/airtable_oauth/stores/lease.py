"""A lease on any store: one process does something, and the others need not."""

import secrets
from contextlib import suppress
from dataclasses import dataclass, field

from airtable_oauth.encoding import RandomBytes
from airtable_oauth.errors import Unavailable
from airtable_oauth.stores import Store


@dataclass(slots=True)
class Lease:
    """Held by one owner at a time, for `term` seconds at most.

    It saves work and is no fence: who loses it by taking longer than its term is not told.
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
        """Take it, if nobody has it.

        Raises:
            StoreUnavailable: the store does not answer; it may be taken all the same.
        """
        return await self.store.add(self.key, self._token, self.term)

    async def release(self) -> None:
        """Give it back, if it is still ours. If that fails, its term ends it."""
        with suppress(Unavailable):
            entry = await self.store.get(self.key)
            if entry is not None and entry.value == self._token:
                await self.store.discard(self.key, version=entry.version)
