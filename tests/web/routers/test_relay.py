"""The proxy over real sockets: clients that disconnect or do not read, and malformed answers."""

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, unquote

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Header

from airtable_oauth import AirtableOAuth
from airtable_oauth.errors import ForeignOrigin, InvalidPath, TooManyUnderWay, TooManyUploads
from airtable_oauth.web.access_log import AccessLog
from airtable_oauth.web.places import Places, UploadPlaces
from airtable_oauth.web.relay import Relayed
from airtable_oauth.web.server import LimitedProtocol
from tests.helpers import CSRF, free_port, make_settings
from tests.oauth.test_http import read_request, serve
from tests.world import World

CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
_TOKENS = b'{"access_token": "a", "refresh_token": "r", "expires_in": 3600, "scope": ""}'
TOKENS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(_TOKENS), _TOKENS)
UPLOAD = "v0/appX/recX/fldX/uploadAttachment"
SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Airtable:
    """A Web API that sends the configured answer for a path, and counts the answers under way."""

    answers: dict[str, bytes] = field(default_factory=dict)
    refusals: int = 0
    """How many requests get 401 before the others are answered."""
    asked: list[bytes] = field(default_factory=list)
    streaming: int = 0
    """Answers that are being sent."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            path = request.split(b" ")[1].decode()
            if path == "/v0/meta/whoami":
                writer.write(SMALL)
                continue
            if path == "/oauth2/v1/token":
                writer.write(TOKENS)
                continue
            self.asked.append(request)
            if self.refusals:
                self.refusals -= 1
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n{}")
                return
            if path.startswith("/v0/slow"):
                await self._stream(path, reader, writer)
                return
            writer.write(self.answers.get(path, SMALL))
            await writer.drain()
            if path in self.answers:
                return

    async def _stream(
        self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send without end, or nothing for `/v0/slow/silent`, until the client closes."""
        self.streaming += 1
        closed = asyncio.ensure_future(reader.read())
        try:
            if path != "/v0/slow/silent":
                writer.write(ENDLESS)
            while not closed.done():
                if path == "/v0/slow/silent":
                    await asyncio.wait({closed})
                elif path == "/v0/slow/pause":
                    writer.write(CHUNK)
                    await asyncio.wait({closed})
                else:
                    writer.write(CHUNK)
                    await writer.drain()
        finally:
            self.streaming -= 1


@dataclass
class Service:
    """A host app behind uvicorn. Its users `0`, `1`, … have one connection each."""

    url: str
    port: int
    airtable: Airtable
    content: Airtable
    """The origin that accepts uploads."""
    library: AirtableOAuth

    async def open(self, path: str, user: int = 0) -> asyncio.StreamWriter:
        """Send a request and read nothing of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        reader._transport.pause_reading()  # type: ignore[attr-defined] # noqa: SLF001 (to read nothing at all)
        writer.write(
            f"GET /airtable/{path} HTTP/1.1\r\nHost: localhost\r\nX-User: {user}\r\n\r\n".encode()
        )
        return writer

    async def upload(
        self, content: Any, path: str = UPLOAD, user: int = 0, method: str = "POST"
    ) -> httpx.Response:
        headers = CSRF | {"Content-Type": "application/json", "X-User": str(user)}
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.request(
                method, f"/airtable/{path}", content=content, headers=headers
            )

    async def get(self, path: str, user: int = 0, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.get(f"/airtable/{path}", headers={"X-User": str(user)} | headers)


@asynccontextmanager
async def running(*, users: int = 1, deadline: float = 5) -> AsyncIterator[Service]:
    async def owner(x_user: Annotated[str, Header()]) -> str:
        return x_user

    upstream, content = Airtable(), Airtable()
    async with serve(upstream) as url, serve(content) as content_url:
        settings = make_settings(
            airtable_url=url,
            airtable_api_url=url,
            airtable_content_url=content_url,
            upstream_timeout=deadline,
        )
        library = AirtableOAuth(settings, owner=owner)
        for user in range(users):
            await library.adopt(str(user), World().grant())
        app = FastAPI()
        app.include_router(library.router)
        port = free_port()
        config = uvicorn.Config(
            AccessLog(app), port=port, http=LimitedProtocol, lifespan="off", log_config=None
        )
        server = uvicorn.Server(config)
        serving = asyncio.ensure_future(server._serve())  # noqa: SLF001 (`serve` takes over signals)
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield Service(f"http://127.0.0.1:{port}", port, upstream, content, library)
        finally:
            server.should_exit = server.force_exit = True
            await serving
            await library.aclose()


async def until(condition: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("path", ["v0/slow/endless", "v0/slow/pause", "v0/slow/silent"])
async def test_answer_is_given_up_when_the_client_leaves(path: str) -> None:
    """While Airtable streams, while it pauses in the middle, and before it sends the head."""
    async with running() as service:
        client = await service.open(path)
        await until(lambda: service.airtable.streaming == 1)
        await asyncio.sleep(0.05)
        client.transport.abort()
        await until(lambda: service.airtable.streaming == 0)
        assert (await service.get("v0/meta/bases")).status_code == 200


async def test_slow_readers_of_one_connection_do_not_delay_others() -> None:
    """A connection may have ten requests at once, so its 105 leave room for others."""
    async with running(users=2, deadline=1) as service:
        readers = [await service.open("v0/slow/endless") for _ in range(105)]
        await until(lambda: service.airtable.streaming == 10)
        refused = await service.get("v0/meta/bases")
        assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
        assert (await service.get("v0/meta/bases", user=1)).status_code == 200
        assert service.airtable.streaming == 10
        for reader in readers:
            reader.transport.abort()
        await until(lambda: service.airtable.streaming == 0)
        assert (await service.get("v0/meta/bases")).status_code == 200


async def test_slow_readers_of_many_connections_do_not_delay_others() -> None:
    """The pool of connections to Airtable has no limit that slow readers could use up."""
    async with running(users=12, deadline=20) as service:
        readers = [
            await service.open("v0/slow/pause", user) for user in range(11) for _ in range(10)
        ]
        await until(lambda: service.airtable.streaming == 110)
        assert (await service.get("v0/meta/bases", user=11)).status_code == 200
        for reader in readers:
            reader.transport.abort()
        await until(lambda: service.airtable.streaming == 0)


async def test_answer_that_is_never_sent_gives_its_place_back() -> None:
    """In a host app, something may fail between the route and the answer."""
    places = Places(1, patience=0.01)
    answer = Relayed(httpx.Response(200), await places.take("con_1"))
    with pytest.raises(TooManyUnderWay):
        await places.take("con_1")
    del answer
    gc.collect()
    await places.take("con_1")


async def test_request_waits_for_a_place() -> None:
    """A page may send many requests at once. Each connection has its own places."""
    places = Places(1, patience=5)
    held = await places.take("con_1")
    waiting = asyncio.ensure_future(places.take("con_1"))
    (await places.take("con_2")).close()
    assert not waiting.done()
    held.close()
    held.close()
    (await waiting).close()


async def test_middleware_that_replays_the_body_for_ever_blocks_nothing() -> None:
    """The route calls `receive` only once to wait for the client's disconnect."""
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    answer = Relayed(httpx.Response(200, content=b"{}"), ExitStack())
    async with asyncio.timeout(1):
        await answer({"type": "http"}, receive, send)
    assert [message.get("body") for message in messages] == [None, b"{}", b""]


