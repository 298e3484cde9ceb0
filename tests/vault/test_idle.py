"""Refreshing idle connections."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtable_oauth import AirtableOAuth, Connection, IdleOutcome, TokenSet
from airtable_oauth.errors import ClientRefused, ClockSkew
from airtable_oauth.simulator import Clock, Fault, Integration, Simulator
from airtable_oauth.stores import Entry
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.model import StoredConnection, ttl_unless_idle
from tests.helpers import (
    CSRF,
    REDIRECT_URI,
    SCOPES,
    FakeClock,
    begin,
    consent,
    make_settings,
)

DAY = 24 * 3600.0


class ReadStore(MemoryStore):
    """A store that notes the keys that are read in pages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.read: list[str] = []

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        self.read += keys
        return await super().get_many(keys)


@dataclass
class Product:
    """An app that stores connections for weeks. It shares one clock with Airtable."""

    simulator: Simulator
    airtable: AirtableOAuth
    clock: FakeClock
    store: "ReadStore"
    ended: list[Connection] = field(default_factory=list)
    ahead: float = 0.0
    """How far the store's clock is ahead of this machine's, in seconds."""

    async def connect(self, owner: str = "ann") -> str:
        server = self.simulator.authorization_server
        answer: Any = server.vault.issue_tokens(server.new_grant("test-client", SCOPES), SCOPES)
        return (await self.airtable.adopt(owner, TokenSet(**answer))).id

    async def run(self, **options: Any) -> dict[str, IdleOutcome]:
        return {each: outcome async for each, outcome in self.airtable.refresh_idle(**options)}


@pytest.fixture
async def product(clock: FakeClock) -> AsyncIterator[Product]:
    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    integration = Integration("test-client", (REDIRECT_URI,), SCOPES, "test-secret")
    simulator = Simulator([integration], clock=Clock(clock), record_secrets=True)
    store = ReadStore(clock=lambda: clock() + made.ahead)
    airtable = AirtableOAuth(
        make_settings(),
        separate_connections=True,
        store=store,
        unencrypted=True,
        transport=httpx.ASGITransport(simulator.app),
        clock=clock,
        monotonic=clock,
        sleep=sleep,
    )
    made = Product(simulator, airtable, clock, store)

    @airtable.on_reconnect_required
    async def note(connection: Connection) -> None:
        made.ended.append(connection)

    async with airtable.lifespan():
        yield made


async def test_unused_connection_lives_on(product: Product) -> None:
    """Regular runs keep an idle connection alive, and skip connections that were used recently."""
    idle = await product.connect()
    product.clock.advance(31 * DAY)
    used = await product.connect()
    assert await product.run() == {idle: IdleOutcome.RENEWED}
    assert await product.run() == {}
    for _ in range(3):
        product.clock.advance(40 * DAY)
        await product.run()
    assert await product.airtable.access_token(idle)
    assert await product.airtable.access_token(used)
    assert product.ended == []


async def test_runs_at_once_refresh_once(product: Product) -> None:
    """Airtable sees each refresh token once."""
    ids = {await product.connect() for _ in range(5)}
    product.clock.advance(35 * DAY)
    runs = await asyncio.gather(*(product.run() for _ in range(3)))
    assert set().union(*runs) == ids
    spent = [seen.form["refresh_token"] for seen in product.simulator.token_requests()]
    assert len(spent) == len(set(spent)) == 5


async def test_run_is_paced(product: Product) -> None:
    """A run sends at most five requests a second, measured by the clock that was passed in."""
    for _ in range(10):
        await product.connect()
    product.clock.advance(35 * DAY)
    before = product.clock()
    await product.run()
    assert product.clock() - before == pytest.approx(2.0)


async def test_expired_connection_is_reported_once(product: Product) -> None:
    """Only the run can notice this, because no request used the connection."""
    connection_id = await product.connect()
    product.clock.advance(61 * DAY)
    assert await product.run() == {connection_id: IdleOutcome.ENDED}
    assert await product.run() == {}
    assert [(each.id, each.reason) for each in product.ended] == [(connection_id, "expired")]
    assert len(product.simulator.token_requests()) == 1


async def test_revoked_connection_is_reported(product: Product) -> None:
    """The event has the reason."""
    connection_id = await product.connect()
    product.simulator.vault.revoke_all()
    product.clock.advance(35 * DAY)
    assert await product.run() == {connection_id: IdleOutcome.ENDED}
    assert [each.reason for each in product.ended] == ["revoked"]


