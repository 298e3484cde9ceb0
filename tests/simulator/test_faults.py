"""Faults that a test can plan, without sockets."""

import gzip
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from airtable_oauth.simulator import Fault, Simulator
from airtable_oauth.simulator.faults import JUNK
from tests.helpers import AIRTABLE, CONTROL, make_simulator, query_of
from tests.simulator.test_oauth import (
    AUTHORIZATION,
    assert_refused,
    connect,
    exchange_form,
    new_code,
    refresh_form,
    send,
    whoami,
)


@pytest.fixture
async def person(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as client:
        yield client


async def test_fault_fires_as_often_as_planned(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """It applies only to requests under its path."""
    fault = simulator.faults.add(Fault(status=503, body="busy", times=2))
    assert (await person.get("/v0/meta/whoami")).status_code == 401
    for _ in range(2):
        answer = await send(person, exchange_form("c"))
        assert (answer.status_code, answer.text) == (503, "busy")
    assert fault.fired == 2
    assert_refused(await send(person, exchange_form("c")), 400, "invalid_grant")


async def test_fault_without_commit_spends_nothing(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The code is still valid. The request is recorded nevertheless."""
    code = await new_code(person)
    simulator.faults.add(Fault(status=500))
    assert (await send(person, exchange_form(code))).status_code == 500
    assert simulator.token_requests()[-1].form["code"] == code
    assert (await send(person, exchange_form(code))).status_code == 200


async def test_fault_after_the_commit_spends_the_token(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Airtable has issued a new pair that no client received."""
    tokens = await connect(person)
    simulator.faults.add(Fault(status=502, commit=True))
    assert (await send(person, refresh_form(tokens))).status_code == 502
    assert await whoami(person, tokens["access_token"]) == 401
    assert (await send(person, refresh_form(tokens))).status_code == 409


async def test_page_may_read_a_planned_answer_of_the_web_api(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """As it may read any answer of it. The token endpoint has no CORS."""
    for path, allowed in (("/v0/meta/whoami", "*"), ("/oauth2/v1/token", None)):
        simulator.faults.add(Fault(path, status=429))
        answer = await person.get(path, headers={"Origin": "https://app.example.com"})
        assert answer.status_code == 429
        assert answer.headers.get("access-control-allow-origin") == allowed


async def test_dropped_connection(person: httpx.AsyncClient, simulator: Simulator) -> None:
    """The client gets no answer."""
    simulator.faults.add(Fault(drop=True))
    with pytest.raises(httpx.ReadError):
        await send(person, exchange_form("c"))


@pytest.mark.parametrize("name", JUNK)
async def test_junk(person: httpx.AsyncClient, simulator: Simulator, name: str) -> None:
    """The status is 200, so only the body shows the fault."""
    simulator.faults.add(Fault(junk=name))
    answer = await send(person, exchange_form("c"))
    assert (answer.status_code, answer.content) == (200, JUNK[name])


async def test_gzip_bomb(person: httpx.AsyncClient, simulator: Simulator) -> None:
    """The answer is small on the wire."""
    simulator.faults.add(Fault(junk="megabytes", gzip=True))
    async with person.stream("POST", "/oauth2/v1/token") as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert len(raw) < 10_000
    assert len(gzip.decompress(raw)) == 5_000_000


async def test_redirect(person: httpx.AsyncClient, simulator: Simulator) -> None:
    """A fault may set headers."""
    simulator.faults.add(Fault(status=307, headers=[("Location", "https://evil.example")]))
    answer = await send(person, exchange_form("c"))
    assert answer.headers["location"] == "https://evil.example"


async def test_latency_and_dripping(person: httpx.AsyncClient, simulator: Simulator) -> None:
    """Both take time. Latency does not change the answer."""
    simulator.faults.add(Fault(delay=0.05))
    simulator.faults.add(Fault(body="x" * 10, drip=0.005))
    started = time.monotonic()
    assert_refused(await send(person, exchange_form("c")), 400, "invalid_grant")
    assert (await send(person, exchange_form("c"))).text == "x" * 10
    assert time.monotonic() - started >= 0.1


async def test_revoked_grant(person: httpx.AsyncClient, simulator: Simulator) -> None:
    """Both tokens become invalid at once."""
    tokens = await connect(person)
    await person.post(f"{CONTROL}/revocation")
    assert await whoami(person, tokens["access_token"]) == 401
    assert_refused(await send(person, refresh_form(tokens)), 400, "invalid_grant")
    assert await whoami(person, (await connect(person))["access_token"]) == 200


async def test_refreshing_too_often_ends_the_grant(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The limit is ten refreshes a second with one token."""
    old = await connect(person)
    new = (await send(person, refresh_form(old))).json()
    for _ in range(9):
        assert (await send(person, refresh_form(old))).status_code == 409
    assert await whoami(person, new["access_token"]) == 200
    assert_refused(await send(person, refresh_form(old)), 400, "invalid_grant")
    assert await whoami(person, new["access_token"]) == 401
    assert_refused(await send(person, refresh_form(new)), 400, "invalid_grant")


async def test_enterprise_that_forbids_the_integration(person: httpx.AsyncClient) -> None:
    """Airtable redirects with `access_denied` until the refusal is removed."""
    await person.post(f"{CONTROL}/refusal", json={})
    answer = await person.get("/oauth2/v1/authorize", params=AUTHORIZATION)
    assert answer.status_code == 200, "an empty refusal refuses nothing"
    refusal = {"error": "access_denied", "error_description": "Forbidden by your enterprise."}
    await person.post(f"{CONTROL}/refusal", json=refusal)
    answer = await person.get("/oauth2/v1/authorize", params=AUTHORIZATION)
    assert query_of(answer.headers["location"]) == refusal | {"state": AUTHORIZATION["state"]}
    await person.delete(f"{CONTROL}/refusal")
    answer = await person.get("/oauth2/v1/authorize", params=AUTHORIZATION)
    assert answer.status_code == 200


async def test_base_takes_five_requests_a_second(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Past that, the base answers 429 for thirty seconds. Other bases do not."""
    tokens = await connect(person)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    first, second, _ = (base.id for base in simulator.bases)

    async def tables(base: str) -> httpx.Response:
        return await person.get(f"/v0/meta/bases/{base}/tables", headers=headers)

    assert [(await tables(first)).status_code for _ in range(6)] == [200] * 5 + [429]
    assert (await tables(first)).json()["error"]["type"] == "RATE_LIMIT_REACHED"
    assert (await tables(second)).status_code == 200
    simulator.clock.advance(31)
    assert (await tables(first)).status_code == 200


async def test_user_may_have_a_limit_too() -> None:
    """The limit applies over all bases."""
    simulator = make_simulator(user_limit=3)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as person:
        tokens = await connect(person)
        statuses = [await whoami(person, tokens["access_token"]) for _ in range(4)]
    assert statuses == [200, 200, 200, 429]


@pytest.mark.parametrize("body", [{"nonsense": 1}, {"times": 1, "unknown": 2}])
async def test_control_api_plans_faults(
    person: httpx.AsyncClient, simulator: Simulator, body: dict[str, Any]
) -> None:
    """The API rejects unknown fields, counts how often a fault fired, and removes faults."""
    assert (await person.post(f"{CONTROL}/faults", json=body)).status_code == 422
    await person.post(f"{CONTROL}/faults", json={"status": 500})
    await send(person, exchange_form("c"))
    planned = (await person.get(f"{CONTROL}/faults")).json()
    assert [(fault["status"], fault["fired"]) for fault in planned] == [(500, 1)]
    await person.delete(f"{CONTROL}/faults")
    assert simulator.faults.planned == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("clock", {}),
        ("clock", {"advance": "x"}),
        ("clock", []),
        ("refusal", {"nonsense": 1}),
        ("lifetimes", {"nonsense": 1}),
        ("lifetimes", [1]),
    ],
)
async def test_control_api_says_what_it_does_not_understand(
    person: httpx.AsyncClient, path: str, body: Any
) -> None:
    """The status is 422, and the simulator still works."""
    answer = await person.post(f"{CONTROL}/{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


async def test_lifetimes_and_access_of_one_grant(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Tests whose service runs in real time need short lifetimes."""
    await person.post(f"{CONTROL}/lifetimes", json={"access_token": 5, "grace": 1})
    code = await new_code(person)
    tokens = (await send(person, exchange_form(code))).json()
    other = await connect(person)
    assert tokens["expires_in"] == 5
    await person.delete(f"{CONTROL}/grants/{code}/access")
    assert await whoami(person, tokens["access_token"]) == 401
    assert await whoami(person, other["access_token"]) == 200
    renewed = (await send(person, refresh_form(tokens))).json()
    grant = (await person.get(f"{CONTROL}/grants/{code}")).json()
    assert grant == {"refresh_tokens": [tokens["refresh_token"], renewed["refresh_token"]]}
    simulator.clock.advance(1)
    assert_refused(await send(person, refresh_form(tokens)), 400, "invalid_grant")


async def test_fault_may_hit_one_token_only(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A fault may also delay the answer after the commit."""
    first, second = await connect(person), await connect(person)
    fault = Fault(only=first["refresh_token"], commit=True, hold=0.05, status=500)
    simulator.faults.add(fault)
    assert (await send(person, refresh_form(second))).status_code == 200
    started = time.monotonic()
    assert (await send(person, refresh_form(first))).status_code == 500
    assert time.monotonic() - started >= 0.05
    assert (await send(person, refresh_form(first))).status_code == 409
    assert fault.fired == 1
