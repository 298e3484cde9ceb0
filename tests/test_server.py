"""The limits of one connection, over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from airtable_oauth.app import create_app
from airtable_oauth.server import LimitedProtocol
from tests.helpers import free_port, make_settings

pytestmark = pytest.mark.integration


class Impatient(LimitedProtocol):
    """Waits a moment."""

    patience = 0.3


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A service behind such a protocol."""
    port = free_port()
    config = uvicorn.Config(
        create_app(make_settings()),
        port=port,
        http=Impatient,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server._serve())  # noqa: SLF001 (`serve` takes over signals)
    while not server.started:
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving


async def talk(port: int, *parts: bytes, pause: float = 0.0, end: bool = False) -> bytes:
    """Send these, some time apart; all that is received until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def listen() -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                received.extend(data)

    async def speak() -> None:
        with suppress(ConnectionError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if end:
                writer.write_eof()

    async with asyncio.timeout(10):
        await asyncio.gather(listen(), speak())
    writer.close()
    return bytes(received)


def error_of(answer: bytes) -> tuple[bytes, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b" ")[1], json.loads(body)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live?" + b"x" * 100_000,
        b"GET /health/live HTTP/1.1\r\nA: " + b"x" * 100_000,
        b"GET /health/live HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    ],
)
async def test_head_that_is_too_large_is_431(port: int, head: bytes) -> None:
    """URL, one header, or many; the one error body, and nothing of it kept."""
    status, body = error_of(await talk(port, head))
    assert status == b"431"
    assert body["error"] == "headers_too_large"
    assert set(body) == {"error", "error_description", "action", "request_id"}


async def test_head_that_never_ends_is_cut_off(port: int) -> None:
    """However much of it there is."""
    answer = await talk(port, b"GET / HTTP/1.1\r\n", *[b"A: " + b"x" * 9000 + b"\r\n"] * 1000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_large_head_that_is_allowed_passes(port: int) -> None:
    """Many cookies are no attack; a second request on the connection counts anew."""
    request = b"GET /health/live HTTP/1.1\r\nHost: a\r\nCookie: " + b"x" * 50_000 + b"\r\n\r\n"
    answer = await talk(port, request, request, end=True)
    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "parts", [[], [b"GET /health/live HTTP/1.1\r\n"], [b"GET /", *[b"x"] * 40]]
)
async def test_slow_head_is_cut_off(port: int, parts: list[bytes]) -> None:
    """Silence, half a head, or a byte now and then."""
    started = time.monotonic()
    assert await talk(port, *parts, pause=0.02) == b""
    assert time.monotonic() - started < 3


async def test_slow_head_of_a_second_request_is_cut_off(port: int) -> None:
    """A connection that was good before is no excuse."""
    good = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    started = time.monotonic()
    answer = await talk(port, good, b"GET ")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert time.monotonic() - started < 3


async def test_body_that_nobody_reads_is_not_taken_in_for_ever(port: int) -> None:
    """It is answered at once; what still comes is let in for a moment only."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
    started = time.monotonic()
    answer = await talk(port, head, *[b"x" * 1000] * 100, pause=0.02)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert time.monotonic() - started < 3


async def test_what_is_no_http_gets_the_one_error_body(port: int) -> None:
    """As far as an answer makes sense at all."""
    status, body = error_of(await talk(port, b"\x16\x03\x01 hello\r\n\r\n"))
    assert (status, body["error"]) == (b"400", "invalid_request")


async def test_large_body_is_refused_on_a_real_connection(port: int) -> None:
    """The answer arrives although the client is still sending."""
    head = (
        b"POST /token-refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    answer = await talk(port, head, *[chunk] * 100)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"content_too_large" in answer
