"""The store carries out an operation of a login, but its reply is lost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest

from airtable_oauth.errors import Action, LoginNotFound, StoreUnavailable
from airtable_oauth.oauth import pkce
from airtable_oauth.oauth.login import Logins, StoredTokens
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.oauth.protocol import Callback, OAuthClient, TokenSet
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.oauth.unbound_login import UnboundLogins
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores import Store
from airtable_oauth.stores.redis import RedisStore
from airtable_oauth.stores.sql import SqlStore
from tests.helpers import AIRTABLE, REDIRECT_URI, SCOPES, consent, query_of
from tests.proxy import Proxy, proxy


@dataclass
class ProxiedStore:
    """A real store behind a proxy."""

    store: Store
    link: Proxy


@pytest.fixture(params=["redis", "postgresql"])
async def proxied(request: pytest.FixtureRequest) -> AsyncIterator[ProxiedStore]:
    kind = request.param
    url = urlsplit(request.getfixturevalue("redis_url" if kind == "redis" else "postgres_url"))
    assert url.port is not None
    with proxy(url.port) as link:
        there = url._replace(netloc=url.netloc.replace(str(url.port), str(link.port))).geturl()
        store: Store = RedisStore(there) if kind == "redis" else SqlStore(there)
        await store.now()
        yield ProxiedStore(store, link)
        await store.close()


@pytest.fixture
def logins(proxied: ProxiedStore, simulator: Simulator) -> Logins:
    return Logins(store=proxied.store, token_endpoint=airtable(simulator), name="airtable", ttl=600)


def airtable(simulator: Simulator) -> TokenEndpoint:
    return TokenEndpoint(
        client=OAuthClient("test-client", "test-secret", REDIRECT_URI, SCOPES),
        url=AIRTABLE,
        transport=httpx.ASGITransport(simulator.app),
        deadline=5,
    )


async def granted(simulator: Simulator, url: str) -> Callback:
    parameters = await consent(simulator, url)
    return Callback(state=parameters["state"], code=parameters["code"])


async def keep(_tokens: TokenSet, _purpose: LoginContext) -> StoredTokens:
    return StoredTokens("con_1", nothing)


async def nothing() -> None:
    """Stands for hooks that do nothing."""


async def test_lost_reply_to_the_claim_spends_the_code_once(
    logins: Logins, proxied: ProxiedStore, simulator: Simulator
) -> None:
    """The caller reads the login again, finds its own claim, and continues."""
    login = await logins.begin("/bases")
    callback = await granted(simulator, login.authorization_url)
    proxied.link.lost_reply = b'"claim"'
    async with asyncio.timeout(5):
        kept = await logins.complete(callback, login.browser_secret, keep)
    assert proxied.link.lost == 1
    assert (kept.connection_id, kept.return_to) == ("con_1", "/bases")
    assert len(simulator.token_requests()) == 1


async def test_claim_during_an_outage_is_completed_afterwards(
    logins: Logins, proxied: ProxiedStore, simulator: Simulator
) -> None:
    """The error says to retry, and a retry completes the login."""
    login = await logins.begin()
    callback = await granted(simulator, login.authorization_url)
    proxied.link.lost_reply = b'"claim"'
    proxied.link.refuses_afterwards = True
    with pytest.raises(StoreUnavailable) as caught:
        await logins.complete(callback, login.browser_secret, keep)
    assert caught.value.action is Action.RETRY
    assert simulator.token_requests() == []
    proxied.link.mend()
    async with asyncio.timeout(10):
        kept = await logins.complete(callback, login.browser_secret, keep)
    assert kept.connection_id == "con_1"
    assert len(simulator.token_requests()) == 1


async def test_lost_reply_to_taking_a_login_says_to_begin_again(
    logins: Logins, proxied: ProxiedStore, simulator: Simulator
) -> None:
    """The verifier was in the lost reply. The code is not spent."""
    login = await logins.begin("/bases")
    callback = await granted(simulator, login.authorization_url)
    proxied.link.lost_reply = b'"code_verifier"'  # part of the removed entry
    with pytest.raises(StoreUnavailable) as caught:
        await logins.finish(callback, login.browser_secret)
    assert proxied.link.lost == 1
    assert (caught.value.action, caught.value.return_to) == (Action.RESTART_LOGIN, "/bases")
    with pytest.raises(LoginNotFound):
        await logins.finish(callback, login.browser_secret)
    assert simulator.token_requests() == []


async def test_lost_reply_to_taking_an_unbound_login_says_to_begin_again(
    proxied: ProxiedStore, simulator: Simulator
) -> None:
    """The same holds for a login that is not bound to a browser."""
    unbound = UnboundLogins(
        store=proxied.store,
        token_endpoint=airtable(simulator),
        name="airtable",
        ttl=600,
        random=bytes,
    )
    state = query_of(await unbound.begin())["state"]
    proxied.link.lost_reply = pkce.code_verifier(bytes).encode()  # part of the removed entry
    with pytest.raises(StoreUnavailable) as caught:
        await unbound.take(state)
    assert caught.value.action is Action.RESTART_LOGIN
    assert await unbound.take(state) is None
