import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from airtable_oauth.app import create_app
from airtable_oauth.errors import InvalidRequest
from airtable_oauth.simulator import Fault, Simulator
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.web.body import read_body
from tests.helpers import (
    CSRF,
    ORIGIN,
    SCOPES,
    FakeClock,
    begin,
    consent,
    make_settings,
    query_of,
)

BODY_KEYS = {"error", "error_description", "action", "request_id"}


async def finish(browser: httpx.AsyncClient, parameters: dict[str, Any]) -> httpx.Response:
    return await browser.post("/token-exchange", json=parameters, headers=CSRF)


def assert_error(response: httpx.Response, status: int, error: str, action: str) -> None:
    body = response.json()
    assert (response.status_code, body["error"], body["action"]) == (status, error, action)
    assert set(body) - {"return_to"} == BODY_KEYS
    assert response.headers["cache-control"] == "no-store"


async def test_exchange_answers_with_tokens(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The answer has exactly these fields."""
    response = await finish(browser, await consent(simulator, await begin(browser)))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert body.pop("access_token").startswith("oaa")
    assert body.pop("refresh_token").startswith("oar")
    assert body == {
        "token_type": "Bearer",
        "scope": " ".join(SCOPES),
        "expires_in": 3600,
        "refresh_expires_in": 5184000,
    }


async def test_verifier_is_in_no_answer(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """The service sends the verifier only to the token endpoint."""
    begun = await browser.get("/authorization-url")
    parameters = await consent(simulator, begun.json()["authorizationUrl"])
    finished = await finish(browser, parameters)
    verifier = simulator.token_requests()[0].form["code_verifier"]
    assert len(verifier) == 128
    for answer in (begun, finished):
        assert verifier not in f"{answer.text} {answer.headers}"


async def test_exchange_by_get_is_the_same(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Clients written for the Node service use GET."""
    parameters = await consent(simulator, await begin(browser))
    response = await browser.get("/token-exchange", params=parameters)
    assert response.status_code == 200
    assert response.json()["access_token"].startswith("oaa")


async def test_return_to_comes_back(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """It comes back with the tokens and with an error."""
    parameters = await consent(simulator, await begin(browser, return_to="/bases?x=1"))
    assert (await finish(browser, parameters)).json()["return_to"] == "/bases?x=1"
    url = await begin(browser, return_to="/bases?x=2")
    denied = await finish(browser, await consent(simulator, url, decision="deny"))
    assert denied.json()["return_to"] == "/bases?x=2"


async def test_other_parameters_are_ignored(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Until March 2025 Airtable sent the challenge back as well."""
    parameters = await consent(simulator, await begin(browser))
    parameters |= {"code_challenge": "x", "code_challenge_method": "S256"}
    assert (await finish(browser, parameters)).status_code == 200


async def test_denied_consent(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """The service describes the redirect's error in its own words and spends the state."""
    parameters = await consent(simulator, await begin(browser), decision="deny")
    assert parameters["error"] == "access_denied"
    assert_error(await finish(browser, parameters), 400, "access_denied", "restart_login")
    assert_error(await finish(browser, parameters), 400, "login_not_found", "restart_login")


async def test_code_together_with_error_is_refused(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Such a request spends the state without a request to Airtable."""
    parameters = await consent(simulator, await begin(browser))
    both = parameters | {"error": "access_denied"}
    assert_error(await finish(browser, both), 400, "invalid_request", "restart_login")
    assert_error(await finish(browser, parameters), 400, "login_not_found", "restart_login")
    assert simulator.token_requests() == []


async def test_state_is_spent_by_success(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    parameters = await consent(simulator, await begin(browser))
    assert (await finish(browser, parameters)).status_code == 200
    assert_error(await finish(browser, parameters), 400, "login_not_found", "restart_login")
    assert len(simulator.token_requests()) == 1


async def test_state_is_spent_by_a_failed_exchange(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Airtable does not know the code."""
    parameters = await consent(simulator, await begin(browser))
    wrong = parameters | {"code": "wrong"}
    assert_error(await finish(browser, wrong), 400, "invalid_grant", "restart_login")
    assert_error(await finish(browser, parameters), 400, "login_not_found", "restart_login")


async def test_state_ends_with_its_time(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock
) -> None:
    """A state expires after ten minutes."""
    parameters = await consent(simulator, await begin(browser))
    clock.advance(601)
    assert_error(await finish(browser, parameters), 400, "login_not_found", "restart_login")


async def test_other_browser_cannot_finish(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A login of its own does not help it, and the browser that began can still finish."""
    parameters = await consent(simulator, await begin(browser))
    async with httpx.AsyncClient(
        transport=browser._transport,  # noqa: SLF001 (the same service, another cookie jar)
        base_url="http://localhost:3000",
    ) as other:
        assert_error(await finish(other, parameters), 400, "login_not_found", "restart_login")
        await begin(other)
        assert_error(await finish(other, parameters), 400, "login_not_found", "restart_login")
    assert simulator.token_requests() == []
    assert (await finish(browser, parameters)).status_code == 200


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_tabs_both_finish(
    browser: httpx.AsyncClient, simulator: Simulator, order: tuple[int, int]
) -> None:
    tabs = [await consent(simulator, await begin(browser)) for _ in range(2)]
    for tab in order:
        assert (await finish(browser, tabs[tab])).status_code == 200


async def test_two_tabs_that_begin_at_the_same_moment_both_finish(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Neither answer's cookie replaces the other's."""
    urls = await asyncio.gather(begin(browser), begin(browser))
    for url in urls:
        assert (await finish(browser, await consent(simulator, url))).status_code == 200


async def test_fifty_parallel_exchanges_send_one_request(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """One caller gets the tokens, the others a clear error."""
    parameters = await consent(simulator, await begin(browser))
    answers = await asyncio.gather(*(finish(browser, parameters) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 49
    assert len(simulator.token_requests()) == 1


async def test_exchange_needs_the_csrf_header(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The login cookie authenticates the browser, so a form of another site must be refused."""
    parameters = await consent(simulator, await begin(browser))
    response = await browser.post("/token-exchange", json=parameters)
    assert_error(response, 403, "cross_site_request", "fix_config")
    assert (await finish(browser, parameters)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:4201"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Mode": "navigate"},
    ],
)
async def test_request_that_another_site_caused_is_refused(
    browser: httpx.AsyncClient, simulator: Simulator, headers: dict[str, str]
) -> None:
    """The request neither begins nor ends a login."""
    parameters = await consent(simulator, await begin(browser))
    cookies = dict(browser.cookies)
    for response in (
        await browser.get("/authorization-url", headers=headers),
        await browser.get("/token-exchange", params=parameters, headers=headers),
        await browser.post("/token-exchange", json=parameters, headers=CSRF | headers),
    ):
        assert_error(response, 403, "cross_site_request", "fix_config")
    assert dict(browser.cookies) == cookies
    assert simulator.token_requests() == []
    assert (await finish(browser, parameters)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ORIGIN},
        {"Origin": "http://localhost:3000"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    ],
)
async def test_request_of_our_own_pages_passes(
    browser: httpx.AsyncClient, simulator: Simulator, headers: dict[str, str]
) -> None:
    """Listed origins, the service's own origin and requests without these headers pass."""
    parameters = await consent(simulator, await begin(browser))
    response = await browser.post("/token-exchange", json=parameters, headers=CSRF | headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"{",
        b'{"state": "s"',
        b'{"state": NaN, "code": "c"}',
        rb'{"state": "\ud800", "code": "c"}',
        b'{"state": "", "code": "c"}',
        b'{"state": 17, "code": "c"}',
        b'{"state": ["s"], "code": "c"}',
        b'{"state": "s", "code": ""}',
        b'{"state": "s", "code": {}}',
        b'{"state": "s", "code": 1e400}',
        b'{"code": "c"}',
        b"[" * 10_000,
        b"\xff\xfe\x00",
        b'{"state": "' + b"s" * 2000 + b'", "code": "c"}',
    ],
)
async def test_malformed_body_is_a_clear_error(browser: httpx.AsyncClient, body: bytes) -> None:
    """The answer is a 4xx with the service's error body, which does not contain the input."""
    headers = CSRF | {"Content-Type": "application/json"}
    response = await browser.post("/token-exchange", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.json()["error"] == "invalid_request"
    assert set(response.json()) == BODY_KEYS


async def test_validation_names_the_field_and_echoes_nothing(browser: httpx.AsyncClient) -> None:
    """FastAPI's own 422 would contain the code."""
    response = await finish(browser, {"code": "CANARY", "state": {"CANARY": 1}})
    assert_error(response, 422, "invalid_request", "fix_config")
    assert response.json()["error_description"] == "Missing or malformed: state."
    response = await browser.get("/token-exchange", params={"code": "CANARY"})
    assert_error(response, 422, "invalid_request", "fix_config")
    assert "CANARY" not in response.text


@pytest.mark.parametrize("size", [20_000, 1_000_000])
async def test_large_body_is_413(browser: httpx.AsyncClient, size: int) -> None:
    """The limit applies to a declared length and to chunks."""

    async def chunks() -> Any:
        for _ in range(size // 1000):
            yield b"x" * 1000

    headers = CSRF | {"Content-Type": "application/json"}
    for content in (b"x" * size, chunks()):
        response = await browser.post("/token-exchange", content=content, headers=headers)
        assert_error(response, 413, "content_too_large", "fix_config")


async def test_slow_body_is_cut_off() -> None:
    """A client cannot hold a connection open by sending a byte now and then."""

    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    request = Request({"type": "http", "headers": []}, drip)
    with pytest.raises(InvalidRequest, match="didn't arrive in time"):
        await read_body(request, 1000, seconds=0.1)


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/vnd.api+json", "json"],
)
async def test_json_is_read_only_from_json(
    browser: httpx.AsyncClient, simulator: Simulator, content_type: str | None
) -> None:
    """A form of another site can send the other content types (CVE-2021-32677)."""
    parameters = await consent(simulator, await begin(browser))
    body = httpx.Request("POST", "/", json=parameters).content
    headers = CSRF | ({"Content-Type": content_type} if content_type else {})
    response = await browser.post("/token-exchange", content=body, headers=headers)
    assert_error(response, 415, "unsupported_media_type", "fix_config")
    assert (await finish(browser, parameters)).status_code == 200


async def test_refresh_answers_with_a_new_pair(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """SPAs that hold their own tokens use it. It reads no cookie, so it needs no CSRF header."""
    first = (await finish(browser, await consent(simulator, await begin(browser)))).json()
    response = await browser.post("/token-refresh", json={"refresh_token": first["refresh_token"]})
    assert response.status_code == 200
    second = response.json()
    assert set(second) == set(first)
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]


async def test_strangers_have_twenty_refreshes_under_way_at_most(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The others wait, so that junk cannot use up all connections to Airtable."""
    fault = simulator.faults.add(Fault(held=True, times=100))
    body = {"refresh_token": "made-up"}
    posts = [asyncio.ensure_future(browser.post("/token-refresh", json=body)) for _ in range(30)]
    for _ in range(500):
        await asyncio.sleep(0)
    assert fault.fired == 20
    simulator.faults.release()
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {400}
    assert fault.fired == 30


async def test_refresh_token_is_good_for_one_use(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A second use is first a conflict, later an invalid grant. Both mean to reconnect."""
    tokens = (await finish(browser, await consent(simulator, await begin(browser)))).json()
    body = {"refresh_token": tokens["refresh_token"]}
    assert (await browser.post("/token-refresh", json=body)).status_code == 200
    response = await browser.post("/token-refresh", json=body)
    assert_error(response, 409, "already_refreshed", "reconnect")
    simulator.clock.advance(11)
    response = await browser.post("/token-refresh", json=body)
    assert_error(response, 400, "invalid_grant", "reconnect")


def answering(status: int, body: Any) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, json=body))


def raising(error: Exception) -> httpx.AsyncBaseTransport:
    def handle(_request: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(handle)


@pytest.mark.parametrize(
    ("transport", "status", "error", "at_exchange", "at_refresh"),
    [
        (
            answering(400, {"error": "invalid_grant"}),
            400,
            "invalid_grant",
            "restart_login",
            "reconnect",
        ),
        (
            answering(400, {"error": "invalid_request"}),
            400,
            "invalid_request",
            "restart_login",
            "reconnect",
        ),
        (
            answering(401, {"error": "invalid_client"}),
            500,
            "invalid_client",
            "fix_config",
            "fix_config",
        ),
        (
            answering(400, {"error": "invalid_scope"}),
            500,
            "invalid_scope",
            "fix_config",
            "fix_config",
        ),
        (answering(429, {}), 502, "airtable_error", "restart_login", "retry"),
        (answering(500, {}), 502, "airtable_error", "restart_login", "retry"),
        (answering(200, {}), 502, "airtable_error", "restart_login", "retry"),
        (answering(200, []), 502, "airtable_error", "restart_login", "retry"),
        (raising(httpx.ConnectError("x")), 502, "airtable_unreachable", "restart_login", "retry"),
        (raising(httpx.ReadError("x")), 502, "airtable_error", "restart_login", "retry"),
        (raising(TimeoutError()), 504, "airtable_timeout", "restart_login", "retry"),
        (raising(RuntimeError("CANARY")), 500, "server_error", "retry", "retry"),
    ],
)
async def test_what_airtable_says_and_what_we_answer(
    store: MemoryStore,
    transport: httpx.AsyncBaseTransport,
    status: int,
    error: str,
    at_exchange: str,
    at_refresh: str,
) -> None:
    """This is the API's table of errors."""
    app = create_app(make_settings(), store=store, transport=transport)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as browser:
        state = query_of(await begin(browser))["state"]
        exchanged = await finish(browser, {"state": state, "code": "c"})
        refreshed = await browser.post("/token-refresh", json={"refresh_token": "r"})
    assert_error(exchanged, status, error, at_exchange)
    assert_error(refreshed, status, error, at_refresh)
    assert "CANARY" not in exchanged.text
