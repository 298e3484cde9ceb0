"""The pytest plugin for tests of an app."""

import threading
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from airtable_oauth import AirtableOAuth
from airtable_oauth.simulator import Fault
from airtable_oauth.testing import AirtableSimulator
from tests.helpers import CSRF


async def test_connected_client_is_connected(
    connected_client: httpx.AsyncClient, airtable_simulator: AirtableSimulator
) -> None:
    """It still is after an hour and a refresh."""
    answer = await connected_client.get("/v0/meta/bases")
    assert answer.json()["bases"][0]["name"] == "Product launch"
    airtable_simulator.clock.advance(3600)
    assert (await connected_client.get("/v0/meta/whoami")).status_code == 200
    assert len(airtable_simulator.token_requests()) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_simulator_is_new_for_each_test(airtable_simulator: AirtableSimulator, number: int) -> None:
    """The changes of one test do not affect the next."""
    assert list(airtable_simulator.requests) == []
    assert httpx.get(f"{airtable_simulator.url}/v0/meta/whoami").status_code == 401
    assert len(airtable_simulator.requests) == 1
    airtable_simulator.faults.add(Fault(path="/v0", status=500, times=9))
    assert airtable_simulator.environment["AIRTABLE_OAUTH_AIRTABLE_URL"] == airtable_simulator.url


def test_app_may_be_imported_once(
    airtable_simulator: AirtableSimulator, request: pytest.FixtureRequest
) -> None:
    """The simulator's variables, which an app may read at its import, stay the same."""
    server = request.getfixturevalue("_airtable_server")
    assert AirtableSimulator(server).environment == airtable_simulator.environment


def test_settings_of_a_test_ignore_the_environment(
    airtable_simulator: AirtableSimulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A developer may have set up the service on the same machine."""
    monkeypatch.setenv("AIRTABLE_OAUTH_STORE_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("AIRTABLE_OAUTH_EXPOSE_TOKENS", "nonsense")
    (tmp_path / ".env").write_text("AIRTABLE_OAUTH_NAME=other\n")
    monkeypatch.chdir(tmp_path)
    settings = airtable_simulator.settings(login_ttl=60)
    assert settings.store_url.get_secret_value() == "memory://"
    assert (settings.name, settings.login_ttl) == ("airtable", 60)


async def test_login_over_sockets(airtable_simulator: AirtableSimulator) -> None:
    """Another user logs in. `grant` needs neither a browser nor a free event loop."""
    airtable = AirtableOAuth(airtable_simulator.settings(), owner=lambda: "ann")
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router)
    async with (
        airtable.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
        ) as browser,
    ):
        url = (await browser.get("/authorization-url")).json()["authorizationUrl"]
        denied = airtable_simulator.grant(url, deny=True)
        assert denied["error"] == "access_denied"
        url = (await browser.get("/authorization-url")).json()["authorizationUrl"]
        callback = airtable_simulator.grant(url, user=1)
        answer = await browser.post("/session", json=callback, headers=CSRF)
        assert answer.json()["user"]["email"] == airtable_simulator.users[1].email


async def test_integration_opens_again_after_it_was_closed(
    airtable_simulator: AirtableSimulator,
) -> None:
    """An app's tests may start and stop it repeatedly."""
    airtable = AirtableOAuth(airtable_simulator.settings())
    for _ in range(2):
        async with airtable.lifespan():
            connection = await airtable.adopt("ann", airtable_simulator.tokens(user=2))
            async with airtable.client(connection.id) as client:
                answer = await client.get("/v0/meta/whoami")
            assert answer.json()["email"] == airtable_simulator.users[2].email


def test_server_starts_when_its_url_is_first_read(request: pytest.FixtureRequest) -> None:
    """Most tests connect the app to the simulator without a socket."""
    server = type(request.getfixturevalue("_airtable_server"))()
    before = server_threads()
    simulator = AirtableSimulator(server)
    assert simulator.tokens().access_token
    assert server_threads() == before
    assert simulator.url
    assert server_threads() == before + 1
    server.stop()


def server_threads() -> int:
    return sum(thread.name == "airtable-simulator" for thread in threading.enumerate())
