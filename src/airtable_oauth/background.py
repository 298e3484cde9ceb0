"""Work that must not end with the request that began it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any, Self, TypeVar

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable, TokenEndpointBusy
from airtable_oauth.logs import logger
from airtable_oauth.request_notes import log_fields

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_LAST_LOOKS = 20
_LAST_LOOK_SECONDS = 1.0
_TRIES = 100
_FIRST_TRY_PAUSE = 0.001
_LONGEST_TRY_PAUSE = 0.1


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
        _retrieve(task)


class Slots:
    """How many pieces of work of one kind may be under way at once in this process."""

    def __init__(self, count: int, *, patience: float) -> None:
        """`patience`: seconds that a caller waits for a slot."""
        self._count = count
        self._patience = patience
        self.open()

    def open(self) -> None:
        """Give out slots, all of which are free, in whichever event loop runs."""
        self._free = asyncio.Semaphore(self._count)
        self._closed = False

    async def take(self) -> ExitStack:
        """Wait for a slot. Closing the returned stack, once or more, gives it back.

        Raises:
            TokenEndpointBusy: no slot became free in time, or the process is about to end.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._free.acquire()
        except TimeoutError:
            raise TokenEndpointBusy from None
        slot = ExitStack()
        slot.callback(self._free.release)
        if self._closed:
            slot.close()
            raise TokenEndpointBusy
        return slot

    def close(self) -> None:
        """Give out no more slots. Those who wait are told when their turn comes."""
        self._closed = True


async def wait(task: asyncio.Task[T], seconds: float, otherwise: Exception) -> T:
    """The task's result, or `otherwise` raised after so long; the task goes on in any case."""
    try:
        await _finish(task, seconds)
        if not task.done():
            raise otherwise
        return task.result()
    finally:
        del task  # its exception refers to this frame: a cycle


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if it takes longer than `seconds`.

    `asyncio.timeout` cancels as soon as the time is over, even if the process stood still and the
    answer waits in the socket. This reads what has arrived first.

    Raises:
        TimeoutError: it takes longer.
    """
    task = asyncio.ensure_future(work)
    try:
        await _finish(task, seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.add_done_callback(_retrieve)
        task.cancel()
        del task  # its exception refers to this frame: a cycle would keep the answer's body


async def _finish(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait for a task. If the process stood still until after the end, look once more."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    await asyncio.wait({task}, timeout=seconds)
    late = min(loop.time() - end, _LAST_LOOK_SECONDS)
    for _ in range(_LAST_LOOKS):
        if not task.done():
            await asyncio.wait({task}, timeout=max(0.0, late) / _LAST_LOOKS)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Take a task's exception, which asyncio would otherwise log if the caller stopped waiting."""
    if not task.cancelled():
        task.exception()


async def until_stored(verb: Callable[[], Awaitable[T]], sleep: Sleep) -> T:
    """Repeat `verb` as long as the store is unavailable, and return its result.

    For data that would be lost otherwise. Every other error is raised at once. Repeating would
    not help: a record that this process cannot read (`errors.UnreadableRecord`), for example,
    stays unreadable until an operator acts.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await verb()
        except StoreUnavailable as error:
            if pause == _FIRST_PAUSE:
                cause = cause_of(error)
                extra = log_fields(cause=cause)
                logger.warning("could not store a result: %s; retrying", cause, extra=extra)
            await sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


class Tries:
    """The tries of a compare-and-set, with a pause between them: 100 in about nine seconds.

    After the last one the loop ends. Then there is constant contention, or the store contradicts
    itself, and the caller raises `errors.StoreUnavailable`.
    """

    def __init__(self, sleep: Sleep) -> None:
        self._sleep = sleep
        self._count = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        if self._count == _TRIES:
            raise StopAsyncIteration
        if self._count:
            await self._sleep(min(_FIRST_TRY_PAUSE * 2**self._count, _LONGEST_TRY_PAUSE))
        self._count += 1
        return self._count
