"""Limits how many proxied requests run at once, so that one user cannot use up all resources."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from weakref import WeakValueDictionary

from airtable_oauth.errors import AirtableOAuthError, TooManyUnderWay, TooManyUploads


class Places:
    """Limits how many requests of one connection run at once in this process.

    A user whose downloads stall cannot use more sockets and memory than that. Further requests
    wait for a place, so a page may send many at once.
    """

    def __init__(
        self,
        most: int,
        *,
        patience: float,
        refusal: Callable[[], AirtableOAuthError] = TooManyUnderWay,
    ) -> None:
        """`patience`: seconds that a request waits for a place, before it gets `refusal`."""
        self._refusal = refusal
        self._most = most
        self._patience = patience
        self._places = WeakValueDictionary[str, asyncio.Semaphore]()
        """By connection, while one of its requests runs or waits."""

    async def take(self, connection_id: str) -> ExitStack:
        """Wait for a place. Closing the returned stack gives it back.

        Raises:
            TooManyUnderWay, or another `refusal`: no place became free in time.
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
    """Limits uploads: two at once for one connection, and four in this process.

    The body of each is in memory.
    """

    def __init__(self, *, patience: float) -> None:
        """`patience`: seconds that an upload waits until its connection has a free place.

        It then waits as long again until the process has one.
        """
        self._of_connection = Places(2, patience=patience)
        self._of_process = Places(4, patience=patience, refusal=TooManyUploads)

    async def take(self, connection_id: str) -> ExitStack:
        """Wait for a place. See `Places.take`.

        Raises:
            TooManyUnderWay, TooManyUploads: no place became free in time.
        """
        with ExitStack() as held:
            held.enter_context(await self._of_connection.take(connection_id))
            held.enter_context(await self._of_process.take(""))
            return held.pop_all()