# Malformed requests and answers


async def test_header_that_is_not_ascii_is_a_clear_error() -> None:
    """RFC 9110, section 12.5.1: `Accept` is printable ASCII."""
    async with running() as service:
        for accept in (b"\xff", "text/ü".encode(), b"a\x01b", b"a\x7f"):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(
                b"GET /airtable/v0/meta/bases HTTP/1.1\r\nHost: x\r\nX-User: 0\r\n"
                b"Connection: close\r\nAccept: " + accept + b"\r\n\r\n"
            )
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head.split(b" ")[1] == b"400", accept
            assert json.loads(body)["error"] == "invalid_request"
        assert service.airtable.asked == []


@pytest.mark.parametrize("encode", [quote, partial(quote, safe="")])
async def test_names_and_values_reach_airtable(encode: Callable[[str], str]) -> None:
    """In any encoding, they decode to what the client meant."""
    names = ["A, B; (c)'s!", "50%", "50%25", "a+b=c&d", "#?@:", "👩\u200d💻", "a b~*$"]
    async with running() as service:
        for name in names:
            answer = await service.get(f"v0/{encode(name)}/T?fields%5B%5D={quote(name, safe='')}")
            assert answer.status_code == 200
        for name, asked in zip(names, service.airtable.asked, strict=True):
            path, _, query = asked.split(b" ")[1].decode().partition("?")
            assert [unquote(part) for part in path.split("/")] == ["", "v0", name, "T"]
            assert parse_qsl(query) == [("fields[]", name)]


async def test_status_that_is_not_final_is_502() -> None:
    """A server cannot pass such a status on."""
    async with running() as service:
        for status in ("999 Odd", "600 Odd", "101 Switching Protocols", "099 Odd"):
            head = f"HTTP/1.1 {status}\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 0"
            service.airtable.answers["/v0/odd/x"] = f"{head}\r\n\r\n".encode()
            answer = await service.get("v0/odd/x")
            assert (answer.status_code, answer.json()["error"]) == (502, "airtable_error"), status


