import asyncio
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import httpx
import pytest
import respx

from airtable_oauth.errors import (
    AirtableError,
    InvalidGrant,
    NotSent,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.oauth.http import new_transport
from airtable_oauth.oauth.protocol import OAuthClient
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from tests.helpers import AIRTABLE, REDIRECT_URI, query_of

TOKENS = json.dumps(
    {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 3600}
).encode()

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def airtable(
    transport: httpx.AsyncBaseTransport,
    *,
    url: str = AIRTABLE,
    client_secret: str = "s3cret",
    deadline: float = 5.0,
) -> TokenEndpoint:
    client = OAuthClient("an-id", client_secret, REDIRECT_URI, ("a:read",))
    return TokenEndpoint(client=client, url=url, transport=transport, deadline=deadline)


@asynccontextmanager
async def upstream(answer: Answer, *, deadline: float = 5.0) -> AsyncIterator[TokenEndpoint]:
    """The real transport, connected to a server on a real socket that runs `answer`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    subject = airtable(new_transport(), url=f"http://127.0.0.1:{port}", deadline=deadline)
    try:
        yield subject
    finally:
        await subject.aclose()
        server.close()


def answering(head: str, body: bytes = b"") -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


def test_authorization_url_carries_each_parameter_once() -> None:
    """See RFC 6749, section 4.1.1, and RFC 7636, section 4.3."""
    url = airtable(new_transport()).authorization_url(state="st", code_challenge="ch")
    assert url.startswith("https://airtable.com/oauth2/v1/authorize?")
    assert query_of(url) == {
        "client_id": "an-id",
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "a:read",
        "state": "st",
        "code_challenge": "ch",
        "code_challenge_method": "S256",
    }


async def test_exchange_is_one_form_post_with_basic() -> None:
    """Each parameter is in the body once. The URL has none, and the request has no cookie."""
    async with respx.MockRouter(assert_all_called=True) as router:
        route = router.post(f"{AIRTABLE}/oauth2/v1/token").respond(content=TOKENS)
        await airtable(httpx.MockTransport(router.async_handler)).exchange(
            code="c&=", code_verifier="v"
        )
    assert route.call_count == 1
    request = route.calls.last.request
    assert request.url.query == b""
    assert request.headers["authorization"] == "Basic YW4taWQ6czNjcmV0"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers
    assert parse_qsl(request.content.decode()) == [
        ("grant_type", "authorization_code"),
        ("code", "c&="),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", "v"),
        ("client_id", "an-id"),
    ]


async def test_public_client_has_no_authorization_header() -> None:
    """Airtable forbids the header without a secret."""
    async with respx.MockRouter() as router:
        route = router.post(f"{AIRTABLE}/oauth2/v1/token").respond(content=TOKENS)
        subject = airtable(httpx.MockTransport(router.async_handler), client_secret="")
        await subject.refresh(refresh_token="r")
    assert "authorization" not in route.calls.last.request.headers
    assert parse_qsl(route.calls.last.request.content.decode()) == [
        ("grant_type", "refresh_token"),
        ("refresh_token", "r"),
        ("client_id", "an-id"),
    ]


@pytest.mark.parametrize("status", [500, 503, 429, 307])
async def test_nothing_is_retried_or_followed(status: int) -> None:
    """Sending a code or refresh token a second time may end the connection."""
    async with respx.MockRouter() as router:
        route = router.post(f"{AIRTABLE}/oauth2/v1/token").respond(
            status, headers={"Location": f"{AIRTABLE}/elsewhere"}
        )
        with pytest.raises(UpstreamError):
            await airtable(httpx.MockTransport(router.async_handler)).refresh(refresh_token="r")
    assert route.call_count == 1


async def test_error_answer_is_what_the_protocol_says() -> None:
    """The body of a 400 is parsed."""
    body = b'{"error": "invalid_grant"}'
    async with upstream(answering("400 Bad Request", body)) as subject:
        with pytest.raises(InvalidGrant):
            await subject.exchange(code="c", code_verifier="v")


async def test_redirect_is_not_followed_over_the_wire() -> None:
    """A 307 would send the client secret to another address."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        location = f"{subject.url}/again"
        await answering(f"307 Temporary Redirect\r\nLocation: {location}")(reader, writer)

    async with upstream(answer) as subject:
        with pytest.raises(UpstreamError):
            await subject.exchange(code="c", code_verifier="v")
    assert connections == 1


async def test_connection_dropped_after_the_request_is_not_retried() -> None:
    """Its outcome is unknown, because Airtable may have carried it out."""
    requests = 0

    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1

    async with upstream(answer) as subject:
        with pytest.raises(UpstreamError) as caught:
            await subject.refresh(refresh_token="r")
    assert type(caught.value) is UpstreamError
    assert requests == 1


async def test_refused_connection_is_known_as_not_sent() -> None:
    """Nothing was spent."""
    async with upstream(answering("200 OK")) as subject:
        url = subject.url
    gone = airtable(new_transport(), url=url)
    with pytest.raises(NotSent):
        await gone.refresh(refresh_token="r")
    await gone.aclose()


async def test_dripping_answer_ends_with_the_deadline() -> None:
    """A byte now and then never triggers a read timeout. The deadline covers the whole answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with upstream(answer, deadline=0.2) as subject, asyncio.timeout(5):
        with pytest.raises(UpstreamTimeout):
            await subject.exchange(code="c", code_verifier="v")


async def test_silence_ends_with_the_deadline() -> None:
    async def answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read(100_000)
        await asyncio.sleep(5)

    async with upstream(answer, deadline=0.2) as subject, asyncio.timeout(5):
        with pytest.raises(UpstreamTimeout):
            await subject.exchange(code="c", code_verifier="v")


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("200 OK", TOKENS + b" " * 70_000),
        ("200 OK\r\nContent-Encoding: br", b"junk"),
        ("200 OK\r\nContent-Encoding: gzip", gzip.compress(b" " * 50_000_000)),
        ("200 OK\r\nContent-Encoding: deflate", b"junk"),
    ],
)
async def test_body_that_is_too_large_or_unreadable_is_refused(head: str, body: bytes) -> None:
    """The size limit also applies to the decompressed body."""
    async with upstream(answering(head, body)) as subject:
        with pytest.raises(UpstreamError):
            await subject.exchange(code="c", code_verifier="v")


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress)],
)
async def test_tokens_that_come_compressed_are_kept(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    """The request asks for no compression, but the refresh token is spent, so the tokens count."""
    head = f"200 OK\r\nContent-Encoding: {encoding}"
    async with upstream(answering(head, compress(TOKENS))) as subject:
        assert (await subject.refresh(refresh_token="r")).access_token == "a"


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": on}) for on in (False, True)])
async def test_answer_that_arrived_while_the_process_stood_still_is_read() -> None:
    """Here the event loop is blocked. A suspended process or machine has the same effect."""
    received, blocked = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            received.set()
            blocked.wait(5)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(TOKENS)}\r\n\r\n"
            connection.sendall(head.encode() + TOKENS)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        subject = airtable(new_transport(), url=url, deadline=0.5)
        refresh = asyncio.ensure_future(subject.refresh(refresh_token="r"))
        while not received.is_set():
            await asyncio.sleep(0.01)
        blocked.set()
        time.sleep(1)  # blocks the loop beyond the deadline
        assert (await refresh).access_token == "a"
        await subject.aclose()
        thread.join()


async def test_cookies_are_not_kept() -> None:
    """This uses a host name, because cookie jars ignore IP addresses."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        head = "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: brw=CANARY; Domain=localhost"
        writer.write(f"{head}\r\nContent-Length: {len(TOKENS)}\r\n\r\n".encode() + TOKENS)
        await writer.drain()

    async with upstream(answer) as subject:
        by_name = airtable(subject.transport, url=subject.url.replace("127.0.0.1", "localhost"))
        await by_name.refresh(refresh_token="1")
        await by_name.refresh(refresh_token="2")
    assert len(seen) == 2
    assert b"CANARY" not in b"".join(seen)


async def test_errors_hold_nothing_that_was_sent() -> None:
    """A traceback prints the exception's cause too, so that must not hold it either."""
    async with upstream(answering("200 OK", b'{"access_token": "CANARY"}')) as subject:
        with pytest.raises(AirtableError) as caught:
            await subject.exchange(code="CANARY", code_verifier="CANARY")
    assert caught.value.__cause__ is None
    assert "CANARY" not in repr(caught.value)


async def test_secrets_do_not_show_in_repr() -> None:
    """Error reports print the variables of each frame, which include these objects."""
    subject = airtable(httpx.MockTransport(lambda _: httpx.Response(500)), client_secret="CANARY")
    assert "CANARY" not in repr(subject)
    assert "YW4taWQ6Q0FOQVJZ" not in repr(subject)  # base64 of "an-id:CANARY"


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"]
)
async def test_answer_that_is_no_http_is_an_upstream_error(answer: bytes) -> None:
    """No exception of the HTTP library reaches the caller."""

    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()

    async with upstream(write) as subject:
        with pytest.raises(UpstreamError) as raised:
            await subject.refresh(refresh_token="r")
    assert not isinstance(raised.value, NotSent)
