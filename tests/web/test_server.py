"""The limits of one TCP connection, over real sockets."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from airtable_oauth.app import create_app
from airtable_oauth.web.server import LimitedProtocol, Wait
from tests.helpers import free_port, make_settings

pytestmark = pytest.mark.integration

LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = 8_000_000
"""More bytes than the operating system buffers for a connection."""
POST = (
    b"POST /token-refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of `airtable-oauth serve`."""
    return "asyncio", {"use_uvloop": True}


class Impatient(LimitedProtocol):
    """Ends every kind of wait after 0.3 seconds."""

    seconds: ClassVar = dict.fromkeys(Wait, 0.3)


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """The port of the service, which runs with the `Impatient` protocol."""
    async with serving(create_app(make_settings())) as port:
        yield port


@asynccontextmanager
async def serving(app: ASGIApp, connections: int | None = None) -> AsyncIterator[int]:
    """Serve an app with the `Impatient` protocol. Yields its port."""
    port = free_port()
    config = uvicorn.Config(
        app,
        port=port,
        http=Impatient,
        log_config=None,
        access_log=False,
        limit_concurrency=connections,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server._serve())  # noqa: SLF001 (`serve` takes over signals)
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        await serving


async def talk(port: int, *parts: bytes, pause: float = 0.0, end: bool = False) -> bytes:
    """Send `parts` with `pause` seconds between them. Returns all bytes received until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def listen() -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                received.extend(data)

    async def speak() -> None:
        with suppress(ConnectionError, RuntimeError):  # uvloop raises it for a closed transport
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
        b"GET /health/live HTTP/1.1\r\nA: " + b"x" * 100_000,
        b"GET /health/live HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
        b"GET /health/live HTTP/1.1\r\n" + b"A: b\r\n" * 201 + b"\r\n",
    ],
)
async def test_head_that_is_too_large_is_431(port: int, head: bytes) -> None:
    """One large header or many headers get the service's error body."""
    status, body = error_of(await talk(port, head))
    assert status == b"431"
    assert body["error"] == "headers_too_large"
    assert set(body) == {"error", "error_description", "action", "request_id"}


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live?" + b"x" * 100_000,
        b"GET /airtable/v0/" + b"%25" * 6000,
        b"GET /airtable/v0/" + b"%25" * 6000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_path_or_query_that_is_too_long_is_414(port: int, head: bytes) -> None:
    """The answer is the same for a complete and for an incomplete head."""
    status, body = error_of(await talk(port, head))
    assert (status, body["error"]) == (b"414", "uri_too_long")


async def test_query_as_long_as_airtable_accepts_it_passes(port: int) -> None:
    """Airtable's own limit is 16,000 characters."""
    request = LIVE.replace(b"live", b"live?" + b"x" * 16_000)
    assert (await talk(port, request, end=True)).startswith(b"HTTP/1.1 200 ")


async def test_head_that_never_ends_is_cut_off(port: int) -> None:
    """The server answers 431 before it has received the whole head."""
    answer = await talk(port, b"GET / HTTP/1.1\r\n", *[b"A: " + b"x" * 9000 + b"\r\n"] * 1000)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_large_head_that_is_allowed_passes(port: int) -> None:
    """Many cookies are legitimate, and the limit applies to each request separately."""
    request = b"GET /health/live HTTP/1.1\r\nHost: a\r\nCookie: " + b"x" * 50_000 + b"\r\n\r\n"
    answer = await talk(port, request, request, end=True)
    assert answer.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "parts", [[], [b"GET /health/live HTTP/1.1\r\n"], [b"GET /", *[b"x"] * 40]]
)
async def test_slow_head_is_cut_off(port: int, parts: list[bytes]) -> None:
    """The client sends nothing, half a head, or a byte now and then."""
    started = time.monotonic()
    assert await talk(port, *parts, pause=0.02) == b""
    assert time.monotonic() - started < 3


async def test_slow_head_of_a_second_request_is_cut_off(port: int) -> None:
    """The deadline also applies after a request that was answered."""
    started = time.monotonic()
    answer = await talk(port, LIVE, b"GET ")
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert time.monotonic() - started < 3


async def test_body_that_is_not_read_is_cut_off(port: int) -> None:
    """The answer is sent at once, and the rest of the body is accepted only for a moment."""
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n"
    started = time.monotonic()
    answer = await talk(port, head, *[b"x" * 1000] * 100, pause=0.02)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert time.monotonic() - started < 3


