"""How many proxied requests may be under way in this process, so that one user leaves room."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from weakref import WeakValueDictionary

from airtable_oauth.errors import AirtableOAuthError, TooManyUnderWay, TooManyUploads


class Places:
    """Bounds how many requests of one connection are under way in this process.

    One user whose downloads stall holds no more than that of sockets and memory. A request beyond
    that waits for a place, so that a page may send many at once.
    """

    def __init__(
        self,
        most: int,
        *,
        patience: float,
        refusal: Callable[[], AirtableOAuthError] = TooManyUnderWay,
    ) -> None:
        """`patience`: seconds that a request waits; `refusal`: the error that it gets then."""
        self._refusal = refusal
        self._most = most
        self._patience = patience
        self._places = WeakValueDictionary[str, asyncio.Semaphore]()
        """By connection, as long as one of its requests is under way or waits."""

    async def take(self, connection_id: str) -> ExitStack:
        """Wait for a place. Closing the returned stack, once or more, gives it back.

        Raises:
            TooManyUnderWay, or another refusal: No place became free in time.
        """
        places = self._places.get(connection_id)
        if places is None:
            places = self._places[connection_id] = asyncio.Semaphore(self._most)
        if places.locked():
            await self._wait(places)
        else:
            await places.acquire()
        held = ExitStack()
        held.callback(places.release)
        return held

    async def _wait(self, places: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await places.acquire()
        except TimeoutError:
            raise self._refusal() from None


class UploadPlaces:
    """Bounds the uploads under way in this process: four, of one connection two.

    Each holds its body in memory.
    """

    def __init__(self, *, patience: float) -> None:
        """`patience`: seconds that an upload waits for each of its two places."""
        self._of_connection = Places(2, patience=patience)
        self._of_process = Places(4, patience=patience, refusal=TooManyUploads)

    async def take(self, connection_id: str) -> ExitStack:
        """Wait for a place; see `Places.take`.

        Raises:
            TooManyUnderWay, TooManyUploads: No place became free in time.
        """
        with ExitStack() as held:
            held.enter_context(await self._of_connection.take(connection_id))
            held.enter_context(await self._of_process.take(""))
            return held.pop_all()
