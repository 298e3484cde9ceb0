"""Four real workers with one store respect Airtable's rate limit for a base."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
import pytest

from tests.helpers import CSRF, begin, decide, make_simulator
from tests.matrix import KEY
from tests.processes import Stack, stack

pytestmark = [pytest.mark.integration, pytest.mark.heavy, pytest.mark.usefixtures("unmeasured")]

SECONDS = 8.0
HOSTILE_SECONDS = 5.0
BASE = make_simulator().bases[0].id
PATH = f"/airtable/v0/meta/bases/{BASE}/tables"


@pytest.fixture(
    scope="module",
    params=["redis", pytest.param("postgresql", marks=pytest.mark.thorough)],
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Four workers on one store."""
    url = request.getfixturevalue(
        {"redis": "redis_url", "postgresql": "postgres_url"}[request.param]
    )
    directory = tmp_path_factory.mktemp(request.param)
    settings = {"STORE_URL": url, "ENCRYPTION_KEYS": KEY, "LOG_LEVEL": "warning"}
    with stack(directory, workers=4, **settings) as made:
        yield made


async def test_four_workers_keep_the_limit_of_a_hot_base(service: Stack) -> None:
    """Airtable counts at most five requests in any second, and most of the limit is used."""
    cookies = [await log_in(service) for _ in range(4)]
    async with client() as browser:

        async def ask(cookie: str) -> int:
            status = await get(browser, service, cookie)
            await asyncio.sleep(0.5 if status == 429 else 0)
            return status

        answers = await during(SECONDS, ask, cookies * 5)
    assert {status for status, _ in answers} == {200, 429}
    assert airtables_answers(service) == {200}
    assert sum(status == 200 for status, _ in answers) > 3.5 * SECONDS
    assert max(seconds for _, seconds in answers) < 3.5


async def test_hostile_connection_without_access_does_not_delay_others(
    service: Stack,
) -> None:
    """It sends thirty requests at a time to all workers, and starts when the others do."""
    hostile = await log_in(service, without=BASE)
    rightful = [await log_in(service) for _ in range(2)]
    await asyncio.sleep(1.2)  # until the previous test's requests no longer count
    async with client() as browser:

        async def attack(cookie: str) -> int:
            return await get(browser, service, cookie)

        async def use(cookie: str) -> int:
            await asyncio.sleep(0.7)
            return await get(browser, service, cookie)

        attacks, answers = await asyncio.gather(
            during(HOSTILE_SECONDS, attack, [hostile] * 30),
            during(HOSTILE_SECONDS, use, rightful),
        )
    assert {status for status, _ in attacks} <= {403, 429}
    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < 0.7 + 2
    assert 429 not in airtables_answers(service)


async def during(
    seconds: float, ask: Callable[[str], Awaitable[int]], cookies: list[str]
) -> list[tuple[int, float]]:
    """Clients that repeat `ask`. Returns the status and the duration of each answer."""
    end = time.monotonic() + seconds
    answers = []

    async def repeat(cookie: str) -> None:
        while (began := time.monotonic()) < end:
            answers.append((await ask(cookie), time.monotonic() - began))

    await asyncio.gather(*map(repeat, cookies))
    return answers


def airtables_answers(service: Stack) -> set[int]:
    """The statuses of Airtable's answers for the base."""
    return {seen["status"] for seen in service.seen() if BASE in seen["path"]}


async def get(browser: aiohttp.ClientSession, service: Stack, cookie: str) -> int:
    async with browser.get(f"{service.api}{PATH}", headers={"Cookie": cookie}) as answer:
        await answer.read()
        return answer.status


async def log_in(service: Stack, *, without: str = "") -> str:
    """Log in as a new browser. Returns the cookie of the session."""
    async with httpx.AsyncClient(base_url=service.api, timeout=30) as browser:
        url = await begin(browser)
        async with httpx.AsyncClient() as person:
            parameters = await decide(person, url, without=without)
        answer = await browser.post("/session", json=parameters, headers=CSRF)
        assert answer.status_code == 201, answer.text
        return f"airtable_session={answer.cookies['airtable_session']}"


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens a new connection for each request, so that any worker may get it."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as made:
        yield made