async def test_input_that_is_not_http_gets_the_one_error_body(port: int) -> None:
    """A TLS handshake on the plain port, for example, gets 400."""
    status, body = error_of(await talk(port, b"\x16\x03\x01 hello\r\n\r\n"))
    assert (status, body["error"]) == (b"400", "invalid_request")


async def test_large_body_is_refused_on_a_real_connection(port: int) -> None:
    """The answer arrives although the client is still sending."""
    chunk = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
    answer = await talk(port, POST, *[chunk] * 100)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"content_too_large" in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"0\r\n" + b"A: b\r\n" * 20_000,
        b"0\r\nA: " + b"x" * 100_000,
        b"1;" + b"x" * 100_000,
        b"1;x\r\n \r\n" * 20_000,
    ],
    ids=["trailers", "one trailer", "extension of a chunk", "tiny chunks"],
)
async def test_what_surrounds_a_body_is_limited(port: int, framing: bytes) -> None:
    """The server refuses the request at the limit; the route's deadline is not needed."""
    status, body = error_of(await talk(port, POST, framing))
    assert (status, body["error"]) == (b"413", "content_too_large")


async def test_refused_client_that_goes_on_sending_is_cut_off(port: int) -> None:
    """It may send a little more before it reads the answer, but not for its whole ten seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = 0
    with suppress(ConnectionError, RuntimeError):
        writer.write(POST + b"0\r\n")
        async with asyncio.timeout(5):
            while sent < 100_000_000:
                writer.write(b"A: b\r\n" * 10_000)
                await writer.drain()
                sent += 60_000
    assert sent < 20_000_000
    writer.close()
    del reader


async def test_trailer_is_not_a_header(port: int) -> None:
    """A trailer is not a header of its request or of the next, so it cannot pass the CSRF check."""
    head = b"DELETE /session HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    following = b"DELETE /session HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = await talk(port, head + b"0\r\nX-CSRF: 1\r\n\r\n" + following)
    assert answer.count(b"HTTP/1.1 403 ") == 2


@pytest.mark.parametrize("pause", [0.02, 0.0])
async def test_empty_lines_do_not_keep_a_connection_open(port: int, pause: float) -> None:
    """This holds for empty lines that arrive slowly and for a flood of them."""
    started = time.monotonic()
    answer = await talk(port, LIVE, *[b"\r\n" * 20] * 200, pause=pause)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert time.monotonic() - started < 6


async def test_idle_connection_is_closed(port: int) -> None:
    """The client has read the answer and sends nothing more."""
    started = time.monotonic()
    assert (await talk(port, LIVE)).count(b"HTTP/1.1 200 ") == 1
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("pieces", [1, 100])
async def test_more_than_a_few_queued_requests_end_the_connection(port: int, pieces: int) -> None:
    """Nine pipelined requests are served: one that is running, and eight in the queue."""
    answer = await talk(port, *[LIVE * (1000 // pieces)] * pieces)
    assert answer.count(b"HTTP/1.1 200 ") < 500
    assert (await talk(port, LIVE * 9)).count(b"HTTP/1.1 200 ") == 9


async def test_connection_that_could_be_upgraded_stays_http(port: int) -> None:
    """Some clients offer HTTP/2 in their first request and continue without it."""
    offer = LIVE.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert (await talk(port, offer + LIVE)).count(b"HTTP/1.1 200 ") == 2


async def test_broken_body_is_answered_once(port: int) -> None:
    """The server answers 400 itself and drops the app's answer."""
    status, body = error_of(await talk(port, POST, b"not a size\r\n"))
    assert (status, body["error"]) == (b"400", "invalid_request")


class Endless:
    """Answers without end in small chunks. `left` is set when the server reports a disconnect."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        answering = asyncio.ensure_future(self.answer(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()
        answering.cancel()

    async def answer(self, send: Send) -> None:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 5000, "more_body": True})
            await asyncio.sleep(0)


class Large:
    """Answers in one piece."""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(b"content-length", b"%d" % LARGE)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"x" * LARGE})


class Silent:
    """Answers once `may_answer` is set. `left` is set when the server reports a disconnect."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.requests += 1
        waiting = asyncio.ensure_future(self.may_answer.wait())
        while not waiting.done():
            message = asyncio.ensure_future(receive())
            await asyncio.wait([message, waiting], return_when=asyncio.FIRST_COMPLETED)
            if message.done() and message.result()["type"] == "http.disconnect":
                self.left.set()
                waiting.cancel()
                return
            message.cancel()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})


