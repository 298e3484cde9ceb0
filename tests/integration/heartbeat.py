"""An app factory for uvicorn: the service, with a measurement of how long its event loop blocks."""

import asyncio
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from airtable_oauth.cli.serve import worker


class Heartbeat:
    """Answers `/_longest_hold` with the longest block since the last request, in milliseconds.

    It measures the thread's CPU time between two beats, so other processes do not count.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._longest = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beating is None:
            self._beating = asyncio.ensure_future(self._beat())
        if scope.get("path") != "/_longest_hold":
            await self._app(scope, receive, send)
            return
        body = f"{self._longest * 1000:.1f}".encode()
        self._longest = 0.0
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def _beat(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self._longest = max(self._longest, time.thread_time() - before)


def create() -> ASGIApp:
    """The service as its worker processes run it."""
    return Heartbeat(worker())
