"""Malformed answers of the token endpoint, over real sockets: the client's answer, and its time."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.simulator.faults import JUNK
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, ORIGIN, REDIRECT_URI, begin, decide, free_port, make_settings
from tests.processes import peer, wait_for

pytestmark = pytest.mark.integration

DEADLINE = 0.6
ERROR = (502, "airtable_error")
TIMEOUT = (504, "airtable_timeout")
CONFIG = (500, "invalid_client")

FAULTS: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"drop": True}, ERROR),
    ({"drop": True, "commit": True}, ERROR),
    *(({"status": status}, ERROR) for status in (500, 502, 503, 504, 403, 404, 418, 429)),
    ({"status": 503, "commit": True}, ERROR),
    # Except "infinity": its tokens are valid, and an infinite lifetime counts as a short one.
    *(({"junk": name}, ERROR) for name in JUNK if name != "infinity"),
    *(({"junk": name, "status": 400}, ERROR) for name in JUNK),
    ({"junk": "megabytes", "gzip": True}, ERROR),
    ({"junk": "object", "gzip": True}, ERROR),
    ({"body": '{"error": ["invalid_grant"]}', "status": 400}, ERROR),
    ({"body": '{"error": "new_error"}', "status": 400}, ERROR),
    *(
        ({"status": status, "headers": [["Location", "/oauth2/v1/token"]]}, ERROR)
        for status in (301, 302, 307, 308)
    ),
    ({"body": '{"error": "invalid_client"}', "status": 401}, CONFIG),
    ({"delay": 5}, TIMEOUT),
    ({"delay": 5, "commit": True, "status": 200}, TIMEOUT),
    ({"body": " " * 1000, "drip": 0.05}, TIMEOUT),
]


@pytest.fixture(scope="module")
def airtable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    arguments = [
        *("simulator", "--port", str(port), "--redirect-uri", REDIRECT_URI),
        *("--client-id", "test-client", "--client-secret", "test-secret"),
    ]
    with peer(arguments, Path(tmp_path_factory.mktemp("simulator"))):
        wait_for(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def service(airtable: str, store: MemoryStore) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(make_settings(airtable_url=airtable, upstream_timeout=DEADLINE), store=store)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
        ) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/token-exchange", "/token-refresh"])
@pytest.mark.parametrize(("fault", "expected"), FAULTS)
async def test_bad_answer_is_one_clear_error(
    airtable: str, fault: dict[str, Any], expected: tuple[int, str], path: str
) -> None:
    """The answer has CORS headers and comes in time. Nothing is stored or sent twice."""
    store = MemoryStore()
    async with service(airtable, store) as browser, httpx.AsyncClient(base_url=airtable) as control:
        if path == "/token-exchange":
            async with httpx.AsyncClient() as person:
                body = await decide(person, await begin(browser))
            action = "restart_login"
        else:
            body, action = {"refresh_token": "made-up"}, "retry"
        await control.delete("/_simulator/faults")
        await control.delete("/_simulator/requests")
        assert (await control.post("/_simulator/faults", json=fault)).status_code == 200
        started = time.monotonic()
        answer = await browser.post(path, json=body, headers=CSRF | {"Origin": ORIGIN})
        took = time.monotonic() - started
        assert [each["fired"] for each in (await control.get("/_simulator/faults")).json()] == [1]
        seen = (await control.get("/_simulator/requests")).json()
        await control.delete("/_simulator/faults")
    assert (answer.status_code, answer.json()["error"]) == expected, answer.text
    assert answer.json()["action"] == ("fix_config" if expected == CONFIG else action)
    assert took < DEADLINE + 0.5
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["cache-control"] == "no-store"
    assert len([request for request in seen if request["path"] == "/oauth2/v1/token"]) == 1
    assert not [value for value in body.values() if value in answer.text]
    assert [key async for key in store.scan("airtable:login")] == []


async def test_unreachable_airtable() -> None:
    """No process listens on the port."""
    async with service(f"http://127.0.0.1:{free_port()}", MemoryStore()) as browser:
        answer = await browser.post("/token-refresh", json={"refresh_token": "r"})
    assert (answer.status_code, answer.json()["error"]) == (502, "airtable_unreachable")


async def test_drop_is_a_drop(airtable: str) -> None:
    """On a real socket there is no answer at all, which the other tests rely on."""
    async with httpx.AsyncClient(base_url=airtable) as client:
        await client.post("/_simulator/faults", json={"drop": True})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/oauth2/v1/token")
