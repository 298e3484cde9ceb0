"""The error body's `request_id` leads to the cause of a failing store or of a failing Airtable."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.settings import Settings
from tests import broken_stores
from tests.broken_stores import SECRET, BrokenStore
from tests.certificates import https_server, self_signed_certificate
from tests.helpers import CSRF, begin, decide, free_port, make_settings, query_of
from tests.log_lines import log_lines
from tests.processes import Stack, stack, wait_until
from tests.stores.backends import redis_server

pytestmark = pytest.mark.integration

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


@pytest.fixture(scope="module")
def own_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that tests may break entirely."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.mark.parametrize("name", broken_stores.REDIS)
async def test_redis_that_fails_is_one_incident(own_redis_url: str, name: str) -> None:
    with broken_stores.REDIS[name](own_redis_url) as broken:
        await assert_one_incident(broken)


async def test_request_that_gives_up_on_a_store_names_its_cause(own_redis_url: str) -> None:
    """The command is retried in the background for longer than the request waits."""
    settings = make_settings(
        store_url=own_redis_url,
        encryption_keys=KEY,
        store_timeout=0.2,
    )
    app = create_app(settings, transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
        ) as browser,
    ):
        callback = {"code": "c", "state": query_of(await begin(browser))["state"]}
        with log_lines() as lines, broken_stores.full_redis(own_redis_url) as broken:
            answer = await browser.post("/session", json=callback, headers=CSRF)
    assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
    [access] = lines.access()
    assert access["cause"] in broken.causes


@pytest.mark.parametrize("name", broken_stores.POSTGRES)
async def test_postgres_that_fails_is_one_incident(postgres_url: str, name: str) -> None:
    await assert_one_incident(await broken_stores.POSTGRES[name](postgres_url))


@pytest.mark.parametrize("name", broken_stores.SQLITE)
async def test_sqlite_that_fails_is_one_incident(name: str) -> None:
    with broken_stores.SQLITE[name]() as broken:
        await assert_one_incident(broken)


@pytest.mark.parametrize("name", broken_stores.unreachable("redis"))
@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_store_that_cannot_be_reached_is_one_incident(scheme: str, name: str) -> None:
    await assert_one_incident(broken_stores.unreachable(scheme)[name])


async def assert_one_incident(broken: BrokenStore) -> None:
    """Three failing logins log one line about the store, and one line each."""
    with log_lines() as lines:
        answers = await begin_logins(make_settings(store_url=broken.url, encryption_keys=KEY))
    assert {answer.status_code for answer in answers} == {503}
    [incident] = lines.incidents()
    assert incident["level"] == "error"
    assert incident["cause"] in broken.causes
    assert incident["event"] == f"the store does not work: {incident['cause']}"
    assert incident["request_id"] == answers[0].json()["request_id"]
    assert [access["request_id"] for access in lines.access()] == [
        answer.json()["request_id"] for answer in answers
    ]
    for access in lines.access():
        assert (access["level"], access["error"]) == ("warning", "store_unavailable")
        assert access["cause"] == incident["cause"]
    for secret in (SECRET, broken.url):
        assert secret not in lines.text


async def begin_logins(settings: Settings) -> list[httpx.Response]:
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
        ) as browser,
    ):
        return [await browser.get("/authorization-url") for _ in range(3)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Path]]:
    directory = tmp_path_factory.mktemp("incidents")
    with stack(directory, LOG_FORMAT="json") as made:
        yield made, directory / "serve.log"


@pytest.mark.parametrize(
    ("fault", "error", "cause", "level"),
    [
        ({"status": 500, "body": "{}"}, "airtable_error", "HTTP 500", "warning"),
        (
            {"status": 401, "body": '{"error": "invalid_client"}'},
            *("invalid_client", "HTTP 401 invalid_client", "error"),
        ),
        ({"junk": "html", "status": 200}, "airtable_error", "HTTP 200 without tokens", "warning"),
        ({"drop": True}, "airtable_error", "aiohttp.ServerDisconnectedError", "warning"),
    ],
)
async def test_token_endpoint_that_fails_is_one_incident(
    service: tuple[Stack, Path], fault: dict[str, Any], error: str, cause: str, level: str
) -> None:
    """The test reads the log of a real process."""
    running, log = service
    httpx.post(f"{running.airtable}/_simulator/faults", json=fault | {"times": 2})
    answers = [await finish_login(running) for _ in range(2)]
    assert {answer.json()["error"] for answer in answers} == {error}
    ids = [answer.json()["request_id"] for answer in answers]
    # The service writes a request's line after its answer.
    wait_until(lambda: sum('"request"' in line for line in lines_about(log, ids)) == len(ids))
    of_requests = [json.loads(line) for line in lines_about(log, ids)]
    [incident] = [line for line in of_requests if "part" in line]
    assert incident["event"] == f"Airtable's token endpoint does not work: {cause}"
    assert [
        (line["level"], line["error"], line["cause"], line["request_id"])
        for line in of_requests
        if line["event"] == "request"
    ] == [(level, error, cause, request_id) for request_id in ids]


def lines_about(log: Path, ids: list[str]) -> list[str]:
    return [line for line in log.read_text().splitlines() if any(each in line for each in ids)]


async def finish_login(running: Stack) -> httpx.Response:
    async with httpx.AsyncClient(base_url=running.api) as browser, httpx.AsyncClient() as person:
        callback = await decide(person, await begin(browser))
        return await browser.post("/session", json=callback, headers=CSRF)


@pytest.mark.parametrize(
    ("host", "causes"),
    [
        ("127.0.0.1", ("ConnectionRefusedError ECONNREFUSED",)),
        ("airtable.invalid", ("gaierror EAI_NONAME", "gaierror EAI_AGAIN")),
    ],
)
async def test_airtable_that_cannot_be_reached_is_one_incident(
    host: str, causes: tuple[str, ...]
) -> None:
    await assert_unreachable(f"https://{host}:{free_port()}", causes)


async def test_airtable_with_an_unknown_certificate_is_one_incident(tmp_path: Path) -> None:
    with https_server(self_signed_certificate(tmp_path)) as url:
        await assert_unreachable(url, ("SSLCertVerificationError 18",))


async def assert_unreachable(url: str, causes: tuple[str, ...]) -> None:
    """The token endpoint did not receive the request, and the log says why."""
    app = create_app(make_settings(airtable_url=url))
    with log_lines() as lines:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
            ) as browser,
        ):
            answers = [await browser.post("/token-refresh", **_REFRESH) for _ in range(2)]
    assert {answer.json()["error"] for answer in answers} == {"airtable_unreachable"}
    [incident] = lines.incidents()
    assert incident["cause"] in causes
    assert {access["cause"] for access in lines.access()} == {incident["cause"]}
    assert CANARY not in lines.text


CANARY = "oar-canary-5e3f9a"
_REFRESH: Any = {"json": {"refresh_token": CANARY}, "headers": CSRF}
