"""How long one client can block the service's event loop, over a real socket."""

import asyncio
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from airtable_oauth.settings import PREFIX
from tests.helpers import CSRF, begin, decide, free_port
from tests.processes import process, stack, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("unmeasured")]

MILLISECONDS = 50
ROOT = Path(__file__).parents[2]


def get(target: str, **headers: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def post(body: str) -> bytes:
    head = "POST /token-refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def chunked(target: str, framing: str) -> bytes:
    head = f"POST {target} HTTP/1.1\r\nHost: a\r\nX-CSRF: 1\r\nContent-Type: application/json\r\n"
    return f"{head}Cookie: SESSION\r\nTransfer-Encoding: chunked\r\n\r\n{framing}".encode()


PROXY = "/airtable/v0/meta/whoami"
HOSTILE = {
    "path of slashes": get("/airtable/v0/" + "a/" * 30_000, Cookie="SESSION"),
    "path of percent signs": get("/airtable/v0/" + "%25" * 2700, Cookie="SESSION"),
    "path encoded very often": get("/airtable/v0/%" + "25" * 30_000, Cookie="SESSION"),
    "path encoded often": get("/airtable/v0/%" + "25" * 4000, Cookie="SESSION"),
    "path of ligatures": get("/airtable/v0/" + "%EF%B7%BA" * 900, Cookie="SESSION"),
    "query of quotes": get(f"{PROXY}?" + "'\"<>" * 3900, Cookie="SESSION"),
    "query of parameters": get("/authorization-url?" + "a=b&" * 3900),
    "query of names": get("/authorization-url?" + "a&" * 7900),
    "repeated parameter": get("/request-oauth-token?" + "state=b&" * 1900),
    "return_to": get("/authorization-url?return_to=/" + "%e2%80%a8" * 1700),
    "cookies": get("/session", Cookie="a=b;" * 15_000),
    "cookies without names": get("/session", Cookie=";" * 60_000),
    "cookie of backslashes": get("/session", Cookie='a="' + "\\" * 60_000 + '"'),
    "cookies of logins": get(
        "/authorization-url", Cookie="".join(f"airtable_login_{i}=1.x;" for i in range(2600))
    ),
    "headers": get("/session", **{f"h{i}": "x" * 300 for i in range(190)}),
    "headers without end": b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 1_000_000,
    "accept-encoding": get("/authorization-url", **{"Accept-Encoding": "gzip;q=0.1," * 5000}),
    "content type": post("{}").replace(b"application/json", b";" * 60_000),
    "ranges": get("/docs/swagger-ui-bundle.js", Range="bytes=" + "0-1," * 15_000),
    "deep JSON": post("[" * 16_000),
    "long number": post('{"refresh_token":' + "9" * 16_000 + "}"),
    "large exponent": post('{"refresh_token":1e999999999}'),
    "escapes": post('{"refresh_token":"' + "\\ud800" * 2600 + '"}'),
    "names": post("{" + '"refresh_token":"",' * 800 + '"a":1}'),
    "chunks of a byte": chunked("/token-refresh", "1\r\nx\r\n" * 100_000),
    "chunks of a few bytes": chunked(
        "/airtable/v0/app/x", "6\r\nxxxxxx\r\n" * 60_000 + "0\r\n\r\n"
    ),
    "trailers": chunked("/token-refresh", "0\r\n" + "a: b\r\n" * 200_000),
    "extension": chunked("/token-refresh", "1;" + "x=y;" * 200_000),
    "queue": get("/health/live") * 10_000,
    "empty lines": get("/health/live") + b"\r\n" * 1_000_000,
    "body that is not read": b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
    + b"x" * 10_000_000,
}
"""Requests. The test replaces SESSION with the cookie of a session."""


@dataclass
class Server:
    """The service with a heartbeat."""

    port: int
    session: str = ""

    def longest_hold(self) -> float:
        """How long the loop was blocked at most since the previous call, in milliseconds."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/_longest_hold", timeout=60)
        return float(answer.text)

    async def log_in(self) -> None:
        async with (
            httpx.AsyncClient(base_url=f"http://localhost:{self.port}", timeout=30) as browser,
            httpx.AsyncClient(timeout=30) as person,
        ):
            parameters = await decide(person, await begin(browser))
            answer = await browser.post("/session", json=parameters, headers=CSRF)
            assert answer.status_code == 201, answer.text
            self.session = f"airtable_session={browser.cookies['airtable_session']}"

    def send(self, request: bytes) -> None:
        """Send `request` as fast as possible, and read until the answer's head is complete."""
        received = bytearray()
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
            try:
                client.sendall(request)
                while b"\r\n\r\n" not in received and (data := client.recv(65536)):
                    received += data
            except OSError:
                pass  # the server has closed the connection


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service with a logged-in user, so that requests reach the proxy."""
    directory = tmp_path_factory.mktemp("loop")
    with stack(directory, LOG_LEVEL="warning", NODE_COMPAT="true") as service:
        made = Server(free_port())
        settings = {name.removeprefix(PREFIX): each for name, each in service.environment.items()}
        uvicorn = [
            *(sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--factory"),
            *("tests.integration.heartbeat:create", "--port", str(made.port), "--loop", "uvloop"),
            *("--http", "airtable_oauth.web.server:LimitedProtocol", "--ws", "none"),
        ]
        with process(uvicorn, directory, settings):
            wait_for(f"http://127.0.0.1:{made.port}")
            asyncio.run(made.log_in())
            httpx.get(f"http://127.0.0.1:{made.port}/openapi.json")  # is built only once
            yield made


@pytest.mark.parametrize("name", HOSTILE)
def test_no_request_holds_the_event_loop(server: Server, name: str) -> None:
    """Other clients wait at most fifty milliseconds. The better of two tries counts."""
    request = HOSTILE[name].replace(b"SESSION", server.session.encode())
    holds = []
    for _ in range(2):
        server.longest_hold()
        server.send(request)
        holds.append(server.longest_hold())
    assert min(holds) < MILLISECONDS
