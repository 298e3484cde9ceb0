"""The interface of a store, which holds logins, sessions and connections until they expire."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

STORE_TIMEOUT = 1.4
"""Default timeout of one store operation, in seconds.

`Settings.store_patience` says how long a request waits until a result, such as the outcome of a
refresh, is stored: three seconds by default, enough for two operations.
"""


class Entry(NamedTuple):
    """A stored value and its version."""

    value: bytes
    version: bytes
    """The bytes as stored, so the ciphertext if encrypted. `replace` and `discard` compare them."""


class Turn(NamedTuple):
    """The result of `Store.reserve_turn`."""

    wait: float
    """Seconds until the turn; 0 if it is due now."""
    is_reserved: bool
    """Whether the turn was reserved. If not, it was too far away, or `within` was negative."""


class Store(Protocol):
    """A key-value store. Every operation on a single key is atomic.

    Keys look like `name:namespace:digest`. Every value has a time to live in seconds, measured by
    the store's own clock. `tests/stores/test_contract.py` specifies each operation.

    Every operation raises `errors.StoreUnavailable` within about `Settings.store_timeout` seconds
    (1.4 by default) if the store does not answer. The operation may have taken effect all the
    same. A store of your own must do this itself: the library sets no deadline for an operation,
    so if one hangs, the request that needs it hangs too.
    """

    async def get(self, key: str) -> Entry | None:
        """Return the live entry under a key, or None."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        """Return the live entries under at most 500 keys, in the order of the keys.

        It takes one round trip. Others may write between the reads of two keys.
        """
        ...

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Store a value, replacing any existing one.

        Raises:
            TooManyLogins: the store is bounded, and full.
        """
        ...

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Store a value if the key is absent. Returns whether it was stored.

        Raises:
            TooManyLogins: the store is bounded, and full.
        """
        ...

    async def pop(self, key: str) -> bytes | None:
        """Remove a value and return it, or None. Of several callers, only one gets it."""
        ...

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """Replace a value if it still has this version. Returns whether it was replaced.

        With `ttl=None`, the remaining time to live stays the same.
        """
        ...

    async def discard(self, key: str, *, version: bytes) -> bool:
        """Remove a value if it still has this version. Returns whether it was removed."""
        ...

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """Reserve the next turn: a time at which the caller may send one request.

        Any `window` seconds contain at most `most` turns.

        A turn more than `within` seconds away is not reserved. With a negative `within`, nothing is
        reserved, and the call only returns `Turn.wait`.

        The value under the key is a JSON array of times in seconds since 1970, oldest first (see
        `stores/turns.py`). It is not encrypted, and expires `window` seconds after the latest of
        these times.
        """
        ...

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """Let no new turn be due until `seconds` from now. Turns that are reserved do not move."""
        ...

    def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """Yield the live keys that begin with `namespace:`, for maintenance.

        `namespace` is the first part of the keys (`airtable`), or the first two
        (`airtable:connection`). Keys whose remaining time to live is between the two numbers of
        `skip_ttl`, in seconds, are left out. May miss keys that are added while it runs, and may
        yield a key twice, as Redis does.
        """
        ...

    async def now(self) -> float:
        """Return the time by the store's own clock, in seconds since 1970."""
        ...

    async def close(self) -> None:
        """Close the store's connections."""
        ...
