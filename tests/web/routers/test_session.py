import asyncio
from datetime import datetime
from typing import Any

import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.simulator import Fault, Simulator, some_users
from airtable_oauth.stores import Store
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import (
    CSRF,
    ORIGIN,
    SCOPES,
    FakeClock,
    begin,
    consent,
    make_settings,
    make_simulator,
    query_of,
)
from tests.stores.backends import KEYS
from tests.world import FaultyStore

COOKIE = "airtable_session"


async def log_in(browser: httpx.AsyncClient, simulator: Simulator) -> httpx.Response:
    return await finish(browser, await consent(simulator, await begin(browser)))


async def finish(browser: httpx.AsyncClient, parameters: dict[str, str]) -> httpx.Response:
    return await browser.post("/session", json=parameters, headers=CSRF)


async def two_logins(
    browser: httpx.AsyncClient, simulator: Simulator
) -> tuple[dict[str, str], dict[str, str]]:
    """The callbacks of two logins that began before the browser had a session, as in two tabs."""
    urls = [await begin(browser, return_to="/first"), await begin(browser)]
    return await consent(simulator, urls[0]), await consent(simulator, urls[1])


async def log_out(browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.delete("/session", headers=CSRF)


def error_of(response: httpx.Response) -> tuple[int, str, str]:
    body = response.json()
    return response.status_code, body["error"], body["action"]


async def live_connections(store: MemoryStore) -> int:
    """How many connections hold tokens."""
    return len(await connection_ids(store))


async def connection_ids(store: MemoryStore) -> set[str]:
    """The keys of the connections that hold tokens."""
    entries = {key: await store.get(key) async for key in store.scan("airtable:connection")}
    return {key for key, entry in entries.items() if entry and b"access_token" in entry.value}


def browser_at(store: Store, simulator: Simulator, clock: FakeClock) -> httpx.AsyncClient:
    """A browser at a service with this store."""
    app = create_app(
        make_settings(),
        store=store,
        unencrypted=True,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:3000")


def another(browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """A second cookie jar at the same service."""
    return httpx.AsyncClient(
        transport=browser._transport,  # noqa: SLF001 (the same service)
        base_url="http://localhost:3000",
    )


async def test_login_begins_a_session(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """The answer is 201 with the health of the connection, and contains no token."""
    answer = await log_in(browser, simulator)
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body.pop("expires_at").endswith("Z")
    assert body.pop("reconnect_by").endswith("Z")
    assert body == {
        "status": "connected",
        "reason": None,
        "user": {"id": body["user"]["id"], "email": "mina@example.com"},
        "scopes": list(SCOPES),
        "missing_scopes": [],
    }
    again = await browser.get("/session")
    health = again.json()
    assert health.pop("session_ends_at").endswith("Z")
    assert health == answer.json()
    tokens = {*simulator.vault.access_tokens, *simulator.vault.refresh_tokens}
    assert len(tokens) == 2
    assert not [token for token in tokens if token in f"{answer.text}{answer.headers}{again.text}"]


async def test_session_cookie_of_localhost(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The cookie is `HttpOnly`, strict and lasts sixty days. Its value is 256 random bits."""
    cookie = (await log_in(browser, simulator)).headers["set-cookie"]
    value, *attributes = cookie.split("; ")
    assert set(attributes) == {"Max-Age=5184000", "Path=/", "HttpOnly", "SameSite=Strict"}
    assert value.startswith(f"{COOKIE}=")
    assert len(value.removeprefix(f"{COOKIE}=")) == 43


async def test_session_cookie_of_https(store: MemoryStore, simulator: Simulator) -> None:
    """The cookie has `__Host-` and `Secure`, and no `Domain`."""
    app = create_app(
        make_settings(public_url="https://api.example.com"),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="https://api.example.com"
    ) as browser:
        cookie = (await log_in(browser, simulator)).headers["set-cookie"]
        assert cookie.startswith(f"__Host-{COOKIE}=")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} < set(cookie.split("; "))
        assert "Domain" not in cookie
        assert (await browser.get("/session")).status_code == 200


async def test_without_a_session_every_verb_is_401(browser: httpx.AsyncClient) -> None:
    expected = (401, "not_connected", "restart_login")
    assert error_of(await browser.get("/session")) == expected
    assert error_of(await log_out(browser)) == expected


@pytest.mark.parametrize("value", ["made-up", "A" * 43, "", "con_1"])
async def test_id_that_the_server_did_not_make_is_anonymous(
    browser: httpx.AsyncClient, simulator: Simulator, value: str
) -> None:
    """The server never adopts such an id: a login sets a new one."""
    browser.cookies.set(COOKIE, value, domain="localhost.local")
    assert error_of(await browser.get("/session"))[0] == 401
    await log_in(browser, simulator)
    values = [each.value for each in browser.cookies.jar if each.name == COOKIE]
    assert [each for each in values if each != value]


async def test_every_login_gives_a_new_id(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """The old id and its connection no longer work."""
    await log_in(browser, simulator)
    old = browser.cookies[COOKIE]
    await log_in(browser, simulator)
    assert browser.cookies[COOKIE] != old
    async with another(browser) as thief:
        answer = await thief.get("/session", headers={"Cookie": f"{COOKIE}={old}"})
        assert error_of(answer)[0] == 401
    assert (await browser.get("/session")).status_code == 200


async def test_login_of_the_same_user_keeps_the_connection(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """A person who chooses other bases, or reconnects, keeps the connection under its id."""
    await log_in(browser, simulator)
    known = await connection_ids(store)
    await log_in(browser, simulator)
    assert await connection_ids(store) == known
    assert [key async for key in store.scan("airtable:owner")] == []
    simulator.vault.revoke_all()
    assert error_of(await browser.get("/airtable/v0/meta/whoami"))[1] == "reconnect_required"
    await log_in(browser, simulator)
    assert await connection_ids(store) == known
    assert (await browser.get("/session")).json()["status"] == "connected"
    assert (await browser.get("/airtable/v0/meta/whoami")).status_code == 200


async def test_reconnecting_begins_a_whole_session(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock
) -> None:
    """It lasts as long as after the first login, and not only as long as the one before."""
    await log_in(browser, simulator)
    for _ in range(5):
        clock.advance(10 * 86400)
        await browser.get("/session")
    await log_in(browser, simulator)
    clock.advance(13 * 86400)
    assert (await browser.get("/session")).status_code == 200


@pytest.mark.parametrize("simulator", [make_simulator(users=2)])
async def test_login_of_another_user_replaces_the_connection(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """The connection of the first user never gets the second user's tokens."""
    first, second = [user.id for user in some_users(2)]
    await finish(browser, await consent(simulator, await begin(browser), user=first))
    known = await connection_ids(store)
    await finish(browser, await consent(simulator, await begin(browser), user=second))
    assert (await browser.get("/session")).json()["user"]["id"] == second
    assert await connection_ids(store) & known == set()
    assert await live_connections(store) == 1


async def test_login_of_an_unknown_user_replaces_the_connection(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """If Airtable does not say who granted access, the tokens may be another user's."""
    await log_in(browser, simulator)
    known = await connection_ids(store)
    parameters = await consent(simulator, await begin(browser))
    simulator.faults.add(Fault("/v0/meta/whoami", status=503, times=10))
    assert (await finish(browser, parameters)).status_code == 201
    assert await connection_ids(store) & known == set()


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("simulator", [make_simulator(users=2)])
async def test_login_that_replaces_the_connection_asks_for_its_user_once(
    browser: httpx.AsyncClient, simulator: Simulator, status: int
) -> None:
    """If Airtable is slow, a second question would make the login take twice as long."""
    first, second = [user.id for user in some_users(2)]
    await finish(browser, await consent(simulator, await begin(browser), user=first))
    parameters = await consent(simulator, await begin(browser), user=second)
    if status == 503:
        simulator.faults.add(Fault("/v0/meta/whoami", status=status, times=1))
    before = len(simulator.requests)
    assert (await finish(browser, parameters)).status_code == 201
    asked = [each.path for each in list(simulator.requests)[before:]]
    assert asked.count("/v0/meta/whoami") == 1


async def test_connection_of_an_unknown_user_is_replaced(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """It has ended, so Airtable can no longer be asked whose it was. It may be another user's."""
    simulator.faults.add(Fault("/v0/meta/whoami", status=503, times=2))
    await log_in(browser, simulator)
    known = await connection_ids(store)
    simulator.vault.revoke_all()
    simulator.faults.clear()
    await log_in(browser, simulator)
    assert await connection_ids(store) & known == set()
    assert await live_connections(store) == 1


async def test_connection_of_an_unknown_user_is_kept_once_the_user_is_known(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """Its own token tells whose it is."""
    simulator.faults.add(Fault("/v0/meta/whoami", status=503, times=2))
    await log_in(browser, simulator)
    simulator.faults.clear()
    known = await connection_ids(store)
    await log_in(browser, simulator)
    assert await connection_ids(store) == known


async def test_store_that_fails_while_reconnecting_loses_no_tokens(
    simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> None:
    """The code is spent by then, so the connection is read again until the store answers."""
    faulty = FaultyStore(store, under="airtable:connection")
    async with browser_at(faulty, simulator, clock) as browser:
        await log_in(browser, simulator)
        known = await connection_ids(store)
        parameters = await consent(simulator, await begin(browser))
        faulty.lost = {"get"}
        assert (await finish(browser, parameters)).status_code == 201
        assert faulty.lost == set()
    assert await connection_ids(store) == known


async def test_login_after_a_disconnect_meanwhile_makes_a_new_connection(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """In another tab, say. What was disconnected stays disconnected."""
    await log_in(browser, simulator)
    known = await connection_ids(store)
    parameters = await consent(simulator, await begin(browser))
    await log_out(browser)
    assert (await finish(browser, parameters)).status_code == 201
    assert await connection_ids(store) & known == set()
    assert await live_connections(store) == 1


async def test_login_after_the_connection_was_damaged_makes_a_new_one(
    simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> None:
    """No process can read it, so nothing but a login can help the person."""
    async with browser_at(EncryptedStore(store, KEYS), simulator, clock) as browser:
        await log_in(browser, simulator)
        (key,) = [key async for key in store.scan("airtable:connection")]
        entry = await store.get(key)
        assert entry is not None
        await store.put(key, entry.value[:-1] + bytes([entry.value[-1] ^ 1]), 3600)
        assert error_of(await browser.get("/session"))[1] == "damaged_record"
        await log_in(browser, simulator)
        assert (await browser.get("/session")).json()["status"] == "connected"


async def test_state_is_not_accepted_as_a_session_nor_a_session_as_a_state(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A login artefact must not be accepted as a session (CVE-2023-48309)."""
    url = await begin(browser)
    (cookie,) = dict(browser.cookies).values()
    secrets = [query_of(url)["state"], cookie, cookie.partition(".")[2]]
    async with another(browser) as stranger:
        for value in secrets:
            answer = await stranger.get("/session", headers={"Cookie": f"{COOKIE}={value}"})
            assert answer.status_code == 401
    await finish(browser, await consent(simulator, url))
    answer = await finish(browser, {"state": browser.cookies[COOKIE], "code": "c"})
    assert error_of(answer)[1] == "login_not_found"


async def test_return_to_comes_back(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """It comes back with the session and with an error, also when the callback is repeated."""
    parameters = await consent(simulator, await begin(browser, return_to="/bases"))
    for _ in range(2):
        assert (await finish(browser, parameters)).json()["return_to"] == "/bases"
    url = await begin(browser, return_to="/there")
    denied = await consent(simulator, url, decision="deny")
    for _ in range(2):
        assert (await finish(browser, denied)).json()["return_to"] == "/there"


async def test_repeated_callback_gets_the_same_connection(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The back button and a framework's double run cause only one request to Airtable."""
    parameters = await consent(simulator, await begin(browser))
    answers = await asyncio.gather(*(finish(browser, parameters) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [201] * 5
    later = await finish(browser, parameters)
    assert later.status_code == 201
    assert len(simulator.token_requests()) == 1
    assert len({answer.headers["set-cookie"] for answer in answers}) == 5
    assert (await browser.get("/session")).status_code == 200


async def test_one_login_gives_five_sessions_at_most(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """Further repeats are refused, at once or later. The five sessions keep working."""
    parameters = await consent(simulator, await begin(browser, return_to="/bases"))
    login_cookies = dict(browser.cookies)
    answers = await asyncio.gather(*(finish(browser, parameters) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [400] * 15
    async with another(browser) as twin:
        twin.cookies.update(login_cookies)
        late = await finish(twin, parameters)
    assert error_of(late) == (400, "login_not_found", "restart_login")
    assert late.json()["return_to"] == "/bases"
    assert len([key async for key in store.scan("airtable:session")]) == 5
    assert (await browser.get("/session")).status_code == 200


async def test_repeated_callback_gets_the_same_error(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The code is spent after the first attempt, so Airtable is not asked again."""
    parameters = await consent(simulator, await begin(browser)) | {"code": "wrong"}
    answers = await asyncio.gather(*(finish(browser, parameters) for _ in range(10)))
    answers.append(await finish(browser, parameters))
    expected = (400, "invalid_grant", "restart_login")
    assert {error_of(answer) for answer in answers} == {expected}
    assert len(simulator.token_requests()) == 1


async def test_old_callback_leaves_the_current_session_alone(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """Posting the first of two callbacks again must not disconnect the second login."""
    first, second = await two_logins(browser, simulator)
    await finish(browser, first)
    await finish(browser, second)
    answer = await finish(browser, first)
    assert error_of(answer) == (400, "login_not_found", "restart_login")
    assert answer.json()["return_to"] == "/first"
    assert "set-cookie" not in answer.headers
    assert (await browser.get("/session")).json()["status"] == "connected"
    assert (await browser.get("/airtable/v0/meta/whoami")).status_code == 200


async def test_callback_of_a_revoked_connection_leaves_the_current_session_alone(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A connection that must be reconnected cannot replace one that works."""
    async with another(browser) as twin:
        first = await consent(simulator, await begin(twin))
        login_cookies = dict(twin.cookies)
        await finish(twin, first)
        simulator.vault.revoke_all()
        answer = await twin.get("/airtable/v0/meta/whoami")
        assert error_of(answer)[1] == "reconnect_required"
    await log_in(browser, simulator)
    browser.cookies.update(login_cookies)
    assert error_of(await finish(browser, first)) == (400, "login_not_found", "restart_login")
    assert (await browser.get("/session")).json()["status"] == "connected"


async def test_repeat_keeps_the_session_that_it_began(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The repeat's answer may be lost, so the session that the browser has must keep working."""
    parameters = await consent(simulator, await begin(browser))
    await finish(browser, parameters)
    known = browser.cookies[COOKIE]
    assert (await finish(browser, parameters)).status_code == 201
    async with another(browser) as same:
        same.cookies.set(COOKIE, known)
        assert (await same.get("/session")).status_code == 200


@pytest.mark.parametrize("verb", ["replace", "pop"])
async def test_store_that_fails_while_the_previous_session_ends_orphans_nothing(
    simulator: Simulator, store: MemoryStore, clock: FakeClock, verb: str
) -> None:
    """The repeat disconnects the previous connection, unless that has already happened."""
    faulty = FaultyStore(store)
    async with browser_at(faulty, simulator, clock) as browser:
        first, parameters = await two_logins(browser, simulator)
        await finish(browser, first)
        faulty.failing = {("connection" if verb == "replace" else "session", verb)}
        assert error_of(await finish(browser, parameters)) == (503, "store_unavailable", "retry")
        faulty.failing = set()
        assert (await finish(browser, parameters)).status_code == 201
        assert (await browser.get("/airtable/v0/meta/whoami")).status_code == 200
    assert await live_connections(store) == 1
    assert len(simulator.token_requests()) == 2


async def test_redirect_with_an_error_begins_nothing(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A redirect with both `code` and `error` begins no session, either."""
    denied = await consent(simulator, await begin(browser), decision="deny")
    assert error_of(await finish(browser, denied)) == (400, "access_denied", "restart_login")
    both = await consent(simulator, await begin(browser)) | {"error": "access_denied"}
    assert error_of(await finish(browser, both)) == (400, "invalid_request", "restart_login")
    assert simulator.token_requests() == []
    assert COOKIE not in browser.cookies


async def test_other_browser_cannot_finish(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """This holds both before and after the browser that began the login has finished it."""
    parameters = await consent(simulator, await begin(browser))
    async with another(browser) as other:
        for _ in range(2):
            assert error_of(await finish(other, parameters))[1] == "login_not_found"
            await begin(other)
            assert error_of(await finish(other, parameters))[1] == "login_not_found"
            assert (await finish(browser, parameters)).status_code == 201


async def test_login_that_gave_a_session_cannot_be_exchanged(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A code is spent once, in either order."""
    finished = await consent(simulator, await begin(browser))
    await finish(browser, finished)
    answer = await browser.post("/token-exchange", json=finished, headers=CSRF)
    assert error_of(answer)[1] == "login_not_found"
    exchanged = await consent(simulator, await begin(browser))
    assert (await browser.post("/token-exchange", json=exchanged, headers=CSRF)).status_code == 200
    assert error_of(await finish(browser, exchanged))[1] == "login_not_found"


async def test_caller_that_goes_away_leaves_a_session_for_the_repeat(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The exchange is completed in the background: the code is spent and the tokens are stored."""
    parameters = await consent(simulator, await begin(browser))
    simulator.faults.add(Fault(delay=0.05))
    first = asyncio.ensure_future(finish(browser, parameters))
    while not simulator.token_requests():
        await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await finish(browser, parameters)).status_code == 201
    assert len(simulator.token_requests()) == 1


async def test_log_out_erases_and_cannot_be_undone(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore
) -> None:
    """The tokens are deleted. Neither the cookie nor the callback restores them."""
    parameters = await consent(simulator, await begin(browser))
    await finish(browser, parameters)
    old = browser.cookies[COOKIE]
    answer = await log_out(browser)
    assert answer.status_code == 200
    assert answer.json() == {"disconnected": True, "provider_revoked": False}
    assert COOKIE not in browser.cookies
    async with another(browser) as thief:
        again = await thief.get("/session", headers={"Cookie": f"{COOKIE}={old}"})
        assert error_of(again)[0] == 401
    assert error_of(await finish(browser, parameters))[1] == "login_not_found"
    for key in [key async for key in store.scan("airtable")]:
        entry = await store.get(key)
        assert entry is not None
        assert b"oar" not in entry.value
        assert b"oaa" not in entry.value


async def test_log_out_ends_every_session_of_the_connection(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """This includes the sessions of a repeated callback."""
    parameters = await consent(simulator, await begin(browser))
    login_cookies = dict(browser.cookies)
    await finish(browser, parameters)
    async with another(browser) as twin:
        twin.cookies.update(login_cookies)
        assert (await finish(twin, parameters)).status_code == 201
        assert (await twin.get("/session")).status_code == 200
        await log_out(browser)
        assert error_of(await twin.get("/session"))[0] == 401


async def test_session_ends_when_it_is_not_used(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock
) -> None:
    """A session ends after fourteen days without a request."""
    await log_in(browser, simulator)
    for _ in range(3):
        clock.advance(13 * 86400)
        assert (await browser.get("/session")).status_code == 200
    clock.advance(14 * 86400)
    assert error_of(await browser.get("/session"))[0] == 401


async def test_session_tells_its_end(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock
) -> None:
    """It is fourteen days after the last use, but at most sixty days after the login."""

    async def ends_at() -> float:
        health = (await browser.get("/session")).json()  # counts as a use
        return datetime.fromisoformat(health["session_ends_at"]).timestamp()

    await log_in(browser, simulator)
    began = clock()
    for days in (0, 13, 26, 39):
        clock.now = began + days * 86400
        assert await ends_at() == pytest.approx(clock() + 14 * 86400, abs=1)
    clock.now = began + 52 * 86400
    assert await ends_at() == pytest.approx(began + 60 * 86400, abs=1)


async def test_request_reads_its_session_once(
    simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> None:
    """This holds for the routes that need more of it than the connection's id."""
    read: list[str] = []

    async def note(verb: str, arguments: tuple[Any, ...]) -> None:
        if verb == "get" and ":session:" in arguments[0]:
            read.append(arguments[0])

    async with browser_at(FaultyStore(store, afterwards=note), simulator, clock) as browser:
        await log_in(browser, simulator)
        for call in (browser.get("/session"), log_out(browser)):
            read.clear()
            assert (await call).status_code == 200
            assert len(read) == 1


async def test_session_ends_in_any_case(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock, store: MemoryStore
) -> None:
    """A session ends after sixty days, and its connection is deleted with it."""
    await log_in(browser, simulator)
    for _ in range(5):
        clock.advance(11.9 * 86400)
        assert (await browser.get("/session")).status_code == 200
    clock.advance(0.6 * 86400)
    assert error_of(await browser.get("/session"))[0] == 401
    assert [key async for key in store.scan("airtable:connection")] == []
    assert [key async for key in store.scan("airtable:session")] == []


async def test_connection_lives_as_long_as_its_sessions(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock, store: MemoryStore
) -> None:
    """If two tabs finish together, the connection without a session is deleted after two weeks."""
    callbacks = [await consent(simulator, await begin(browser)) for _ in range(2)]
    answers = await asyncio.gather(*(finish(browser, callback) for callback in callbacks))
    assert [answer.status_code for answer in answers] == [201] * 2
    assert await live_connections(store) == 2
    clock.advance(7 * 86400)
    assert (await browser.get("/session")).status_code == 200
    clock.advance(7 * 86400 + 3600)
    assert await live_connections(store) == 1
    clock.advance(7 * 86400 - 3601)
    assert (await browser.get("/airtable/v0/meta/whoami")).status_code == 200
    clock.advance(14 * 86400 + 3600)
    assert await live_connections(store) == 0


async def test_connection_of_two_sessions_goes_with_the_longest(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock, store: MemoryStore
) -> None:
    """A session that is used less does not shorten the connection's life."""
    parameters = await consent(simulator, await begin(browser))
    login_cookies = dict(browser.cookies)
    await finish(browser, parameters)
    async with another(browser) as twin:
        twin.cookies.update(login_cookies)
        await finish(twin, parameters)
        for client, days in ((browser, 10), (twin, 3), (browser, 3), (twin, 10), (browser, 0.5)):
            clock.advance(days * 86400)
            assert (await client.get("/session")).status_code == 200
        clock.advance(13 * 86400)
        assert (await browser.get("/session")).status_code == 200


async def test_connection_is_prolonged_once_an_hour(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock, store: MemoryStore
) -> None:
    """A session in use must not rewrite its connection at each request."""
    await log_in(browser, simulator)
    (key,) = [key async for key in store.scan("airtable:connection")]
    written = set()
    for _ in range(24 * 6):
        clock.advance(600)
        assert (await browser.get("/session")).status_code == 200
        entry = await store.get(key)
        assert entry is not None
        written.add(entry.value)
    assert 10 < len(written) <= 25


async def test_short_session_is_prolonged_by_use(
    store: MemoryStore, simulator: Simulator, clock: FakeClock
) -> None:
    """Its use is recorded more often than once a minute, which would be too late here."""
    app = create_app(
        make_settings(session_idle_ttl=60),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as browser:
        await log_in(browser, simulator)
        for _ in range(100):
            clock.advance(50)
            assert (await browser.get("/session")).status_code == 200
        clock.advance(60)
        assert error_of(await browser.get("/session"))[0] == 401


async def test_session_is_touched_once_a_minute(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> None:
    """A page that polls must not cause a write at each request."""
    await log_in(browser, simulator)

    async def stored() -> bytes:
        (key,) = [key async for key in store.scan("airtable:session")]
        entry = await store.get(key)
        assert entry is not None
        return entry.value

    first = await stored()
    clock.advance(59)
    await browser.get("/session")
    assert await stored() == first
    clock.advance(1)
    await browser.get("/session")
    assert await stored() != first


async def test_connection_that_ended_says_why(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock
) -> None:
    """The session remains, so that the page can show the reason."""
    await log_in(browser, simulator)
    clock.advance(3601)
    simulator.clock.advance(3601)
    simulator.vault.revoke_all()
    answer = await browser.get("/airtable/v0/meta/whoami")
    assert error_of(answer) == (401, "reconnect_required", "reconnect")
    state = (await browser.get("/session")).json()
    assert (state["status"], state["reason"]) == ("reconnect_required", "revoked")


async def test_scopes_that_were_not_granted_are_named(
    store: MemoryStore, simulator: Simulator
) -> None:
    """A page can then say what will not work."""
    app = create_app(
        make_settings(scopes=" ".join((*SCOPES, "webhook:manage"))),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as browser:
        url = httpx.URL(await begin(browser)).copy_set_param("scope", " ".join(SCOPES))
        state = (await finish(browser, await consent(simulator, str(url)))).json()
    assert state["missing_scopes"] == ["webhook:manage"]


async def test_user_may_be_unknown(browser: httpx.AsyncClient, simulator: Simulator) -> None:
    """A login succeeds if the server has no `whoami` or does not answer it."""
    simulator.faults.add(Fault("/v0/meta/whoami", status=500))
    answer = await log_in(browser, simulator)
    assert answer.status_code == 201
    assert answer.json()["user"] is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        CSRF | {"Origin": "https://evil.example"},
        CSRF | {"Sec-Fetch-Site": "cross-site"},
        CSRF | {"Sec-Fetch-Mode": "no-cors"},
    ],
)
async def test_what_another_site_could_cause_is_refused(
    browser: httpx.AsyncClient, simulator: Simulator, headers: dict[str, str]
) -> None:
    """The request has no effect."""
    parameters = await consent(simulator, await begin(browser))
    answer = await browser.post("/session", json=parameters, headers=headers)
    assert error_of(answer) == (403, "cross_site_request", "fix_config")
    assert (await finish(browser, parameters)).status_code == 201
    assert error_of(await browser.delete("/session", headers=headers))[0] == 403
    answer = await browser.get("/session", headers={"Origin": ORIGIN})
    assert answer.status_code == 200


async def test_endpoints_that_hand_out_tokens_can_be_removed(
    store: MemoryStore, simulator: Simulator
) -> None:
    """Sessions still work."""
    app = create_app(
        make_settings(expose_tokens=False),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as browser:
        for path in ("/token-exchange", "/token-refresh"):
            assert (await browser.post(path, json={}, headers=CSRF)).status_code == 404
            assert path not in (await browser.get("/openapi.json")).text
        assert (await log_in(browser, simulator)).status_code == 201


async def test_malformed_body_is_a_clear_error(browser: httpx.AsyncClient) -> None:
    """The rules are those of the token exchange."""
    for body in (b"", b"[]", b"{", b'{"state": 1}', b"\xff"):
        headers: dict[str, Any] = CSRF | {"Content-Type": "application/json"}
        answer = await browser.post("/session", content=body, headers=headers)
        assert error_of(answer)[1] == "invalid_request"
