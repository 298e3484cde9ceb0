"""Relays Airtable's answer to a client, and stops when the client disconnects."""

import asyncio
import re
import weakref
from contextlib import ExitStack
from types import TracebackType

import httpx
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import ClientClosedRequest
from airtable_oauth.web.access_log import note_broken_answer

_RESPONSE_HEADERS = {
    *(b"content-type", b"content-encoding", b"content-length"),
    *(b"etag", b"last-modified", b"retry-after"),
}
_CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WITHOUT_BODY = (204, 205, 304)


class StopOnDisconnect:
    """Cancels the block of an `async with` when the client disconnects.

    Read the body of the request first: after that, `receive` returns only when the client
    disconnects or the answer is complete. Leave the block before you send the end of the answer.

    Raises:
        ClientClosedRequest: the client has disconnected.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_left = False

    async def __aenter__(self) -> None:
        """Begin to watch the client."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (a coroutine runs in a task)
        self._task = task
        self._cancellations = task.cancelling()
        self._watcher = asyncio.create_task(self._watch())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop watching. Like `asyncio.timeout`, distinguish our own cancellation from others."""
        self._watcher.cancel()
        if not self._has_left:
            return
        if self._task.uncancel() <= self._cancellations and error is not None:
            raise ClientClosedRequest from None

    async def _watch(self) -> None:
        # Called once, not in a loop: some middleware returns the body again with every call.
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._has_left = True
            self._task.cancel()


class Relayed(Response):
    """Streams Airtable's answer, with only the headers that describe its body, and `Retry-After`.

    `held`, the places of the request, is closed when the answer is complete or the client has
    disconnected. In a host app this object may never be sent; then `held` is closed when the object
    is garbage-collected.
    """

    background: BackgroundTask | None

    def __init__(self, upstream: httpx.Response, held: ExitStack) -> None:
        self.status_code = upstream.status_code
        self.background = None
        self.raw_headers = _response_headers(upstream)
        self._upstream = upstream
        self._held = held
        weakref.finalize(self, held.close).atexit = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        with self._held:
            try:
                await self._send_answer(receive, send)
            except ClientClosedRequest:
                return
            except httpx.TransportError as error:
                note_broken_answer(error, cause_of(error), scope)
                raise  # else the answer would look complete
            finally:
                await self._upstream.aclose()
        if self.background is not None:  # a host's dependency may have set one
            await self.background()

    async def _send_answer(self, receive: Receive, send: Send) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        async with StopOnDisconnect(receive):
            async for chunk in self._upstream.stream:  # type: ignore[union-attr] # asynchronous
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _response_headers(upstream: httpx.Response) -> list[tuple[bytes, bytes]]:
    """The headers that may pass and have no control characters in their value."""
    wanted = _RESPONSE_HEADERS
    if upstream.status_code in _WITHOUT_BODY:
        wanted = wanted - {b"content-length"}
    lowered = ((name.lower(), value) for name, value in upstream.headers.raw)
    return [
        (name, value)
        for name, value in lowered
        if name in wanted and not _CONTROL_CHARACTERS.search(value)
    ]
