"""A real service process while its shared store refuses, hangs, or loses a reply."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.helpers import CSRF, begin, decide
from tests.processes import Stack, stack
from tests.proxy import Proxy, proxy

pytestmark = pytest.mark.integration

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
CUTS: list[Callable[[Proxy], None]] = [Proxy.refuse, Proxy.black_hole]


@pytest.fixture(scope="module")
def way(redis_url: str) -> Iterator[Proxy]:
    port = urlsplit(redis_url).port
    assert port is not None
    with proxy(port) as made:
        yield made


@pytest.fixture(scope="module")
def service(way: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = Path(tmp_path_factory.mktemp("outage"))
    with stack(directory, STORE_URL=f"redis://127.0.0.1:{way.port}", ENCRYPTION_KEYS=KEY) as made:
        yield made


async def callback(browser: httpx.AsyncClient) -> dict[str, str]:
    async with httpx.AsyncClient() as person:
        return await decide(person, await begin(browser))


@pytest.mark.parametrize("cut", CUTS)
async def test_store_that_is_gone_is_503_in_time_and_recovers(
    service: Stack, way: Proxy, cut: Callable[[Proxy], None]
) -> None:
    """`/health/live` stays 200, and a pending login can be finished later without a restart."""
    async with httpx.AsyncClient(base_url=service.api, timeout=10) as browser:
        parameters = await callback(browser)
        before = service.token_requests()
        cut(way)
        try:
            for method, path, options in (
                ("GET", "/authorization-url", {}),
                ("POST", "/token-exchange", {"json": parameters, "headers": CSRF}),
                ("GET", "/health/ready", {}),
            ):
                started = time.monotonic()
                answer = await browser.request(method, path, **options)  # type: ignore[arg-type] # JSON or headers
                assert time.monotonic() - started < 3
                assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
                assert answer.headers["retry-after"] == "5"
                assert "set-cookie" not in answer.headers
            assert (await browser.get("/health/live")).status_code == 200
            assert service.token_requests() == before
        finally:
            way.mend()
        mended = time.monotonic()
        while (await browser.get("/health/ready")).status_code != 200:
            assert time.monotonic() - mended < 5, "it does not recover"
        answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("cut", CUTS)
async def test_log_out_that_did_not_happen_is_not_reported_as_done(
    service: Stack, way: Proxy, cut: Callable[[Proxy], None]
) -> None:
    """It is a 503, like all other requests. The cookie and the session remain."""
    async with httpx.AsyncClient(base_url=service.api, timeout=10) as browser:
        answer = await browser.post("/session", json=await callback(browser), headers=CSRF)
        assert answer.status_code == 201, answer.text
        cut(way)
        try:
            for method, path in (
                ("DELETE", "/session"),
                ("GET", "/session"),
                ("GET", "/airtable/v0/meta/whoami"),
            ):
                started = time.monotonic()
                answer = await browser.request(method, path, headers=CSRF)
                assert time.monotonic() - started < 3
                assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
                assert "set-cookie" not in answer.headers
        finally:
            way.mend()
        mended = time.monotonic()
        while (await browser.get("/session")).status_code != 200:
            assert time.monotonic() - mended < 5, "it does not recover"


async def test_lost_reply_to_taking_a_login_is_not_read_as_absence(
    service: Stack, way: Proxy
) -> None:
    """The driver must not send the command again, because the second reply would be "not found"."""
    async with httpx.AsyncClient(base_url=service.api, timeout=10) as browser:
        parameters = await callback(browser)
        before = service.token_requests()
        way.lost_reply, way.lost = b"DEL", 0
        answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
        assert way.lost == 1
        assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
        assert answer.json()["action"] == "restart_login"
        assert service.token_requests() == before
        answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
        assert (answer.status_code, answer.json()["error"]) == (400, "login_not_found")


async def test_lost_reply_to_claiming_a_login_is_noticed(service: Stack, way: Proxy) -> None:
    """The service recognises its own claim and finishes the login."""
    async with httpx.AsyncClient(base_url=service.api, timeout=10) as browser:
        parameters = await callback(browser)
        before = service.token_requests()
        way.lost_reply, way.lost = b"KEEPTTL", 0
        started = time.monotonic()
        answer = await browser.post("/session", json=parameters, headers=CSRF)
        assert time.monotonic() - started < 3
        assert way.lost == 1
        assert answer.status_code == 201, answer.text
        assert service.token_requests() == before + 1


async def test_lost_reply_to_beginning_a_session_costs_nothing(service: Stack, way: Proxy) -> None:
    """The browser asks again and gets another session. The id of the first one is unknown."""
    async with httpx.AsyncClient(base_url=service.api, timeout=10) as browser:
        parameters = await callback(browser)
        before = service.token_requests()
        way.lost_reply, way.lost = b"airtable:session:", 0
        answer = await browser.post("/session", json=parameters, headers=CSRF)
        assert way.lost == 1
        assert (answer.status_code, answer.json()["action"]) == (503, "retry")
        assert (await browser.post("/session", json=parameters, headers=CSRF)).status_code == 201
        assert (await browser.get("/session")).status_code == 200
        assert service.token_requests() == before + 1
