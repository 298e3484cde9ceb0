"""Faults on request: what Airtable, or the way to it, could do wrong."""

import asyncio
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import httpx
from pydantic import ConfigDict, Field
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

MOST_PLANNED = 1000
"""Faults that have not fired as often as planned."""

_Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]
_Status = Annotated[int, Field(ge=200, le=599)]


@dataclass
class Fault:
    """Something that goes wrong for the next `times` requests below a path.

    The fields combine: a fault may wait (`delay`), let Airtable do its work (`commit`), wait again
    (`hold`), and then drop the connection (`drop`) or answer something else (`status`, `body`,
    `junk`, `headers`, `gzip`, `drip`). With only `delay` set it is plain latency.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: str = "/oauth2/v1/token"
    only: str = ""
    """What the body must contain, a refresh token say."""
    times: _Count = 1
    held: bool = False
    """Wait until it is released before anything happens."""
    delay: _Seconds = 0.0
    """Seconds to wait then."""
    commit: bool = False
    """Whether the request is carried out all the same."""
    hold: _Seconds = 0.0
    """Seconds after that."""
    drop: bool = False
    """Close the connection without an answer."""
    status: _Status | None = None
    body: str | None = None
    junk: str | None = None
    """A name in `JUNK`."""
    headers: Sequence[tuple[str, str]] = ()
    gzip: bool = False
    """Compress the body, and say so."""
    drip: _Seconds = 0.0
    """Seconds between single bytes of the body."""
    fired: _Count = 0
    """How many requests it has hit."""

    def __post_init__(self) -> None:
        """Raise ValueError if this kind of junk is unknown."""
        if self.junk is not None and self.junk not in JUNK:
            raise ValueError(f"junk must be one of {', '.join(JUNK)}")

    @property
    def is_spent(self) -> bool:
        """Whether it has fired as often as planned."""
        return self.fired >= self.times

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
        """Plan a fault; those of one path take turns in the order they were planned.

        Raises ValueError if a thousand are planned that have not fired yet.
        """
        if len(self.planned) >= MOST_PLANNED:
            self.planned = [each for each in self.planned if not each.is_spent]
        if len(self.planned) >= MOST_PLANNED:
            raise ValueError(f"{MOST_PLANNED} faults are planned already: clear them first")
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
        body = (await receive()).get("body", b"")  # whole: see `bodies.Capped`
        receive = _again(body)
        fault = self._next(scope, body)
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

    def _next(self, scope: Scope, body: bytes) -> Fault | None:
        if scope["method"] == "OPTIONS":
            return None  # a browser's preflight is not the request that a fault is meant for
        for fault in self.planned:
            if (
                scope["path"].startswith(fault.path)
                and fault.only.encode() in body
                and not fault.is_spent
            ):
                return fault
        return None


async def _swallow(_message: Message) -> None:
    """Where an answer goes that nobody gets."""


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
