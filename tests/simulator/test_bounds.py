"""The simulator may run for weeks, so everything it stores is bounded."""

import httpx
import pytest

from airtable_oauth.simulator import Clock, Integration, Simulator
from airtable_oauth.simulator.bounded import Bounded
from airtable_oauth.simulator.model import MOST_TOKENS
from tests.helpers import REDIRECT_URI, SCOPES, make_simulator
from tests.simulator.test_oauth import AUTHORIZATION, client_of, connect, refresh_form, send, whoami


def test_full_dict_forgets_what_is_spent_before_what_is_old() -> None:
    """It drops spent entries, then the oldest, until a tenth of the space is free."""
    entries: Bounded[int] = Bounded(10, lambda entry: entry == 5)
    for number in range(10):
        entries[str(number)] = number
    entries["new"] = 10
    assert list(entries.values()) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    entries["newer"] = 11
    assert list(entries.values()) == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    entries["newer"] = 12
    assert len(entries) == 10


async def test_tokens_are_bounded_and_the_idle_connection_still_works() -> None:
    """Spent tokens are dropped first, however often other connections refresh."""
    now = [1_000_000.0]
    integration = Integration("test-client", (REDIRECT_URI,), SCOPES, "test-secret")
    simulator = Simulator([integration], clock=Clock(lambda: now[0]))
    vault = simulator.vault
    async with client_of(simulator) as person:
        idle = await connect(person)
        busy = vault.issue_tokens(
            simulator.authorization_server.new_grant("test-client", SCOPES), SCOPES
        )
        for _ in range(MOST_TOKENS + 10):
            now[0] += 0.1
            busy = vault.rotate(vault.refresh_tokens[str(busy["refresh_token"])], None)
        assert len(vault.refresh_tokens) <= MOST_TOKENS
        assert len(vault.access_tokens) <= MOST_TOKENS
        renewed = await send(person, refresh_form(idle))
        assert renewed.status_code == 200
        assert await whoami(person, renewed.json()["access_token"]) == 200


async def test_consent_pages_that_are_left_open_are_bounded() -> None:
    """Each open page is one entry."""
    simulator = make_simulator()
    server = simulator.authorization_server
    async with client_of(simulator) as person:
        assert (await person.get("/oauth2/v1/authorize", params=AUTHORIZATION)).status_code == 200
    (waiting,) = server.consents.values()
    for number in range(20_000):
        server.consents[str(number)] = waiting
    assert len(server.consents) <= 10_000


async def test_listings_that_are_not_read_to_the_end_are_bounded() -> None:
    """An offset that was dropped is answered with Airtable's 422."""
    simulator = make_simulator()
    async with client_of(simulator) as person:
        tokens = await connect(person)
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        base = simulator.bases[2]
        path = f"/v0/{base.id}/{next(t for t in base.tables if t.name == 'Orders').id}"
        first = (await person.get(path, headers=headers)).json()["offset"]
        for _ in range(1000):
            simulator.clock.advance(1)
            tables = await person.get(path, params={"pageSize": "1"}, headers=headers)
            assert tables.status_code == 200
        simulator.clock.advance(1)
        answer = await person.get(path, params={"offset": first}, headers=headers)
    assert answer.json()["error"]["type"] == "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"


@pytest.mark.parametrize("header", ["Basic dGVzdDpé", "Basic é", "Basic ====", "Basic"])
async def test_authorization_that_is_not_base64_is_refused(header: str) -> None:
    """The error is `invalid_client`, whatever bytes the header has."""
    async with client_of(make_simulator()) as person:
        answer = await person.post(
            "/oauth2/v1/token",
            data={"grant_type": "refresh_token", "refresh_token": "r"},
            headers=httpx.Headers({"Authorization": header}, encoding="latin-1"),
        )
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
