"""Where logins (and later sessions and connections) are kept, all of them with an expiry."""

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

STORE_TIMEOUT = 1.4
"""Seconds for one verb of a store, by default. Two of them fit into the three seconds after which a
caller gets its 503: `pop` through encryption needs two."""


class Entry(NamedTuple):
    """A stored value and its version."""

    value: bytes
    version: bytes
    """The bytes as stored: what `replace` and `discard` compare, also through encryption."""


class Turn(NamedTuple):
    """What `Store.reserve_turn` answers."""

    wait: float
    """Seconds until the turn, 0 if it is due."""
    is_reserved: bool


class Store(Protocol):
    """A key-value store whose every verb is one atomic operation.

    Keys look like `name:namespace:digest`. Every value has a time to live, in seconds, counted by
    the store's own clock. One suite, `tests/stores/test_contract.py`, says what each verb does.

    Every verb raises `errors.StoreUnavailable` when the store does not answer in time; what it
    did then is unknown.
    """

    async def get(self, key: str) -> Entry | None:
        """The live entry under a key."""
        ...

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """Store a value, whatever was there.

        Raises:
            TooManyLogins: the store is bounded, and full.
        """
        ...

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Store a value if nothing is there; whether it was stored.

        Raises:
            TooManyLogins: the store is bounded, and full.
        """
        ...

    async def pop(self, key: str) -> bytes | None:
        """Take a value out: of any number of callers, on any number of machines, one gets it."""
        ...

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """Store a value if this version is still there; whether it was stored.

        Without a `ttl` it keeps what is left of the old one's.
        """
        ...

    async def discard(self, key: str, *, version: bytes) -> bool:
        """Remove a value if this version is still there; whether it was removed."""
        ...

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """Reserve the next of at most `most` turns in any `window` seconds.

        A turn that is further away than `within` seconds is not reserved: a negative `within` only
        asks for its `wait`. The times of the last `most` turns are stored under the key, until the
        last one was a window ago. A value that is something else counts as absent. Only times are
        stored, so encryption does not apply.
        """
        ...

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """Give no turn earlier than `seconds` from now. Turns that are reserved already stay."""
        ...

    def scan(self, namespace: str) -> AsyncIterator[str]:
        """All live keys below `namespace:`, for maintenance; keys of the meantime may be missed."""
        ...

    async def now(self) -> float:
        """The store's own clock: seconds since 1970."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
