"""Many access tokens expire at once, while Airtable is slow and strangers send junk."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from airtable_oauth.factories import encrypted_store, open_store
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.repository import ConnectionRepository
from airtable_oauth.web.sessions import Sessions
from tests.helpers import free_port, make_settings
from tests.matrix import KEY
from tests.processes import Stack, command, stack, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.heavy, pytest.mark.usefixtures("unmeasured")]

REFRESH_SECONDS = 4.0
SLOTS = 100
WORKERS = 3


@pytest.fixture(params=["redis", pytest.param("postgresql", marks=pytest.mark.thorough)])
def service(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Stack, Sequence[str]]]:
    """Three processes of the service with one store, each at its own address."""
    url = request.getfixturevalue(
        {"redis": "redis_url", "postgresql": "postgres_url"}[request.param]
    )
    with ExitStack() as processes:
        made = processes.enter_context(
            stack(tmp_path, STORE_URL=url, ENCRYPTION_KEYS=KEY, LOG_LEVEL="warning")
        )
        addresses = [made.api]
        for _ in range(WORKERS - 1):
            port = free_port()
            serve = ["serve", "--host", "localhost", "--port", str(port)]
            environment = {
                name.removeprefix("AIRTABLE_OAUTH_"): value
                for name, value in made.environment.items()
            }
            processes.enter_context(command(serve, tmp_path, environment))
            addresses.append(f"http://localhost:{port}")
            wait_for(addresses[-1])
        yield made, addresses


@dataclass
class Herd:
    """Browsers whose access tokens have all expired."""

    cookies: Sequence[str]
    refresh_tokens: set[str]


async def test_herd_loses_no_connection(service: tuple[Stack, Sequence[str]]) -> None:
    """No refresh token is sent twice, and all calls succeed as fast as the slots allow.

    `HERD` and `JUNK` in the environment increase the numbers.
    """
    size, junk = int(os.environ.get("HERD", "600")), int(os.environ.get("JUNK", "600"))
    made, addresses = service
    herd = await expired(made, size)
    await control(made, "POST", "faults", {"delay": REFRESH_SECONDS, "times": 100_000})
    async with client() as browser:
        strangers = [
            asyncio.ensure_future(post_junk(browser, address))
            for address, _ in zip(cycle(addresses), range(junk), strict=False)
        ]
        began = time.monotonic()
        pairs = zip(cycle(addresses), herd.cookies, strict=False)
        answers = await asyncio.gather(*(connected(browser, *pair) for pair in pairs))
        seconds = time.monotonic() - began
        refused = Counter(await asyncio.gather(*strangers))
    assert Counter(answers) == {200: size}
    assert set(refused) <= {400, 502, 503, 504}
    sent = Counter(
        token
        for request in made.seen()
        if (token := httpx.QueryParams(request["body"]).get("refresh_token")) in herd.refresh_tokens
    )
    assert len(sent) == size
    assert set(sent.values()) == {1}
    bound = size / (SLOTS * WORKERS) * REFRESH_SECONDS
    print(f"{size} connections in {seconds:.0f} s; the slots allow {bound:.0f} s")  # noqa: T201
    assert seconds < 3 * bound + 30


async def expired(made: Stack, size: int) -> Herd:
    """Sessions with connections whose access tokens expired an hour ago."""
    grants: list[dict[str, Any]] = await control(made, "POST", "grants", {"count": size})
    async with shared_store(made) as store:
        cookies = [await session(store, grant) for grant in grants]
    return Herd(cookies, {grant["refresh_token"] for grant in grants})


async def session(store: Store, grant: dict[str, Any]) -> str:
    """Store a session with a connection that has these tokens. Returns its cookie."""
    clock = StoreClock(store)
    now = await clock.now()
    record = StoredConnection(
        id=f"con_{grant['access_token'][:22]}",
        owner="session:herd",
        access_token=grant["access_token"],
        refresh_token=grant["refresh_token"],
        scope=grant["scope"],
        expires_at=now - 3600,
        reconnect_by=now + grant["refresh_expires_in"],
        obtained_at=now - 7200,
        keep_until=now + 86400,
    )
    await ConnectionRepository(store, "airtable").add(record, now)
    sessions = Sessions(store, "airtable", clock, never_prolong, idle_ttl=86400, max_ttl=86400)
    return await sessions.create(connection_id=record.id, login_key="")


async def never_prolong(_connection_id: str, _until: float) -> None:
    """Leave the connection's lifetime as it is."""


async def connected(browser: aiohttp.ClientSession, address: str, cookie: str) -> int:
    """Repeat a call for as long as the answer is 503. Returns the final status."""
    headers = {"Cookie": f"airtable_session={cookie}"}
    while True:
        async with browser.get(f"{address}/airtable/v0/meta/whoami", headers=headers) as answer:
            await answer.read()
            if answer.status != 503:
                return answer.status
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def post_junk(browser: aiohttp.ClientSession, address: str) -> int:
    json = {"refresh_token": "made-up"}
    async with browser.post(f"{address}/token-refresh", json=json) as answer:
        await answer.read()
        return answer.status


@asynccontextmanager
async def shared_store(made: Stack) -> AsyncIterator[Store]:
    settings = make_settings(
        store_url=made.environment["AIRTABLE_OAUTH_STORE_URL"], encryption_keys=KEY
    )
    store = encrypted_store(open_store(settings), settings)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without limits."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as made:
        yield made


async def control(made: Stack, method: str, path: str, json: Any = None) -> Any:
    async with httpx.AsyncClient(base_url=made.airtable, timeout=60) as simulator:
        answer = await simulator.request(method, f"/_simulator/{path}", json=json)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None
