"""One hostile client at full speed against the service, without nginx."""

import asyncio
import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.helpers import CSRF, begin, decide
from tests.integration.test_memory import resident_bytes
from tests.processes import Stack, stack

pytestmark = [pytest.mark.integration, pytest.mark.heavy, pytest.mark.usefixtures("unmeasured")]

WHOAMI = "/airtable/v0/meta/whoami"
USERS = 3
ATTACK_SECONDS = 2.0
ANSWER_SECONDS = 2.0
MEMORY_BYTES = 100 * 1024 * 1024

CHUNKED = (
    b"POST /token-refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
LIVE = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"


class Attack:
    """What a hostile client repeats. `address` is the service's, `session` is its own cookie."""

    def __init__(self, address: tuple[str, int], session: str) -> None:
        self.address = address
        self.session = session.encode()
        self.sockets: list[socket.socket] = []

    def connect(self, *, small: bool = False) -> socket.socket:
        client = socket.socket()
        client.settimeout(1)
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            client.connect(self.address)
        except OSError:
            client.close()
            raise
        return client

    def long_path(self) -> None:
        path = b"GET /airtable/v0/" + b"%25" * 21_000 + b" HTTP/1.1\r\nHost: a\r\nCookie: "
        with self.connect() as client:
            client.sendall(path + self.session + b"\r\n\r\n")
            client.recv(65536)

    def longest_path_that_is_checked(self) -> None:
        path = b"GET /airtable/v0/" + b"%25" * 2700 + b" HTTP/1.1\r\nHost: a\r\nCookie: "
        with self.connect() as client:
            client.sendall(path + self.session + b"\r\n\r\n")
            client.recv(65536)

    def endless_trailers(self) -> None:
        with self.connect() as client:
            client.sendall(CHUNKED + b"0\r\n")
            while True:
                client.sendall(b"A: b\r\n" * 50_000)

    def endless_queue(self) -> None:
        """Send requests whose bodies the service reads, so that it accepts more of them."""
        request = CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"
        with self.connect() as client:
            while True:
                client.sendall(request * 5_000)

    def connections_that_never_end(self) -> None:
        """Open one connection of each kind. All stay open until the attack ends."""
        for _ in range(5):
            self.sockets.append(self.connect(small=True))
        kept = self.sockets[-5:]
        kept[1].sendall(b"GET / HTTP/1.1\r\nA: " + b"x" * 60_000)
        kept[2].sendall(LIVE + b"\r\n")
        kept[3].sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n")
        kept[4].sendall(CHUNKED + b"5\r\n")

    def slow_download(self, target: str) -> None:
        """Request something through the proxy, and never read the answer."""
        client = self.connect(small=True)
        self.sockets.append(client)
        client.sendall(
            f"GET /airtable/v0/{target} HTTP/1.1\r\nHost: a\r\nCookie: ".encode()
            + self.session
            + b"\r\n\r\n"
        )

    def stop(self) -> None:
        while self.sockets:
            self.sockets.pop().close()


class EndlessApi(socketserver.StreamRequestHandler):
    """A Web API that knows one user, and answers all other requests without end."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while line := self.rfile.readline():
                while self.rfile.readline().strip():
                    pass
                self.answer(line.split(b" ")[1])

    def answer(self, path: bytes) -> None:
        if path == b"/v0/meta/whoami":
            body = b'{"id": "usrSome"}'
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            self.wfile.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


class EndlessServer(socketserver.ThreadingTCPServer):
    """Serves `EndlessApi` on its own port."""

    daemon_threads = True
    block_on_close = False


@contextmanager
def endless_api() -> Iterator[str]:
    """Run an `EndlessServer`. Yields its URL."""
    with EndlessServer(("127.0.0.1", 0), EndlessApi) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def at_full_speed(step: Callable[[], None]) -> Iterator[list[int]]:
    """Repeat `step` in a thread. Yields a list whose only item counts the repetitions."""
    done, over = [0], threading.Event()

    def run() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                step()
            done[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """For the module's fixtures."""
    return "asyncio"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One process with a user for each client."""
    with stack(tmp_path_factory.mktemp("hostile"), users=USERS + 1, LOG_LEVEL="warning") as made:
        yield made


@pytest.fixture(scope="module")
async def users(service: Stack) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Browsers with a session each. The last one is the hostile client's."""
    async with sessions(service) as made:
        yield made


@asynccontextmanager
async def sessions(service: Stack) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A browser with a session for each user."""
    async with AsyncExitStack() as browsers:
        made = []
        for number in range(USERS + 1):
            client = httpx.AsyncClient(base_url=service.api, timeout=30)
            browser = await browsers.enter_async_context(client)
            await log_in(browser, f"usr{number}")
            made.append(browser)
        yield made


async def log_in(browser: httpx.AsyncClient, user: str) -> None:
    async with httpx.AsyncClient(timeout=30) as person:
        parameters = await decide(person, await begin(browser), user=user)
    answer = await browser.post("/session", json=parameters, headers=CSRF)
    assert answer.status_code == 201, answer.text


@pytest.fixture
def attack(service: Stack, users: list[httpx.AsyncClient]) -> Iterator[Attack]:
    """A hostile client with a session."""
    made = attack_of(service, users[-1])
    try:
        yield made
    finally:
        made.stop()


def attack_of(service: Stack, browser: httpx.AsyncClient) -> Attack:
    port = urlsplit(service.api).port
    assert port is not None
    return Attack(("127.0.0.1", port), f"airtable_session={browser.cookies['airtable_session']}")


@pytest.mark.parametrize(
    "name",
    [
        "long_path",
        "longest_path_that_is_checked",
        "endless_trailers",
        "endless_queue",
        "connections_that_never_end",
    ],
)
async def test_others_are_served_during_an_attack(
    service: Stack, users: list[httpx.AsyncClient], attack: Attack, name: str
) -> None:
    """Each answer takes less than two seconds, and memory grows by less than 100 MiB."""
    honest = users[:USERS]
    await slowest_answer(service, honest, seconds=0.2)
    before = resident_bytes(service)
    with at_full_speed(getattr(attack, name)) as done:
        slowest = await slowest_answer(service, honest, seconds=ATTACK_SECONDS)
        grown = resident_bytes(service) - before
    print(f"{name}: {done[0]} times, {slowest:.2f} s, {grown / 2**20:.0f} MiB")  # noqa: T201
    assert done[0] > 0
    assert slowest < ANSWER_SECONDS, f"{slowest:.2f} s"
    assert grown < MEMORY_BYTES, f"{grown / 2**20:.0f} MiB"
    attack.stop()
    assert await slowest_answer(service, users, seconds=0.5) < 1
    assert resident_bytes(service) - before < MEMORY_BYTES


async def test_others_are_served_while_a_session_does_not_read(tmp_path: Path) -> None:
    """It leaves 105 downloads unread. The service runs at most ten of one session at once."""
    with (
        endless_api() as api,
        stack(tmp_path, users=USERS + 1, LOG_LEVEL="warning", AIRTABLE_API_URL=api) as service,
    ):
        async with sessions(service) as users:
            attack = attack_of(service, users[-1])
            await slowest_answer(service, users, seconds=0.2)
            before = resident_bytes(service)
            try:
                for number in range(105):
                    attack.slow_download(f"app{number}/Table")
                slowest = await slowest_answer(service, users[:USERS], seconds=ATTACK_SECONDS)
                grown = resident_bytes(service) - before
            finally:
                attack.stop()
            assert slowest < ANSWER_SECONDS, f"{slowest:.2f} s"
            assert grown < MEMORY_BYTES, f"{grown / 2**20:.0f} MiB"
            assert await slowest_answer(service, users, seconds=0.5) < 1


async def test_others_reach_a_base_that_a_session_asks_for_at_full_speed(
    service: Stack, users: list[httpx.AsyncClient], attack: Attack
) -> None:
    """Sessions take turns, although Airtable counts all requests to a base together."""
    base = (await users[0].get("/airtable/v0/meta/bases")).json()["bases"][0]["id"]
    for _ in range(105):
        attack.slow_download(f"meta/bases/{base}/tables")
    began = time.monotonic()
    answer = await users[0].get(f"/airtable/v0/meta/bases/{base}/tables")
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - began < ANSWER_SECONDS


async def slowest_answer(
    service: Stack, browsers: list[httpx.AsyncClient], *, seconds: float
) -> float:
    """The longest time, in seconds, that a user or a new visitor waits for an answer."""
    ends = time.monotonic() + seconds

    async def use(browser: httpx.AsyncClient) -> float:
        slowest = 0.0
        while time.monotonic() < ends:
            began = time.monotonic()
            answer = await browser.get(WHOAMI)
            slowest = max(slowest, time.monotonic() - began)
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(0.01)
        return slowest

    async def arrive() -> float:
        slowest = 0.0
        while time.monotonic() < ends:
            began = time.monotonic()
            async with httpx.AsyncClient(base_url=service.api, timeout=30) as stranger:
                await begin(stranger)
            slowest = max(slowest, time.monotonic() - began)
        return slowest

    return max(await asyncio.gather(arrive(), *(use(browser) for browser in browsers)))