def connect(port: int) -> socket.socket:
    """A client with a small receive buffer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)  # noqa: FBT003 (the standard library's signature)
    return client


async def is_ended(client: socket.socket) -> bool:
    """Whether the server ends the connection within three seconds. Discards what it sends."""
    loop = asyncio.get_running_loop()
    with suppress(ConnectionError):
        try:
            async with asyncio.timeout(3):
                while await loop.sock_recv(client, 65536):
                    pass
        except TimeoutError:
            return False
    return True


@pytest.mark.parametrize("requests", [1, 2])
async def test_client_that_does_not_read_is_dropped_and_the_app_told(requests: int) -> None:
    """The server also drops a client that has a second request in the queue."""
    app = Endless()
    async with serving(app) as port, asyncio.timeout(5):
        with connect(port) as client:
            client.sendall(LIVE * requests)
            await app.left.wait()
            assert await is_ended(client)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
async def test_end_of_an_answer_that_is_not_read_is_dropped(connection: bytes) -> None:
    """The app has finished, and the client has not read the rest of the answer."""
    async with serving(Large()) as port:
        with connect(port) as client:
            client.sendall(LIVE.replace(b"Host: a", b"Connection: " + connection))
            await asyncio.sleep(1)
            assert await is_ended(client)


async def test_client_that_reads_a_little_now_and_then_is_dropped() -> None:
    """A kilobyte every thirty milliseconds is too slow for the protocol's 0.3 seconds."""
    app = Endless()
    async with serving(app) as port, asyncio.timeout(5):
        with connect(port) as client:
            client.sendall(LIVE)
            while not app.left.is_set():
                with suppress(BlockingIOError):
                    client.recv(1000)
                await asyncio.sleep(0.03)


@pytest.mark.parametrize("connection", [b"keep-alive", b"close"])
async def test_slow_client_that_reads_steadily_gets_its_answer(connection: bytes) -> None:
    """Reading the whole answer takes longer than the protocol's 0.3 seconds."""
    async with serving(Large()) as port:
        with connect(port) as client:
            client.sendall(LIVE.replace(b"Host: a", b"Connection: " + connection))
            started, received = time.monotonic(), 0
            async with asyncio.timeout(8):
                while received < LARGE:
                    with suppress(BlockingIOError):
                        received += len(client.recv(65536))
                    await asyncio.sleep(0.001)
            assert time.monotonic() - started > 0.9


async def test_body_that_never_comes_ends_the_request() -> None:
    """The server enforces this for an app without a deadline of its own."""
    app = Silent()
    async with serving(app) as port, asyncio.timeout(5):
        await talk(port, POST)
        assert app.left.is_set()


async def test_answer_under_way_has_no_deadline_of_the_connection() -> None:
    """The client has nothing to send while it waits for the app's answer."""
    app = Silent()
    async with serving(app) as port, asyncio.timeout(5):
        answer = asyncio.ensure_future(talk(port, LIVE))
        await asyncio.sleep(1)
        app.may_answer.set()
        assert (await answer).startswith(b"HTTP/1.1 204 ")
        assert not app.left.is_set()


async def test_nonsense_after_a_request_is_not_answered_before_it() -> None:
    """The client would read an error as the answer to its request, so the connection just ends."""
    app = Silent()
    async with serving(app) as port, asyncio.timeout(5):
        assert await talk(port, LIVE + b"\x16\x03\x01\r\n\r\n") == b""


async def test_connection_that_waited_longest_makes_room_for_a_new_one() -> None:
    """Silent connections cannot keep others out. A connection with a running request stays."""
    app = Silent()
    async with serving(app, connections=5) as port, asyncio.timeout(5):
        busy = asyncio.ensure_future(talk(port, LIVE, end=False))
        while app.requests == 0:
            await asyncio.sleep(0.01)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        another = asyncio.ensure_future(talk(port, LIVE))
        with suppress(ConnectionError):
            assert await silent[0][0].read() == b""
        app.may_answer.set()
        assert (await another).startswith(b"HTTP/1.1 204 ")
        assert (await busy).startswith(b"HTTP/1.1 204 ")
        for _, writer in silent:
            writer.close()


async def test_new_connection_is_refused_while_all_are_busy() -> None:
    """The refusal is a 503 with the service's error body."""
    app = Silent()
    async with serving(app, connections=2) as port, asyncio.timeout(5):
        busy = [asyncio.ensure_future(talk(port, LIVE)) for _ in range(2)]
        while app.requests < 2:
            await asyncio.sleep(0.01)
        status, body = error_of(await talk(port))
        assert (status, body["error"]) == (b"503", "temporarily_unavailable")
        app.may_answer.set()
        assert all(answer.startswith(b"HTTP/1.1 204 ") for answer in await asyncio.gather(*busy))
