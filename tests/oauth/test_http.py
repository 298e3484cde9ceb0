"""The HTTP transport to Airtable over real sockets: what it sends, and which answers it accepts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from airtable_oauth.oauth.http import new_transport

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[str]:
    """A server on a real socket. It closes each connection when `answer` returns."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def request_to(url: str, method: str) -> httpx.Request:
    body = b"" if method == "GET" else b'{"a": 1}'
    return httpx.Request(method, url, content=body)


async def get(transport: httpx.AsyncBaseTransport, url: str) -> bytes:
    response = await transport.handle_async_request(request_to(url, "GET"))
    try:
        return await response.aread()
    finally:
        await response.aclose()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read the head and body of a request. A chunked body is not decoded."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        return head + await reader.readuntil(b"0\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length or 0))


@pytest.mark.parametrize("reads", [True, False], ids=["request read", "request not read"])
@pytest.mark.parametrize("kept_alive", [True, False], ids=["kept alive", "fresh"])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
async def test_request_on_a_dropped_connection_is_sent_once(
    method: str,
    kept_alive: bool,  # noqa: FBT001 (a parameter of the test)
    reads: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    """Its outcome is unknown, so a retry might carry it out twice."""
    arrived = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        if kept_alive and arrived == 0:
            await read_request(reader)
            writer.write(OK)
        await reader.read(1)
        arrived += 1
        if reads:
            await reader.read(65536)
        writer.transport.abort()

    async with serve(answer) as url:
        transport = new_transport()
        if kept_alive:
            first = await transport.handle_async_request(request_to(url, "POST"))
            assert await first.aread() == b"{}"
            await first.aclose()
        with pytest.raises(httpx.TransportError):
            await transport.handle_async_request(request_to(url, method))
        await asyncio.sleep(0.01)
        await transport.aclose()
    assert arrived == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_request_on_a_connection_that_closes_in_order_is_sent_once(method: str) -> None:
    """The server closes the connection with FIN instead of RST, without an answer."""
    arrived = 0

    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await read_request(reader)
        arrived += 1

    async with serve(answer) as url:
        transport = new_transport()
        with pytest.raises(httpx.TransportError):
            await transport.handle_async_request(request_to(url, method))
        await transport.aclose()
    assert arrived == 1


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 999 Odd",
        b"HTTP/1.1 600 Odd",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket",
        b"HTTP/1.1 099 Odd",
        b"HTTP/1.1 20 Odd",
        b"HTTP/1.1 2000 Odd",
        b"HTTP/1.1 -20 Odd",
        b"HTTP/9.9 200 OK",
        b"junk",
        b"HTTP/1.1 200 OK\r\nContent-Length: abc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 10_000 + b"Y: b",
    ],
)
async def test_answer_that_is_not_an_http_answer_is_an_error(head: bytes) -> None:
    """The service can neither relay nor parse such an answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(head + b"\r\n\r\n{}")
        await writer.drain()

    async with serve(answer) as url:
        transport = new_transport()
        with pytest.raises(httpx.TransportError):
            await transport.handle_async_request(request_to(url, "GET"))
        await transport.aclose()


@pytest.mark.parametrize("phrase", [b"\xfcber", b"\xff\xfe", "größer".encode(), b""])
async def test_reason_phrase_is_ignored(phrase: bytes) -> None:
    """RFC 9112, section 4: a reason phrase may hold any bytes, and clients should ignore it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK.replace(b" OK", b" " + phrase))
        await writer.drain()

    async with serve(answer) as url:
        transport = new_transport()
        response = await transport.handle_async_request(request_to(url, "GET"))
        assert (response.status_code, await response.aread()) == (200, b"{}")
        await transport.aclose()


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 10\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\njunk\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}junk",
        b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}",
    ],
)
async def test_body_that_breaks_off_is_an_error(rest: bytes) -> None:
    """A truncated answer must not pass for a complete one."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n" + rest)
        await writer.drain()

    async with serve(answer) as url:
        transport = new_transport()
        with pytest.raises(httpx.TransportError):
            await get(transport, url)
        await transport.aclose()
