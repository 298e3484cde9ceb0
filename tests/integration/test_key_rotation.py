"""An encryption key is replaced under traffic, by restarting two processes in turn."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from airtable_oauth.settings import PREFIX
from tests.helpers import CSRF, REDIRECT_URI, SCOPES, begin, decide, free_port
from tests.processes import Stack, command, peer, wait_for

pytestmark = pytest.mark.integration

OLD = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
NEW = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"


class Either(httpx.AsyncBaseTransport):
    """Sends requests to the two processes in turn, and to the other one if one is down."""

    def __init__(self, ports: list[int]) -> None:
        self._ports = ports
        self._inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
        self._turn = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._turn += 1
        first = self._ports[self._turn % 2]
        request.url = request.url.copy_with(port=first)
        try:
            return await self._inner.handle_async_request(request)
        except httpx.TransportError:
            request.url = request.url.copy_with(port=sum(self._ports) - first)
            return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Pair:
    """Two processes of the service with one store."""

    directory: Path
    environment: dict[str, str]
    ports: list[int] = field(default_factory=lambda: [free_port(), free_port()])
    running: list[ExitStack] = field(default_factory=lambda: [ExitStack(), ExitStack()])

    def restart(self, number: int, keys: str) -> None:
        """End one of them and start it with these keys."""
        self.running[number].close()
        port = str(self.ports[number])
        self.running[number].enter_context(
            command(
                ["serve", "--host", "localhost", "--port", port],
                self.directory,
                self.environment | {"ENCRYPTION_KEYS": keys},
            )
        )
        wait_for(f"http://localhost:{port}/health/live")

    async def roll(self, keys: str) -> None:
        """Restart both, one after the other."""
        for number in range(2):
            await asyncio.to_thread(self.restart, number, keys)
            await asyncio.sleep(0.5)  # some traffic while the processes' keys differ

    def rotate(self, keys: str) -> subprocess.CompletedProcess[str]:
        """Run `keys rotate` with these keys."""
        settings: Mapping[str, str] = self.environment | {"ENCRYPTION_KEYS": keys}
        return subprocess.run(
            [*Stack.command, "keys", "rotate"],
            env=os.environ | {PREFIX + name: value for name, value in settings.items()},
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def pair(icu_postgres_url: str, tmp_path: Path) -> Iterator[Pair]:
    with simulator(tmp_path) as airtable:
        made = Pair(
            tmp_path,
            {
                "NAME": "rolling",
                "CLIENT_ID": "test-client",
                "CLIENT_SECRET": "test-secret",
                "REDIRECT_URI": REDIRECT_URI,
                "SCOPES": " ".join(SCOPES),
                "AIRTABLE_URL": airtable,
                "AIRTABLE_API_URL": airtable.replace("127.0.0.1", "localhost"),
                "STORE_URL": icu_postgres_url,
            },
        )
        try:
            yield made
        finally:
            for each in made.running:
                each.close()


@contextmanager
def simulator(directory: Path) -> Iterator[str]:
    port = free_port()
    arguments = [
        *("simulator", "--port", str(port), "--redirect-uri", REDIRECT_URI),
        *("--client-id", "test-client", "--client-secret", "test-secret"),
    ]
    with peer(arguments, directory):
        wait_for(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"


@dataclass
class Traffic:
    """Browsers that log in and ask either process for their session."""

    ports: list[int]
    browsers: list[httpx.AsyncClient] = field(default_factory=list)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    is_over: bool = False

    async def log_in(self) -> None:
        browser = httpx.AsyncClient(
            base_url="http://localhost", transport=Either(self.ports), timeout=30
        )
        async with httpx.AsyncClient(timeout=30) as person:
            parameters = await decide(person, await begin(browser))
        answer = await browser.post("/session", json=parameters, headers=CSRF)
        self.statuses["POST", answer.status_code] += 1
        self.browsers.append(browser)

    async def look(self) -> None:
        """Each browser asks for its session twice: once at each process."""
        for browser in [*self.browsers, *self.browsers]:
            answer = await browser.get("/session")
            self.statuses["GET", answer.status_code] += 1

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._flow())
        try:
            yield
        finally:
            self.is_over = True
            await task  # no request is cut off

    async def aclose(self) -> None:
        for browser in self.browsers:
            await browser.aclose()

    async def _flow(self) -> None:
        while not self.is_over:
            await self.log_in()
            for browser in self.browsers[3:-3]:
                await browser.aclose()
            del self.browsers[3:-3]
            await self.look()


async def test_key_is_replaced_in_the_documented_order_and_no_request_fails(pair: Pair) -> None:
    """Both processes use `old,new`, then `new,old`; `keys rotate` runs; then both use `new`."""
    await asyncio.gather(*(asyncio.to_thread(pair.restart, number, OLD) for number in range(2)))
    async with aclosing(Traffic(pair.ports)) as traffic:
        await traffic.log_in()
        async with traffic.flowing():
            await pair.roll(f"{OLD},{NEW}")
            await pair.roll(f"{NEW},{OLD}")
            done = await asyncio.to_thread(pair.rotate, f"{NEW},{OLD}")
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.endswith("Every record is encrypted with the first key.\n")
            await pair.roll(NEW)
        await traffic.look()
    assert set(traffic.statuses) == {("POST", 201), ("GET", 200)}
    assert traffic.statuses["POST", 201] > 10
