"""Work that must not end with the request that began it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from airtable_oauth.errors import Unavailable
from airtable_oauth.logs import logger

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class Background:
    """Tasks of this process that go on when their callers are cancelled or stop waiting."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin it. Whoever waits does so with `wait`, or with `asyncio.shield`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def drain(self, seconds: float) -> None:
        """Let what is under way, and what that begins, come to its end: for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """End what is left."""
        for task in self._tasks:
            task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: it may be that nobody waits any more


async def wait(task: asyncio.Task[T], seconds: float, otherwise: Exception) -> T:
    """The task's result, or `otherwise` raised after so long; the task goes on in any case."""
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        raise otherwise
    return task.result()


async def until_stored(verb: Callable[[], Awaitable[T]], sleep: Sleep) -> T:
    """Try until the store takes it: what would be lost otherwise cannot be had again."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await verb()
        except Unavailable as error:
            if pause == _FIRST_PAUSE:
                logger.warning("the store does not take what must not be lost: %s", error.error)
            await sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
