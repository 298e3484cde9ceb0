"""One owner and one Airtable user have one connection, even if two instances share a store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI

from airtable_oauth import AirtableOAuth
from airtable_oauth.simulator import Simulator
from tests.helpers import CSRF, consent, make_settings, make_simulator

pytestmark = pytest.mark.integration

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
LOGINS = 20


@pytest.fixture
def simulator() -> Simulator:
    return make_simulator(users=2)


@pytest.fixture(params=["redis", "postgresql"])
async def instances(
    request: pytest.FixtureRequest, simulator: Simulator
) -> AsyncIterator[list[AirtableOAuth]]:
    """Two instances, each with its own connections to one real store."""
    fixture = "redis_url" if request.param == "redis" else "postgres_url"
    settings = make_settings(
        store_url=request.getfixturevalue(fixture), encryption_keys=KEY, name="owners"
    )
    made = [
        AirtableOAuth(settings, owner=lambda: "ann", transport=httpx.ASGITransport(simulator.app))
        for _ in range(2)
    ]
    async with AsyncExitStack() as stack:
        for each in made:
            await stack.enter_async_context(each.lifespan())
        yield made
        for connection in await made[0].connections("ann"):
            await made[0].disconnect(connection.id)


async def test_twenty_logins_at_the_same_moment_are_one_connection(
    instances: list[AirtableOAuth], simulator: Simulator
) -> None:
    """All succeed with the same id, and only one of them is reported as new."""
    reconnected: list[bool] = []
    browsers: list[httpx.AsyncClient] = []
    for index in range(LOGINS):
        app = FastAPI()
        app.include_router(instances[index % 2].router)
        browsers.append(
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:3000")
        )
    for each in instances:

        @each.on_connected
        async def connected(connection: object) -> None:
            reconnected.append(getattr(connection, "reconnected", True))

    callbacks = []
    for browser in browsers:
        begun = await browser.get("/authorization-url")
        callbacks.append(await consent(simulator, begun.json()["authorizationUrl"]))
    answers = await asyncio.gather(
        *(
            browser.post("/session", json=callback, headers=CSRF)
            for browser, callback in zip(browsers, callbacks, strict=True)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    (connection,) = await instances[0].connections("ann")
    assert sorted(reconnected) == [False] + [True] * (LOGINS - 1)
    async with instances[1].client(connection.id) as client:
        assert (await client.get("/v0/meta/whoami")).status_code == 200
    assert (await browsers[0].get("/session")).status_code == 200
    for browser in browsers:
        await browser.aclose()
