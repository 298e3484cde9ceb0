"""Logins over real processes and sockets: one process with memory, two workers with Redis."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from redis.asyncio import Redis

from tests.helpers import CSRF, begin, decide
from tests.processes import Stack, stack

pytestmark = pytest.mark.integration

on_redis = pytest.mark.parametrize("service", ["redis"], indirect=True)
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.fixture(scope="module", params=["memory", "redis"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "memory":
        with stack(directory) as made:
            yield made
    else:
        redis_url = request.getfixturevalue("redis_url")
        with stack(directory, workers=2, STORE_URL=redis_url, ENCRYPTION_KEYS=KEY) as made:
            yield made


@pytest.fixture
async def browser(service: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with new_browser(service) as client:
        yield client


def new_browser(service: Stack) -> httpx.AsyncClient:
    """A cookie jar that opens a connection for each request, so that any worker may get it."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=service.api, limits=limits, timeout=30)


async def connect(
    browser: httpx.AsyncClient, *, decision: str = "grant", url: str | None = None
) -> dict[str, str]:
    url = url or await begin(browser)
    async with httpx.AsyncClient() as person:
        return await decide(person, url, decision=decision)


async def finish(browser: httpx.AsyncClient, parameters: dict[str, str]) -> httpx.Response:
    return await browser.post("/token-exchange", json=parameters, headers=CSRF)


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


async def test_fifty_parallel_exchanges_send_one_request(
    service: Stack, browser: httpx.AsyncClient
) -> None:
    """This holds for any distribution over the workers. It is a race, so the test repeats it."""
    for _ in range(5):
        parameters = await connect(browser)
        before = service.token_requests()
        answers = await asyncio.gather(*(finish(browser, parameters) for _ in range(50)))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
        assert service.token_requests() == before + 1


async def test_fifty_parallel_sessions_send_one_request(
    service: Stack, browser: httpx.AsyncClient
) -> None:
    """Five get a session of the same connection. If the exchange fails, all get the same error."""
    for wrong, statuses in (({}, [201] * 5 + [400] * 45), ({"code": "wrong"}, [400] * 50)):
        for _ in range(3):
            parameters = await connect(browser) | wrong
            before = service.token_requests()
            answers = await asyncio.gather(
                *(browser.post("/session", json=parameters, headers=CSRF) for _ in range(50))
            )
            assert sorted(answer.status_code for answer in answers) == statuses
            assert service.token_requests() == before + 1


async def test_any_worker_finishes_what_another_began(browser: httpx.AsyncClient) -> None:
    """Twenty logins use a new connection for each request."""
    for _ in range(20):
        assert (await finish(browser, await connect(browser))).status_code == 200


async def test_other_browser_finds_nothing(service: Stack, browser: httpx.AsyncClient) -> None:
    """Its own login or a forged cookie does not help it, and the first browser still finishes."""
    parameters = await connect(browser)
    before = service.token_requests()
    forged = {"Cookie": f"{next(iter(browser.cookies))}=1.{'A' * 43}"}
    async with new_browser(service) as other:
        assert error_of(await finish(other, parameters)) == (400, "login_not_found")
        await begin(other)
        assert error_of(await finish(other, parameters)) == (400, "login_not_found")
        other.headers.update(forged)
        assert error_of(await finish(other, parameters)) == (400, "login_not_found")
    assert service.token_requests() == before
    assert (await finish(browser, parameters)).status_code == 200


async def test_two_tabs_that_begin_at_the_same_moment_both_finish(
    browser: httpx.AsyncClient,
) -> None:
    """They share a cookie jar, and the second login finishes first."""
    urls = await asyncio.gather(begin(browser), begin(browser))
    tabs = [await connect(browser, url=url) for url in urls]
    assert (await finish(browser, tabs[1])).status_code == 200
    assert (await finish(browser, tabs[0])).status_code == 200


async def test_every_outcome_spends_the_state(service: Stack, browser: httpx.AsyncClient) -> None:
    """A success, a denied consent, a failed code, and `code` together with `error`."""
    granted, spoiled, both = [await connect(browser) for _ in range(3)]
    denied = await connect(browser, decision="deny")
    assert (await finish(browser, granted)).status_code == 200
    assert error_of(await finish(browser, denied)) == (400, "access_denied")
    wrong = await finish(browser, spoiled | {"code": "wrong"})
    assert error_of(wrong) == (400, "invalid_grant")
    refused = await finish(browser, both | {"error": "access_denied"})
    assert error_of(refused) == (400, "invalid_request")
    before = service.token_requests()
    for parameters in (granted, denied, spoiled, both):
        assert error_of(await finish(browser, parameters)) == (400, "login_not_found")
    assert service.token_requests() == before


async def test_log_shows_no_code_state_or_secret(
    service: Stack, browser: httpx.AsyncClient, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Uvicorn's own access log would contain the query of a GET."""
    parameters = await connect(browser)
    answer = await browser.get("/token-exchange", params=parameters)
    logs = "".join(log.read_text() for log in tmp_path_factory.getbasetemp().glob("*/serve.log"))
    assert "GET /token-exchange 200" in logs
    secrets = (*parameters.values(), answer.json()["access_token"], "test-secret")
    assert [secret for secret in secrets if secret in logs] == []


@on_redis
async def test_login_expires(browser: httpx.AsyncClient, redis_url: str) -> None:
    """Each key expires after at most ten minutes, and the login ends with it."""
    parameters = await connect(browser)
    client = Redis.from_url(redis_url)
    try:
        keys = [key async for key in client.scan_iter("airtable:login:*")]
        assert keys
        for key in keys:
            assert 0 < await client.pttl(key) <= 600_000
            await client.pexpire(key, await client.pttl(key) - 600_000)
    finally:
        await client.aclose()
    assert error_of(await finish(browser, parameters)) == (400, "login_not_found")


@on_redis
async def test_redis_holds_no_secret_in_clear(
    service: Stack, browser: httpx.AsyncClient, redis_url: str
) -> None:
    """Keys are hashes, and values are encrypted."""
    parameters = await connect(browser)
    cookies = [value.partition(".")[2] for value in dict(browser.cookies).values()]
    client = Redis.from_url(redis_url)
    try:
        dump = b"".join(
            [key + b"=" + (await client.get(key) or b"") async for key in client.scan_iter()]
        )
    finally:
        await client.aclose()
    assert b"airtable:login:" in dump
    assert (await finish(browser, parameters)).status_code == 200
    verifier = httpx.QueryParams(service.seen()[-1]["body"])["code_verifier"]
    for secret in (parameters["state"], verifier, *cookies):
        assert secret
        assert secret.encode() not in dump
