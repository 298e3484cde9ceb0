"""The routes that replace the Node service: its Express code's answers, case by case, and ours."""

from typing import Any

import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, begin, consent, make_settings, query_of
from tests.log_lines import log_lines

NOT_FROM_AIRTABLE = {"error": "This request was not from Airtable!"}
TOKENS = {
    "access_token": "a",
    "refresh_token": "r",
    "token_type": "Bearer ",
    "scope": "data.records:read",
    "expires_in": 3600,
    "refresh_expires_in": 5184000,
    "something": ["more"],
}


def service(transport: httpx.AsyncBaseTransport, store: MemoryStore) -> httpx.AsyncClient:
    app = create_app(make_settings(node_compat=True), store=store, transport=transport)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:3000")


def answering(status: int, content: Any, **options: Any) -> httpx.AsyncBaseTransport:
    option = "content" if isinstance(content, bytes) else "json"
    return httpx.MockTransport(lambda _: httpx.Response(status, **{option: content}, **options))


def raising(error: Exception) -> httpx.AsyncBaseTransport:
    def handle(_request: httpx.Request) -> httpx.Response:
        raise error

    return httpx.MockTransport(handle)


async def authorization_url(client: httpx.AsyncClient) -> str:
    answer = await client.get("/get-authorization-url")
    assert (answer.status_code, set(answer.json())) == (200, {"authorizationUrl"})
    assert "set-cookie" not in answer.headers
    url: str = answer.json()["authorizationUrl"]
    return url


async def test_success(simulator: Simulator, store: MemoryStore) -> None:
    """The answer has Airtable's tokens. No cookie binds the login to a browser."""
    transport = httpx.ASGITransport(simulator.app)
    async with service(transport, store) as client, service(transport, store) as other:
        parameters = await consent(simulator, await authorization_url(client))
        answer = await other.get("/request-oauth-token", params=parameters)
    assert answer.status_code == 200
    assert answer.json()["access_token"].startswith("oaa")
    assert answer.headers["cache-control"] == "no-store"
    form = simulator.token_requests()[0].form
    assert set(form) == {"client_id", "code_verifier", "redirect_uri", "code", "grant_type"}


@pytest.mark.parametrize("query", ["", "?state=unknown", "?state=", "?state=a&state=b", "?code=c"])
async def test_state_that_is_unknown_or_missing(store: MemoryStore, query: str) -> None:
    """In the Node service, `authorizationCache[state]` is undefined."""
    async with service(raising(AssertionError()), store) as client:
        answer = await client.get(f"/request-oauth-token{query}")
    assert (answer.status_code, answer.json()) == (400, NOT_FROM_AIRTABLE)


async def test_state_is_spent(store: MemoryStore) -> None:
    """In the Node service, `delete authorizationCache[state]` comes before everything else."""
    async with service(answering(400, {"error": "invalid_grant"}), store) as client:
        state = query_of(await authorization_url(client))["state"]
        await client.get("/request-oauth-token", params={"state": state, "code": "c"})
        again = await client.get("/request-oauth-token", params={"state": state, "code": "c"})
    assert (again.status_code, again.json()) == (400, NOT_FROM_AIRTABLE)


@pytest.mark.parametrize(
    ("parameters", "body"),
    [
        ({"error": "access_denied"}, {"error": "access_denied"}),
        (
            {"error": "access_denied", "error_description": "No."},
            {"error": "access_denied", "errorDescription": "No."},
        ),
        ({"error": "anything", "code": "c"}, {"error": "anything"}),
        ({"error": ["a", "b"]}, {"error": ["a", "b"]}),
    ],
)
async def test_redirect_with_an_error(
    store: MemoryStore, parameters: dict[str, Any], body: dict[str, Any]
) -> None:
    """Error and description are passed on unchanged."""
    async with service(raising(AssertionError()), store) as client:
        state = query_of(await authorization_url(client))["state"]
        answer = await client.get("/request-oauth-token", params=parameters | {"state": state})
    assert (answer.status_code, answer.json()) == (400, body)


