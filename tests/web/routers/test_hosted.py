"""The router gives the same answers in a host app as in the service."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from airtable_oauth import AirtableOAuth, create_app
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, consent, make_settings

JSON = CSRF | {"Content-Type": "application/json"}


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:3000")


@pytest.fixture
def apps(simulator: Simulator, store: MemoryStore) -> list[httpx.AsyncClient]:
    """The service, and the same router in a host app."""
    parts: Any = {"store": store, "transport": httpx.ASGITransport(simulator.app)}
    host = FastAPI()
    host.include_router(AirtableOAuth(make_settings(), **parts).router)
    return [client(create_app(make_settings(), **parts)), client(host)]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/authorization-url?return_to=//evil.example", None),
        ("GET", "/session", None),
        ("DELETE", "/session", None),
        ("GET", "/airtable/v0/meta/whoami", None),
        ("GET", "/airtable/elsewhere", None),
        ("GET", "/health/live", None),
        ("GET", "/health/ready", None),
        ("POST", "/session", b""),
        ("POST", "/session", b"null"),
        ("POST", "/session", b"[]"),
        ("POST", "/session", b'"text"'),
        ("POST", "/session", b"{"),
        ("POST", "/session", b"\xff\xfe"),
        ("POST", "/session", b'{"state": NaN}'),
        ("POST", "/session", b'{"code": "c"}'),
        ("POST", "/session", b'{"state": 7, "code": ["c"]}'),
        ("POST", "/session", b'{"state": "", "code": "c"}'),
        ("POST", "/session", b'{"state": "unknown", "code": "c", "more": 1}'),
        ("POST", "/token-exchange", b'{"state": "unknown", "error": "access_denied"}'),
        ("POST", "/token-refresh", b'{"refresh_token": "made up"}'),
        ("POST", "/token-refresh", b'{"refresh_token": "made-up"}'),
        ("PUT", "/session", None),
    ],
)
async def test_answer_is_the_same_in_a_host_app(
    apps: list[httpx.AsyncClient], method: str, path: str, body: bytes | None
) -> None:
    """Status, body and content type are equal, also for malformed requests."""
    answers = []
    for app in apps:
        answer = await app.request(method, path, content=body, headers=JSON if body else CSRF)
        content = answer.json()
        content.pop("request_id", None)
        answers.append((answer.status_code, answer.headers["content-type"], content))
    if method == "PUT":  # the host's own routing gives this answer
        assert [status for status, _, _ in answers] == [405, 405]
    else:
        assert answers[0] == answers[1]


async def test_login_is_the_same_in_a_host_app(
    apps: list[httpx.AsyncClient], simulator: Simulator
) -> None:
    """Statuses, cookies and the names of the fields are equal."""
    shapes = []
    for app in apps:
        for query in ("", "?return_to=/x"):
            begun = await app.get(f"/authorization-url{query}")
            callback = await consent(simulator, begun.json()["authorizationUrl"])
            answer = await app.post("/session", json=callback, headers=CSRF)
            cookies = [each.partition("=")[0] for each in answer.headers.get_list("set-cookie")]
            names = sorted(answer.json())
            shapes.append((begun.status_code, answer.status_code, cookies, names))
    assert shapes[:2] == shapes[2:]
    assert "return_to" not in shapes[0][3]
    assert "return_to" in shapes[1][3]
