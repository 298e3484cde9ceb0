"""Planned faults, as Airtable or the network could cause them."""

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
"""Bodies that are not a valid answer, by name."""

MOST_PLANNED = 1000
"""The most faults that may be pending at a time."""

_Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]
_Status = Annotated[int, Field(ge=200, le=599)]


@dataclass
class Fault:
    """A failure of the next `times` requests whose path begins with `path`.

    The fields combine. A fault can wait until it is released (`held`) or for some seconds
    (`delay`), carry out the request (`commit`), wait again for some seconds (`hold`), and then drop
    the connection (`drop`) or send another answer (`status`, `body` or `junk`; then also `headers`,
    `gzip` and `drip`). With neither `drop` nor another answer, it only delays.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    path: str = "/oauth2/v1/token"
    only: str = ""
    """Text that the request's body must contain, such as a refresh token."""
    times: _Count = 1
    held: bool = False
    """First wait until `Faults.release` is called."""
    delay: _Seconds = 0.0
    """Seconds to wait before the request is carried out."""
    commit: bool = False
    """Whether to carry out the request although its answer is dropped or replaced."""
    hold: _Seconds = 0.0
    """Seconds to wait before the answer is dropped or replaced."""
    drop: bool = False
    """Close the connection without an answer."""
    status: _Status | None = None
    body: str | None = None
    junk: str | None = None
    """Sends a body that is not a valid answer: `empty`, `html`, `list`, `object`, `text`,
    `not utf-8`, `missing token`, `wrong types`, `infinity`, `brackets` or `megabytes`."""
    headers: Sequence[tuple[str, str]] = ()
    gzip: bool = False
    """Send the body compressed, with `Content-Encoding`."""
    drip: _Seconds = 0.0
    """Seconds between the bytes of the body, which are sent one at a time."""
    fired: _Count = 0
    """How many requests it has affected."""

    def __post_init__(self) -> None:
        """Raise ValueError if `junk` is not a name in `JUNK`."""
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
        """The body of the answer that is sent instead."""
        content = JUNK[self.junk] if self.junk is not None else (self.body or "").encode()
        return gzip.compress(content) if self.gzip else content


_SEND = "airtable_oauth.simulator.send"


class Droppable:
    """The outermost ASGI app. Puts the server's own `send` into the scope.

    Through it, a fault can cut the client's connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        scope[_SEND] = send
        await self._app(scope, receive, send)


class Faults:
    """ASGI middleware that carries out the planned faults."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.planned: list[Fault] = []
        self._released = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        """Plan a fault. If several match a request, the one that was planned first fires.

        Raises:
            ValueError: 1,000 faults are pending.
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
        """Remove every fault and release the held requests."""
        self.release()
        self.planned.clear()

    def release(self) -> None:
        """End the wait of requests that a fault with `held` stopped."""
        self._released.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http" or not self.planned:
            await self._app(scope, receive, send)
            return
        body = (await receive()).get("body", b"")  # the whole body: see `bodies.Capped`
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
        await _answer(fault, scope, send)

    def _next(self, scope: Scope, body: bytes) -> Fault | None:
        if scope["method"] == "OPTIONS":
            return None  # a fault is for the request itself, not for its preflight
        for fault in self.planned:
            if (
                scope["path"].startswith(fault.path)
                and fault.only.encode() in body
                and not fault.is_spent
            ):
                return fault
        return None


async def _swallow(_message: Message) -> None:
    """A `send` that discards the answer."""


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _answer(fault: Fault, scope: Scope, send: Send) -> None:
    content = fault.content()
    headers = [(name.lower().encode(), value.encode()) for name, value in fault.headers]
    cors = (b"access-control-allow-origin", b"*")  # pages may read every answer of the Web API
    if scope["path"].startswith("/v0/") and cors[0] not in dict(headers):
        headers.append(cors)
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
    """Cut the connection: abort uvicorn's transport, or raise an exception in process."""
    transport = getattr(getattr(scope[_SEND], "__self__", None), "transport", None)
    if transport is None:
        raise httpx.ReadError("dropped, as planned")
    transport.abort()