@pytest.mark.parametrize(
    ("transport", "status", "body"),
    [
        (answering(200, TOKENS), 200, TOKENS),
        (answering(201, TOKENS), 200, TOKENS),
        (answering(400, {"error": "invalid_grant"}), 400, {"error": "invalid_grant"}),
        (answering(401, {"error": "invalid_client"}), 401, {"error": "invalid_client"}),
        (answering(400, b"<html>"), 400, "<html>"),
        (answering(401, b""), 401, ""),
        (answering(403, {"a": 1}), 403, {"error": "Unknown error", "details": {"a": 1}}),
        (answering(409, {}), 409, {"error": "Unknown error", "details": {}}),
        (answering(429, b"slow"), 429, {"error": "Unknown error", "details": "slow"}),
        (answering(500, b"oops"), 500, {"error": "Unknown error", "details": "oops"}),
        (answering(503, b""), 503, {"error": "Unknown error", "details": ""}),
        (
            answering(307, b"", headers={"Location": "https://evil.example"}),
            307,
            {"error": "Unknown error", "details": ""},
        ),
        (
            raising(httpx.ConnectError("x")),
            500,
            {"error": "Unknown error", "details": "connect ECONNREFUSED"},
        ),
        (
            raising(httpx.ReadError("x")),
            500,
            {"error": "Unknown error", "details": "socket hang up"},
        ),
        (
            raising(TimeoutError()),
            500,
            {"error": "Unknown error", "details": "timeout of 10000ms exceeded"},
        ),
        (
            answering(500, b" " * 70_000),
            500,
            {"error": "Unknown error", "details": "socket hang up"},
        ),
    ],
)
async def test_answer_of_the_token_endpoint(
    store: MemoryStore, transport: httpx.AsyncBaseTransport, status: int, body: Any
) -> None:
    """400 and 401 pass unchanged, and other errors are wrapped. Without an answer: 500."""
    async with service(transport, store) as client:
        state = query_of(await authorization_url(client))["state"]
        answer = await client.get("/request-oauth-token", params={"state": state, "code": "c"})
    assert (answer.status_code, answer.json()) == (status, body)
    assert "location" not in answer.headers


@pytest.mark.parametrize("body", [{}, [], b"<html>", {**TOKENS, "access_token": ""}])
async def test_200_without_tokens_is_502(store: MemoryStore, body: Any) -> None:
    """A deliberate difference: the Node service would pass the body to the app as tokens."""
    async with service(answering(200, body), store) as client:
        state = query_of(await authorization_url(client))["state"]
        answer = await client.get("/request-oauth-token", params={"state": state, "code": "c"})
    assert (answer.status_code, answer.json()["error"]) == (502, "airtable_error")


async def test_missing_code_is_left_to_airtable(simulator: Simulator, store: MemoryStore) -> None:
    """The Node service's `qs.stringify` leaves out undefined values."""
    async with service(httpx.ASGITransport(simulator.app), store) as client:
        state = query_of(await authorization_url(client))["state"]
        answer = await client.get("/request-oauth-token", params={"state": state})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "code" not in simulator.token_requests()[0].form


async def test_logins_of_one_kind_are_unknown_to_the_other(
    simulator: Simulator, store: MemoryStore
) -> None:
    """A state that is not bound to a browser must not work at the bound route, nor the reverse."""
    async with service(httpx.ASGITransport(simulator.app), store) as client:
        unbound = await consent(simulator, await authorization_url(client))
        answer = await client.post("/token-exchange", json=unbound, headers=CSRF)
        assert answer.json()["error"] == "login_not_found"
        bound = await consent(simulator, await begin(client))
        answer = await client.get("/request-oauth-token", params=bound)
        assert answer.json() == NOT_FROM_AIRTABLE
        answer = await client.post("/token-exchange", json=bound, headers=CSRF)
        assert answer.status_code == 200


async def test_node_compat_is_off_by_default(browser: httpx.AsyncClient) -> None:
    for path in ("/get-authorization-url", "/request-oauth-token"):
        assert (await browser.get(path)).status_code == 404


async def test_head_begins_no_login(store: MemoryStore) -> None:
    """Express would run the GET handler, and link previews would fill the store."""
    async with service(raising(AssertionError()), store) as client:
        assert (await client.head("/get-authorization-url")).status_code == 405
    assert [key async for key in store.scan("airtable:unbound")] == []


@pytest.mark.parametrize(
    ("status", "content", "cause"),
    [
        (500, b"oops", "HTTP 500"),
        (401, {"error": "invalid_client"}, "HTTP 401 invalid_client"),
        (200, {}, "HTTP 200 without tokens"),
        (400, {"error": "invalid_grant"}, None),
    ],
)
async def test_answer_that_is_passed_on_is_an_incident_if_airtable_fails(
    store: MemoryStore, status: int, content: Any, cause: str | None
) -> None:
    """The client gets Airtable's answer, and the log says that an operator must act."""
    with log_lines() as lines:
        async with service(answering(status, content), store) as client:
            state = query_of(await authorization_url(client))["state"]
            await client.get("/request-oauth-token", params={"state": state, "code": "c"})
    assert [line["cause"] for line in lines.incidents()] == ([] if cause is None else [cause])
