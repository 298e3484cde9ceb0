import asyncio

import httpx
import pytest

from airtable_oauth.airtable import Airtable
from airtable_oauth.errors import (
    Action,
    AirtableOAuthError,
    AuthorizationError,
    LoginNotFound,
    TooManyLogins,
    UpstreamError,
)
from airtable_oauth.login import BegunLogin, Kept, Logins, Purpose
from airtable_oauth.protocol import Callback, Client, TokenSet
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import AIRTABLE, REDIRECT_URI, SCOPES, FakeClock, consent, query_of


@pytest.fixture
def logins(simulator: Simulator, store: MemoryStore) -> Logins:
    return make_logins(store, httpx.ASGITransport(simulator.app))


def make_logins(store: MemoryStore, transport: httpx.AsyncBaseTransport) -> Logins:
    airtable = Airtable(
        client=Client("test-client", "test-secret", REDIRECT_URI, SCOPES),
        url=AIRTABLE,
        transport=transport,
        deadline=5,
    )
    return Logins(store=store, airtable=airtable, name="airtable", ttl=600)


async def granted(simulator: Simulator, login: BegunLogin) -> Callback:
    parameters = await consent(simulator, login.authorization_url)
    return Callback(state=parameters["state"], code=parameters["code"])


def state_of(login: BegunLogin) -> str:
    return query_of(login.authorization_url)["state"]


async def test_login_ends_with_tokens(logins: Logins, simulator: Simulator) -> None:
    """And with the place that the user came from."""
    login = await logins.begin("/bases")
    finished = await logins.finish(await granted(simulator, login), login.browser_secret)
    assert finished.tokens.scope == " ".join(SCOPES)
    assert finished.return_to == "/bases"


async def test_browser_without_the_secret_finds_nothing_and_burns_nothing(
    logins: Logins, simulator: Simulator
) -> None:
    """The state alone is no proof; it passes through URLs (CVE-2025-68158)."""
    login = await logins.begin()
    other = await logins.begin()
    callback = await granted(simulator, login)
    for secret in (None, "", "guess", other.browser_secret):
        with pytest.raises(LoginNotFound):
            await logins.finish(callback, secret)
    assert simulator.token_requests() == []
    assert (await logins.finish(callback, login.browser_secret)).tokens.access_token


async def test_of_fifty_parallel_finishes_one_reaches_airtable(
    logins: Logins, simulator: Simulator
) -> None:
    """The code is spent once; the others learn that the login is over."""
    login = await logins.begin()
    callback = await granted(simulator, login)
    ends = await asyncio.gather(
        *(logins.finish(callback, login.browser_secret) for _ in range(50)),
        return_exceptions=True,
    )
    assert len(simulator.token_requests()) == 1
    assert sum(isinstance(end, LoginNotFound) for end in ends) == 49


async def test_login_ends_with_its_time(
    logins: Logins, simulator: Simulator, clock: FakeClock
) -> None:
    """Airtable's code may still be good; the login is not."""
    login = await logins.begin()
    callback = await granted(simulator, login)
    clock.advance(600)
    with pytest.raises(LoginNotFound):
        await logins.finish(callback, login.browser_secret)
    assert simulator.token_requests() == []


@pytest.mark.parametrize(
    ("callback", "error"),
    [
        ({"error": "access_denied"}, "access_denied"),
        ({"error": "CANARY"}, "invalid_request"),
        ({"code": "x", "error": "access_denied"}, "invalid_request"),
        ({}, "invalid_request"),
    ],
)
async def test_every_redirect_spends_the_state(
    logins: Logins,
    simulator: Simulator,
    callback: dict[str, str],
    error: str,
) -> None:
    """A redirect without a code never reaches Airtable, and starts again."""
    login = await logins.begin("/here")
    with pytest.raises(AuthorizationError) as caught:
        await logins.finish(Callback(state_of(login), **callback), login.browser_secret)
    assert caught.value.error == error
    assert caught.value.action is Action.RESTART_LOGIN
    assert caught.value.return_to == "/here"
    with pytest.raises(LoginNotFound):
        await logins.finish(await granted(simulator, login), login.browser_secret)
    assert simulator.token_requests() == []


async def test_failed_exchange_spends_the_state(store: MemoryStore) -> None:
    """The code may be spent as well, so the only way on is a new login."""
    logins = make_logins(store, httpx.MockTransport(lambda _: httpx.Response(502)))
    login = await logins.begin("/here")
    callback = Callback(state_of(login), code="c")
    with pytest.raises(UpstreamError) as caught:
        await logins.finish(callback, login.browser_secret)
    assert (caught.value.action, caught.value.return_to) == (Action.RESTART_LOGIN, "/here")
    with pytest.raises(LoginNotFound):
        await logins.finish(callback, login.browser_secret)


async def test_store_holds_neither_state_nor_browser_secret(
    logins: Logins, store: MemoryStore
) -> None:
    """Keys are hashes: whoever reads the store cannot finish a login."""
    login = await logins.begin()
    keys = [key async for key in store.scan("airtable:login")]
    assert len(keys) == 1
    entry = await store.get(keys[0])
    assert entry is not None
    for secret in (state_of(login), login.browser_secret):
        assert secret not in keys[0]
        assert secret.encode() not in entry.value


async def test_verifier_stays_with_us(logins: Logins, simulator: Simulator) -> None:
    """It is first seen by Airtable, in the token request."""
    login = await logins.begin()
    await logins.finish(await granted(simulator, login), login.browser_secret)
    verifier = simulator.token_requests()[0].form["code_verifier"]
    assert len(verifier) == 128
    assert verifier not in login.authorization_url


async def test_flood_does_not_break_a_login_begun_before(
    logins: Logins, simulator: Simulator
) -> None:
    """The store is full, new logins are refused, the earlier one finishes."""
    login = await logins.begin()
    for _ in range(99):
        await logins.begin()
    with pytest.raises(TooManyLogins):
        await logins.begin()
    assert (await logins.finish(await granted(simulator, login), login.browser_secret)).tokens


async def test_crash_while_keeping_ends_the_login(logins: Logins, simulator: Simulator) -> None:
    """A repeat hears of it at once, instead of waiting for somebody who is gone."""
    login = await logins.begin("/bases")
    callback = await granted(simulator, login)

    async def crash(_tokens: TokenSet, _purpose: Purpose) -> Kept:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await logins.keep(callback, login.browser_secret, crash)
    with pytest.raises(AirtableOAuthError) as ended:
        await logins.keep(callback, login.browser_secret, crash)
    assert ended.value.status_code == 500
    assert ended.value.action is Action.RESTART_LOGIN
    assert ended.value.return_to == "/bases"