async def test_what_cannot_be_renewed_now_is_kept(product: Product) -> None:
    connection_id = await product.connect()
    product.clock.advance(35 * DAY)
    product.simulator.faults.add(Fault(status=503, path="/oauth2/v1/token"))
    assert await product.run() == {connection_id: IdleOutcome.LATER}
    product.clock.advance(DAY)
    assert await product.run() == {connection_id: IdleOutcome.RENEWED}


async def test_wrong_secret_ends_the_run_and_no_connection(product: Product) -> None:
    """The wrong secret would fail every refresh in the same way."""
    await product.connect()
    product.clock.advance(35 * DAY)
    product.simulator.faults.add(
        Fault(status=401, body='{"error": "invalid_client"}', path="/oauth2/v1/token")
    )
    with pytest.raises(ClientRefused):
        await product.run()
    assert list((await product.run()).values()) == [IdleOutcome.RENEWED]


async def test_horizon_is_the_callers(product: Product) -> None:
    """`within_days` sets the horizon in days."""
    connection_id = await product.connect()
    product.clock.advance(10 * DAY)
    assert await product.run(within_days=45) == {}
    assert await product.run(within_days=51) == {connection_id: IdleOutcome.RENEWED}


@pytest.mark.parametrize("days", [61, -61])
async def test_clock_that_jumped_stops_the_run(product: Product, days: int) -> None:
    """Either the store's clock or this machine's may jump. No refresh is sent; nothing ends."""
    await product.connect()
    product.clock.advance(61)  # until the store's clock is read again
    product.ahead = days * DAY
    with pytest.raises(ClockSkew):
        await product.run()
    assert product.simulator.token_requests() == []


async def test_connection_dated_by_a_clock_ahead_is_renewed(product: Product) -> None:
    """Its stored `reconnect_by` is two months too late, so the run must not rely on it."""
    connection_id = await product.connect()
    product.clock.advance(61)  # until the store's clock is read again
    product.ahead = 61 * DAY
    await product.airtable.access_token(connection_id)
    product.clock.advance(61)
    product.ahead = 0
    assert await product.run() == {connection_id: IdleOutcome.RENEWED}
    assert await product.run() == {}


async def test_only_idle_connections_are_read(product: Product) -> None:
    """The others are recognised by their time to live, so a run over many is short."""
    for _ in range(20):
        await product.connect()
    product.store.read.clear()
    assert await product.run() == {}
    assert product.store.read == []
    product.clock.advance(31 * DAY)
    assert len(await product.run()) == 20


@given(
    lived=st.floats(0, 90 * DAY),
    ahead=st.sampled_from([0.0, 0.0, 120.0, 20 * DAY, 400 * DAY]),
    within=st.floats(60, 60 * DAY),
)
def test_idle_connection_is_never_skipped(lived: float, ahead: float, within: float) -> None:
    """Whatever clock dated it, and however long ago: its time to live shows that it is idle."""
    made = 1_800_000_000.0 + ahead
    record = StoredConnection(
        id="c",
        owner="ann",
        access_token="a",
        refresh_token="r",
        scope="",
        expires_at=made + 3600,
        reconnect_by=made + 60 * DAY,
        obtained_at=made,
    )
    ends = made + record.seconds_to_keep(made)
    now = made - ahead + lived
    above, below = ttl_unless_idle(within)
    if record.is_idle(now, within) and ends > now:
        assert not above < ends - now < below


def test_horizon_without_an_end_skips_no_connection() -> None:
    """Redis would not accept an infinite number of milliseconds."""
    above, below = ttl_unless_idle(math.inf)
    assert above == below < math.inf


async def test_connection_of_a_session_ends_with_it(
    browser: httpx.AsyncClient, simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> None:
    """Renewing it would preserve a connection that no browser can use any more."""
    callback = await consent(simulator, await begin(browser))
    assert (await browser.post("/session", json=callback, headers=CSRF)).status_code == 201
    clock.advance(10 * DAY)
    airtable = AirtableOAuth(
        make_settings(),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        clock=clock,
        monotonic=clock,
    )
    assert len([each async for each in airtable.all_connections()]) == 1
    assert [each async for each in airtable.refresh_idle(within_days=60)] == []