@pytest.mark.parametrize(
    ("head", "status", "body"),
    [
        (b"HTTP/1.1 200 \xfcber\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nETag: a\x01b\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nETag: a\x7f\x1b[31m\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 200 OK\r\nETag: \xe9\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", 304, b""),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            200,
            b"{}",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", 200, b"{}"),
    ],
)
async def test_untidy_answer_is_relayed_without_what_is_wrong(
    head: bytes, status: int, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Control characters, reason phrases and contradictory lengths are not passed on."""
    async with running() as service:
        service.airtable.answers["/v0/odd/x"] = head
        answer = await service.get("v0/odd/x")
        assert (answer.status_code, answer.content) == (status, body)
        assert answer.headers.get("etag", "é") == "é"
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_answer_that_breaks_off_is_not_completed(caplog: pytest.LogCaptureFixture) -> None:
    """The client must see that a part is missing. The log names the cause, without a stack."""
    caplog.set_level(logging.INFO, "airtable_oauth")
    async with running() as service:
        service.airtable.answers["/v0/odd/x"] = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
        )
        with pytest.raises(httpx.RemoteProtocolError):
            await service.get("v0/odd/x")
        assert (await service.get("v0/meta/bases")).status_code == 200
    line, _ = [each for each in caplog.records if each.name == "airtable_oauth"]
    assert (line.levelname, line.__dict__["error"]) == ("WARNING", "airtable_error")
    assert line.__dict__["cause"] == "aiohttp.TransferEncodingError"


# Uploads


async def test_upload_goes_to_its_own_origin() -> None:
    """The upload origin gets its own host name, the query and the whole body, again after a 401."""
    body = b"x" * 6_700_000
    async with running() as service:
        service.content.refusals = 1
        answer = await service.upload(body, UPLOAD + "?a=b%26")
        assert answer.status_code == 200
        assert service.airtable.asked == []
        first, second = service.content.asked
        for asked in (first, second):
            head, _, received = asked.partition(b"\r\n\r\n")
            assert head.startswith(f"POST /{UPLOAD}?a=b%26 HTTP/1.1".encode())
            assert received == body


async def test_only_an_upload_may_have_seven_mebibytes() -> None:
    """Every other body is limited to two mebibytes."""
    async with running() as service:
        for mebibytes, path, method in (
            (7, UPLOAD, "POST"),
            (2, UPLOAD, "PUT"),
            (2, "v0/appX/recX/uploadAttachment", "POST"),
            (2, "v0/appX/T", "POST"),
        ):
            body = b"x" * (mebibytes * 1024 * 1024 + 1)
            answer = await service.upload(body, path, method=method)
            assert (answer.status_code, answer.json()["error"]) == (413, "content_too_large")
        assert service.airtable.asked + service.content.asked == []


async def test_other_requests_do_not_go_to_the_origin_of_uploads() -> None:
    """Only `POST` to the one path goes there, and only if the path is not encoded."""
    async with running() as service:
        for path, method in (
            (UPLOAD, "PUT"),
            ("v0/appX/recX/uploadAttachment", "POST"),
            ("v0/appX/recX/fldX/%75ploadAttachment", "POST"),
            ("v0/appX/recX/fldX/uploadAttachment%2F", "POST"),
        ):
            assert (await service.upload(b"{}", path, method=method)).status_code == 200
        assert len(service.airtable.asked) == 4
        assert service.content.asked == []


async def test_uploads_under_way_are_bounded() -> None:
    """Bodies are in memory: a process accepts four at once, two of them of one connection."""
    places = UploadPlaces(patience=0.01)
    held = [await places.take(connection) for connection in ("con_1", "con_1", "con_2", "con_3")]
    with pytest.raises(TooManyUnderWay):
        await places.take("con_1")
    with pytest.raises(TooManyUploads):
        await places.take("con_4")
    held[0].close()
    await places.take("con_4")


async def test_upload_waits_for_a_place_before_its_body_is_read() -> None:
    """Two slow uploads delay only a third upload of the same connection."""
    finish = asyncio.Event()

    async def unfinished() -> AsyncIterator[bytes]:
        yield b"x"
        await finish.wait()

    async with running() as service:
        slow = [asyncio.ensure_future(service.upload(unfinished())) for _ in range(2)]
        await asyncio.sleep(0.1)
        third = asyncio.ensure_future(service.upload(b"{}"))
        assert (await service.get("v0/meta/bases")).status_code == 200
        await asyncio.sleep(0.1)
        assert service.content.asked == []
        finish.set()
        answers = await asyncio.gather(*slow, third)
        assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_client_of_a_host_uploads_by_either_origin() -> None:
    """The upload path is the only one at the second origin to which the client sends the token."""
    async with running() as service:
        (connection,) = await service.library.connections("0")
        content_url = service.library.settings.airtable_content_url
        async with service.library.client(connection.id) as client:
            for url in (f"/{UPLOAD}", f"{content_url}/{UPLOAD}"):
                assert (await client.post(url, json={})).status_code == 200
            for method, path in (("GET", UPLOAD), ("POST", "v0/appX/T"), ("POST", UPLOAD + "/x")):
                with pytest.raises(ForeignOrigin):
                    await client.request(method, f"{content_url}/{path}", json={})
            with pytest.raises(InvalidPath):
                await client.post("/v0/appX/recX/%2e%2e/uploadAttachment", json={})
        for asked in service.content.asked:
            assert f"\r\nhost: {content_url.removeprefix('http://')}\r\n".encode() in asked
        assert len(service.content.asked) == 2
        assert service.airtable.asked == []
