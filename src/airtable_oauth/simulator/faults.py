"""Faults on request: what Airtable, or the way to it, could do wrong."""

import asyncio
import gzip
from collections.abc import Iterable
from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JUNK: dict[str, bytes] = {
    "empty": b"",
    "html": b"<!doctype html><title>Maintenance</title>",
    "list": b"[]",
    "object": b"{}",
    "text": b"OK",
    "not utf-8": b"\xff\xfe\x00",
    "missing token": b'{"token_type": "Bearer", "expires_in": 3600, "scope": "x"}',
    "wrong types": (
        b'{"access_token": 1, "refresh_token": [], "token_type": "Bearer", "expires_in": "x"}'
    ),
    "infinity": (
        b'{"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 1e400}'
    ),
    "brackets": b"[" * 100_000,
    "megabytes": b" " * 5_000_000,
}
"""Bodies that are no answer, by name."""


@dataclass
class Fault:
    """Something that goes wrong for the next `times` requests below a path.

    The fields combine: a fault may wait (`delay`), let Airtable do its work (`commit`), wait again
    (`hold`), and then drop the connection (`drop`) or answer something else (`status`, `body`,
    `junk`, `headers`, `gzip`, `drip`). With only `delay` set it is plain latency.
    """

    path: str = "/oauth2/v1/token"
    only: str = ""
    """What the body must contain, a refresh token say."""
    times: int = 1
    held: bool = False
    """Wait until it is released before anything happens."""
    delay: float = 0.0
    """Seconds to wait then."""
    commit: bool = False
    """Whether the request is carried out all the same."""
    hold: float = 0.0
    """Seconds after that."""
    drop: bool = False
    """Close the connection without an answer."""
    status: int | None = None
    body: str | None = None
    junk: str | None = None
    """A name in `JUNK`."""
    headers: Iterable[tuple[str, str]] = ()
    gzip: bool = False
    """Compress the body, and say so."""
    drip: float = 0.0
    """Seconds between single bytes of the body."""
    fired: int = 0
    """How many requests it has hit."""

    @property
    def answers(self) -> bool:
        """Whether it replaces the answer."""
        return self.status is not None or self.body is not None or self.junk is not None

    def content(self) -> bytes:
        """The body that it answers."""
        content = JUNK[self.junk] if self.junk is not None else (self.body or "").encode()
        return gzip.compress(content) if self.gzip else content


_SEND = "airtable_oauth.simulator.send"


class Droppable:
    """Lies outside everything else and keeps the server's own `send`, which can be cut."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        scope[_SEND] = send
        await self._app(scope, receive, send)


class Faults:
    """An ASGI app around another that does what it was told to do wrong."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.planned: list[Fault] = []
        self._released = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        """Plan a fault; those of one path take turns in the order they were planned."""
        self.planned.append(fault)
        if fault.held:
            self._released.clear()
        return fault

    def clear(self) -> None:
        """Plan nothing, and release what is held."""
        self.release()
        self.planned.clear()

    def release(self) -> None:
        """Let the requests go on that faults with `held` have stopped."""
        self._released.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http" or not self.planned:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        receive = _again(body)
        fault = self._next(scope["path"], body)
        if fault is None:
            await self._app(scope, receive, send)
            return
        fault.fired += 1
        if fault.held:
            await self._released.wait()
        await asyncio.sleep(fault.delay)
        if not (fault.drop or fault.answers):
            await self._app(scope, receive, send)
            return
        if fault.commit:
            await self._app(scope, receive, _swallow)
        await asyncio.sleep(fault.hold)
        if fault.drop:
            _drop(scope)
            return
        await _answer(fault, send)

    def _next(self, path: str, body: bytes) -> Fault | None:
        for fault in self.planned:
            if (
                path.startswith(fault.path)
                and fault.only.encode() in body
                and fault.fired < fault.times
            ):
                return fault
        return None


async def _swallow(_message: Message) -> None:
    """Where an answer goes that nobody gets."""


async def _body(receive: Receive) -> bytes:
    """The whole body: a fault may go by it, and the log holds all of it."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _answer(fault: Fault, send: Send) -> None:
    content = fault.content()
    headers = [(name.lower().encode(), value.encode()) for name, value in fault.headers]
    headers.append((b"content-length", str(len(content)).encode()))
    if fault.gzip:
        headers.append((b"content-encoding", b"gzip"))
    start = {"type": "http.response.start", "status": fault.status or 200, "headers": headers}
    await send(start)
    if fault.drip:
        for position in range(len(content)):
            chunk = content[position : position + 1]
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(fault.drip)
        content = b""
    await send({"type": "http.response.body", "body": content, "more_body": False})


def _drop(scope: Scope) -> None:
    """Cut the connection. Over uvicorn that is its transport; in process it is an exception."""
    transport = getattr(getattr(scope[_SEND], "__self__", None), "transport", None)
    if transport is None:
        raise httpx.ReadError("dropped, as planned")
    transport.abort()
