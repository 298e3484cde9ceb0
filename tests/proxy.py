"""A TCP proxy that can fail, between the service under test and a server."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.helpers import free_port


class Proxy:
    """Forwards bytes to a port on this machine, in its own thread."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        """Delay of each request, in seconds."""
        self.lost_reply: bytes | None = None
        """Forward the next request that contains these bytes, but drop its reply."""
        self.lost = 0
        """How many replies were dropped."""
        self.refuses_afterwards = False
        """Whether the proxy refuses connections after a lost reply, until `mend`."""
        self._target = target
        self._passing = threading.Event()
        self._passing.set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    def black_hole(self) -> None:
        """Accept connections and bytes, but forward and answer nothing."""
        self._passing.clear()

    def refuse(self) -> None:
        """Cut every connection and refuse new ones."""
        self._run(self._close)

    def mend(self) -> None:
        """Forward bytes again."""
        self._run(self._close)
        self.refuses_afterwards = False
        self._passing.set()
        self._run(self._listen)

    def _run(self, step: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await step()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=5)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._open.add(back)
        server, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._open.add(there)
        with suppress(ConnectionError):
            losing = asyncio.Event()
            await asyncio.gather(
                self._requests(client, there, losing), self._replies(server, back, losing)
            )
        for writer in (back, there):
            writer.close()

    async def _requests(
        self, client: asyncio.StreamReader, there: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await client.read(65536):
            if not self._passing.is_set():
                continue
            await asyncio.sleep(self.delay)
            if self.lost_reply is not None and self.lost_reply in data:
                self.lost_reply = None
                losing.set()
            there.write(data)
        there.close()

    async def _replies(
        self, server: asyncio.StreamReader, back: asyncio.StreamWriter, losing: asyncio.Event
    ) -> None:
        while data := await server.read(65536):
            if losing.is_set():
                self.lost += 1
                back.transport.abort()
                if self.refuses_afterwards:
                    await self._close()
                return
            if self._passing.is_set():
                back.write(data)
        back.close()


@contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy, which at first forwards everything."""
    made = Proxy(target)

    def run(loop: asyncio.AbstractEventLoop, *_: Any) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()

    thread = threading.Thread(target=run, args=(made._loop,))  # noqa: SLF001 (its thread)
    thread.start()
    made.mend()
    try:
        yield made
    finally:
        made.refuse()
        made._loop.call_soon_threadsafe(made._loop.stop)  # noqa: SLF001
        thread.join()
        made._loop.close()  # noqa: SLF001
