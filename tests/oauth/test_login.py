import asyncio
from dataclasses import replace
from functools import partial

import httpx
import pytest

from airtable_oauth.background import Slots
from airtable_oauth.errors import (
    Action,
    AirtableOAuthError,
    AuthorizationError,
    LoginNotFound,
    StoreUnavailable,
    TokenEndpointBusy,
    TooManyLogins,
    UnknownRecordFormat,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.oauth.login import BegunLogin, Logins, StoredTokens
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.oauth.protocol import Callback, OAuthClient, TokenSet
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import AIRTABLE, REDIRECT_URI, SCOPES, FakeClock, consent, query_of
from tests.world import FaultyStore


@pytest.fixture
def logins(simulator: Simulator, store: MemoryStore) -> Logins:
    return make_logins(store, httpx.ASGITransport(simulator.app))


def make_logins(
    store: MemoryStore, transport: httpx.AsyncBaseTransport, deadline: float = 5
) -> Logins:
    airtable = TokenEndpoint(
        client=OAuthClient("test-client", "test-secret", REDIRECT_URI, SCOPES),
        url=AIRTABLE,
        transport=transport,
        deadline=deadline,
    )
    return Logins(store=store, token_endpoint=airtable, name="airtable", ttl=600)


async def granted(simulator: Simulator, login: BegunLogin) -> Callback:
    parameters = await consent(simulator, login.authorization_url)
    return Callback(state=parameters["state"], code=parameters["code"])


def state_of(login: BegunLogin) -> str:
    return query_of(login.authorization_url)["state"]


async def test_login_ends_with_tokens(logins: Logins, simulator: Simulator) -> None:
    """The result also has the page to return to."""
    login = await logins.begin("/bases")
    finished = await logins.finish(await granted(simulator, login), login.browser_secret)
    assert finished.tokens.scope == " ".join(SCOPES)
    assert finished.return_to == "/bases"


@pytest.mark.parametrize("end", ["finish", "complete"])
async def test_login_that_gets_no_slot_is_unchanged(
    logins: Logins, simulator: Simulator, end: str
) -> None:
    """All slots are busy with other logins. Nothing is spent, and the caller may try again."""
    login = await logins.begin()
    callback = await granted(simulator, login)
    slots = Slots(1, patience=0.01)
    busy = replace(logins, token_endpoint=replace(logins.token_endpoint, login_slots=slots))

    async def finish() -> object:
        if end == "finish":
            return await busy.finish(callback, login.browser_secret)
        return await busy.complete(callback, login.browser_secret, keep)

    with await slots.take(), pytest.raises(TokenEndpointBusy) as caught:
        await finish()
    assert caught.value.action is Action.RETRY
    assert simulator.token_requests() == []
    assert await finish()
    assert len(simulator.token_requests()) == 1
    (await slots.take()).close()


async def test_slot_of_a_login_that_fails_is_given_back(
    logins: Logins, simulator: Simulator
) -> None:
    """Otherwise a few failures would block all logins."""
    slots = Slots(1, patience=0.01)
    busy = replace(logins, token_endpoint=replace(logins.token_endpoint, login_slots=slots))
    for _ in range(2):
        for end in (busy.finish, partial(busy.complete, sink=keep)):
            login = await logins.begin()
            callback = replace(await granted(simulator, login), code="made-up")
            with pytest.raises(AirtableOAuthError) as caught:
                await end(callback, login.browser_secret)
            assert caught.value.error == "invalid_grant"
            with pytest.raises(AirtableOAuthError):
                await end(callback, login.browser_secret)
            with pytest.raises(LoginNotFound):
                await end(callback, "made-up")


async def test_browser_without_the_secret_neither_finishes_nor_spends_a_login(
    logins: Logins, simulator: Simulator
) -> None:
    """The state alone proves nothing, because it appears in URLs (CVE-2025-68158)."""
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
    """The code is spent once. The other calls raise `LoginNotFound`."""
    login = await logins.begin()
    callback = await granted(simulator, login)
    ends = await asyncio.gather(
        *(logins.finish(callback, login.browser_secret) for _ in range(50)),
        return_exceptions=True,
    )
    assert len(simulator.token_requests()) == 1
    assert sum(isinstance(end, LoginNotFound) for end in ends) == 49


async def test_login_expires(logins: Logins, simulator: Simulator, clock: FakeClock) -> None:
    """The login expires even if Airtable's code is still valid."""
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
    """A redirect without a code sends no token request, and the user must start again."""
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
    """The code may be spent too, so the user must start again."""
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
    """Storage keys are hashes, so read access to the store is not enough to finish a login."""
    login = await logins.begin()
    keys = [key async for key in store.scan("airtable:login")]
    assert len(keys) == 1
    entry = await store.get(keys[0])
    assert entry is not None
    for secret in (state_of(login), login.browser_secret):
        assert secret not in keys[0]
        assert secret.encode() not in entry.value


async def test_verifier_stays_with_us(logins: Logins, simulator: Simulator) -> None:
    """Airtable first sees it in the token request."""
    login = await logins.begin()
    await logins.finish(await granted(simulator, login), login.browser_secret)
    verifier = simulator.token_requests()[0].form["code_verifier"]
    assert len(verifier) == 128
    assert verifier not in login.authorization_url


async def test_flood_does_not_break_a_login_begun_before(
    logins: Logins, simulator: Simulator
) -> None:
    """A full store refuses new logins, and the earlier one can still finish."""
    login = await logins.begin()
    for _ in range(99):
        await logins.begin()
    with pytest.raises(TooManyLogins):
        await logins.begin()
    assert (await logins.finish(await granted(simulator, login), login.browser_secret)).tokens


async def test_crash_while_storing_ends_the_login(logins: Logins, simulator: Simulator) -> None:
    """A retry gets the error at once, instead of waiting for a process that has given up."""
    login = await logins.begin("/bases")
    callback = await granted(simulator, login)

    async def crash(_tokens: TokenSet, _purpose: LoginContext) -> StoredTokens:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await logins.complete(callback, login.browser_secret, crash)
    with pytest.raises(AirtableOAuthError) as ended:
        await logins.complete(callback, login.browser_secret, crash)
    assert ended.value.status_code == 500
    assert ended.value.action is Action.RESTART_LOGIN
    assert ended.value.return_to == "/bases"


async def nothing() -> None:
    """Stands for hooks that do nothing."""


def key_of(login: BegunLogin) -> str:
    return storage_key("airtable", "login", state_of(login), login.browser_secret)


PENDING = b'{"v": 1, "return_to": "/bases", "code_verifier": "%s"}' % (b"v" * 43)


@pytest.mark.parametrize(
    "stored",
    [
        b'["/bases", null, "%s", null, null]' % (b"v" * 43),
        PENDING,
        PENDING[:-1] + b', "new": [1], "purpose": {"owner": null, "new": 2}}',
    ],
)
@pytest.mark.parametrize("way", ["finish", "complete"])
async def test_login_of_another_version_is_finished(
    store: MemoryStore, stored: bytes, way: str
) -> None:
    """The login was stored before records had a version, by this version, or by a newer one."""
    logins = make_logins(store, httpx.MockTransport(answer_with_tokens))
    login = await logins.begin()
    await store.put(key_of(login), stored, 600)
    callback = Callback(state_of(login), code="c")
    if way == "finish":
        assert (await logins.finish(callback, login.browser_secret)).return_to == "/bases"
    else:
        kept = await logins.complete(callback, login.browser_secret, keep)
        assert (kept.connection_id, kept.return_to) == ("con_1", "/bases")


@pytest.mark.parametrize(
    "stored",
    [
        b'["/bases", ["user-7", null, {"a": 1}], null, "con_7", null]',
        b'{"v": 1, "return_to": "/bases", "connection_id": "con_7", "new": 1,'
        b' "purpose": {"owner": "user-7", "data": {"a": 1}}}',
    ],
)
async def test_login_that_another_version_completed_is_done(
    logins: Logins, store: MemoryStore, stored: bytes
) -> None:
    """A retry by its owner gets the same connection. Any other caller gets `LoginNotFound`."""
    login = await logins.begin()
    await store.put(key_of(login), stored, 600)
    callback = Callback(state_of(login), code="c")
    with pytest.raises(LoginNotFound):
        await logins.complete(callback, login.browser_secret, keep)
    kept = await logins.complete(callback, login.browser_secret, keep, owner="user-7")
    assert (kept.connection_id, kept.return_to) == ("con_7", "/bases")


async def test_login_that_another_version_saw_fail_has_failed(
    logins: Logins, store: MemoryStore
) -> None:
    """A retry raises the same error."""
    login = await logins.begin()
    failure = b'{"status": 502, "error": "airtable_error", "action": "restart_login",'
    failure += b' "description": "Junk."}'
    for stored in (
        b'["/bases", null, null, null, %s]' % failure,
        b'{"v": 1, "return_to": "/bases", "failure": %s}' % failure,
    ):
        await store.put(key_of(login), stored, 600)
        with pytest.raises(AirtableOAuthError) as caught:
            await logins.complete(Callback(state_of(login), code="c"), login.browser_secret, keep)
        assert (caught.value.status, caught.value.return_to) == (502, "/bases")


@pytest.mark.parametrize("way", ["finish", "complete"])
async def test_login_of_a_new_format_is_left_alone(
    logins: Logins, store: MemoryStore, way: str
) -> None:
    """A newer process, which knows the format, may still finish it."""
    login = await logins.begin()
    stored = b'{"v": 2, "anything": true}'
    await store.put(key_of(login), stored, 600)
    callback = Callback(state_of(login), code="c")
    finishing = logins.finish(callback, login.browser_secret)
    keeping = logins.complete(callback, login.browser_secret, keep)
    ends, unused = (finishing, keeping) if way == "finish" else (keeping, finishing)
    unused.close()
    with pytest.raises(UnknownRecordFormat):
        await ends
    entry = await store.get(key_of(login))
    assert entry is not None
    assert entry.value == stored


async def test_claim_whose_process_died_says_to_begin_again(store: MemoryStore) -> None:
    """The caller first waits for the claim. The error has the page to return to."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    logins = replace(make_logins(store, httpx.MockTransport(answer_with_tokens)), sleep=sleep)
    login = await logins.begin()
    claimed = PENDING[:-1] + b', "claim": "c"}'
    await store.put(key_of(login), claimed, 600)
    with pytest.raises(UpstreamTimeout) as caught:
        await logins.complete(Callback(state_of(login), code="c"), login.browser_secret, keep)
    assert (caught.value.action, caught.value.return_to) == (Action.RESTART_LOGIN, "/bases")
    assert sum(waited) == pytest.approx(
        2 * logins.token_endpoint.deadline + logins.store_seconds, abs=0.2
    )


async def test_sessions_that_begin_at_once_are_all_counted(store: MemoryStore) -> None:
    """Another process counts a session between this one's read and write."""
    others = make_logins(store, httpx.MockTransport(answer_with_tokens))
    faulty = FaultyStore(store)
    logins = replace(others, store=faulty)
    login = await logins.begin()
    callback = Callback(state_of(login), code="c")
    kept = await logins.complete(callback, login.browser_secret, keep)
    faulty.meanwhile = lambda: others.count_session(kept)
    for _ in range(4):
        await logins.count_session(kept)
    with pytest.raises(LoginNotFound):
        await logins.count_session(kept)


async def test_slow_login_can_be_asked_for_again(store: MemoryStore) -> None:
    """The error says to retry, and a retry finds the completed login."""
    logins = make_logins(store, httpx.MockTransport(answer_with_tokens), deadline=0.05)
    logins = replace(logins, store_seconds=0.05)
    slow = asyncio.Event()

    async def keep_slowly(tokens: TokenSet, purpose: LoginContext) -> StoredTokens:
        await slow.wait()
        return await keep(tokens, purpose)

    login = await logins.begin("/bases")
    callback = Callback(state_of(login), code="c")
    async with asyncio.timeout(10):
        with pytest.raises(UpstreamTimeout) as caught:
            await logins.complete(callback, login.browser_secret, keep_slowly)
    assert (caught.value.action, caught.value.return_to) == (Action.RETRY, "/bases")
    slow.set()
    logins = replace(logins, store_seconds=3)
    kept = await logins.complete(callback, login.browser_secret, keep)
    assert kept.connection_id == "con_1"


async def test_slow_store_is_reported_as_such(store: MemoryStore) -> None:
    """The error blames the store, not Airtable."""
    faulty = FaultyStore(store)
    logins = make_logins(store, httpx.MockTransport(answer_with_tokens), deadline=0.05)
    logins = replace(logins, store=faulty, store_seconds=0.05)

    async def cut(_tokens: TokenSet, _purpose: LoginContext) -> StoredTokens:
        faulty.down = True
        return StoredTokens("con_1", nothing)

    login = await logins.begin()
    callback = Callback(state_of(login), code="c")
    with pytest.raises(StoreUnavailable):
        await logins.complete(callback, login.browser_secret, cut)
    faulty.down = False
    logins = replace(logins, store_seconds=3)
    assert (await logins.complete(callback, login.browser_secret, cut)).connection_id == "con_1"


async def test_answer_waits_for_what_comes_afterwards(store: MemoryStore) -> None:
    """Hooks have their own limit of ten seconds, in addition to the login's."""
    logins = make_logins(store, httpx.MockTransport(answer_with_tokens), deadline=0.01)
    logins = replace(logins, store_seconds=0.01)
    called: list[bool] = []

    async def hook() -> None:
        await asyncio.sleep(0.1)  # longer than the login's limit
        called.append(True)

    async def keep_with_hook(_tokens: TokenSet, _purpose: LoginContext) -> StoredTokens:
        return StoredTokens("con_1", hook)

    login = await logins.begin()
    await logins.complete(Callback(state_of(login), code="c"), login.browser_secret, keep_with_hook)
    assert called == [True]


async def keep(_tokens: TokenSet, _purpose: LoginContext) -> StoredTokens:
    return StoredTokens("con_1", nothing)


def answer_with_tokens(_request: httpx.Request) -> httpx.Response:
    tokens = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 60}
    return httpx.Response(200, json=tokens)
