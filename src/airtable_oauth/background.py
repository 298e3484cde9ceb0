"""Work that must continue after the request that started it has ended."""

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
    """Tasks of this process that continue when their callers are cancelled or stop waiting."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task. Callers use `wait` or `asyncio.shield`, so as not to cancel it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    async def drain(self, seconds: float) -> None:
        """Wait up to `seconds` for running tasks, and for tasks that they start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel the remaining tasks."""
        for task in self._tasks:
            task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        _retrieve(task)


class Slots:
    """Limits how many operations of one kind run concurrently in this process."""

    def __init__(self, count: int, *, patience: float) -> None:
        """`patience`: seconds that a caller waits for a slot."""
        self._count = count
        self._patience = patience
        self.open()

    def open(self) -> None:
        """Make all slots free, for the current event loop."""
        self._free = asyncio.Semaphore(self._count)
        self._closed = False

    async def take(self) -> ExitStack:
        """Wait for a slot. Closing the returned stack releases the slot; a repeat has no effect.

        Raises:
            TokenEndpointBusy: no slot became free in time, or the process is shutting down.
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
        """Give out no more slots. Waiting callers get `TokenEndpointBusy` at their turn."""
        self._closed = True


async def wait(task: asyncio.Task[T], seconds: float, otherwise: Exception) -> T:
    """Return the task's result, or raise `otherwise` after `seconds`. The task is not cancelled."""
    try:
        await _finish(task, seconds)
        if not task.done():
            raise otherwise
        return task.result()
    finally:
        del task  # its exception refers to this frame, which would be a reference cycle


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, or cancel it after `seconds`.

    `asyncio.timeout` cancels as soon as the time is over, even if the process was blocked and the
    answer is already in the socket. Before it cancels, this function reads what has arrived.

    Raises:
        TimeoutError: `work` took longer.
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
        del task  # its exception refers to this frame: the cycle would retain the answer's body


async def _finish(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait for a task. If the process was blocked past the deadline, wait up to a second more."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    await asyncio.wait({task}, timeout=seconds)
    late = min(loop.time() - end, _LAST_LOOK_SECONDS)
    for _ in range(_LAST_LOOKS):
        if not task.done():
            await asyncio.wait({task}, timeout=max(0.0, late) / _LAST_LOOKS)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve a task's exception, or asyncio would log it if the caller has stopped waiting."""
    if not task.cancelled():
        task.exception()


async def until_stored(operation: Callable[[], Awaitable[T]], sleep: Sleep) -> T:
    """Repeat `operation` while the store is unavailable, and return its result.

    For data that would otherwise be lost. Other errors are raised at once, because repeating does
    not help: an unreadable record (`errors.UnreadableRecord`), for example, stays unreadable until
    an operator acts.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await operation()
        except StoreUnavailable as error:
            if pause == _FIRST_PAUSE:
                cause = cause_of(error)
                extra = log_fields(cause=cause)
                logger.warning("could not store a result: %s; retrying", cause, extra=extra)
            await sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


class Tries:
    """The attempts of a compare-and-set, with pauses between them: 100 in about nine seconds.

    The loop ends after the last one. Either contention is constant or the store is inconsistent,
    so the caller raises `errors.StoreUnavailable`.
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
