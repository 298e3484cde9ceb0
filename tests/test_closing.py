"""Closing an integration releases everything, even if some of it fails."""

import asyncio
import logging
from typing import Any

import httpx
import pytest

from airtable_oauth import AirtableOAuth, Connection, TokenSet
from airtable_oauth.errors import AccessUnavailable
from airtable_oauth.simulator import Fault
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import SCOPES, FakeClock, make_settings, make_simulator

TOKENS = TokenSet("access", "refresh", " ".join(SCOPES), 3600, 86400)


class Stuck(httpx.AsyncBaseTransport):
    """A transport that fails each time it is closed, and counts the attempts."""

    def __init__(self) -> None:
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("CANARY", request=request)

    async def aclose(self) -> None:
        self.closed += 1
        raise ConnectionResetError("CANARY")


class Noted(MemoryStore):
    """A store that records whether it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


def make(store: Noted, transport: Stuck, webhook: Stuck) -> AirtableOAuth:
    return AirtableOAuth(
        make_settings(webhook_url="https://example.com/hook", webhook_secret=f"whsec_{'A' * 43}="),
        store=store,
        transport=transport,
        webhook_transport=webhook,
    )


async def test_what_fails_to_close_keeps_nothing_else_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each failure is logged once, with its type and without its message."""
    store, transport, webhook = Noted(), Stuck(), Stuck()
    with caplog.at_level(logging.ERROR):
        async with make(store, transport, webhook).lifespan():
            pass
    assert (webhook.closed, transport.closed, store.closed) == (1, 2, True)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all("ConnectionResetError" in line and "CANARY" not in line for line in lines)


async def test_close_that_is_cancelled_while_tasks_run_closes_all_the_same() -> None:
    """A host that stops waiting for its hooks must not leave connections open."""
    store = Noted()
    airtable = make(store, Stuck(), Stuck())
    called, released = asyncio.Event(), asyncio.Event()

    @airtable.on_connected
    async def hang(_connection: Connection) -> None:
        called.set()
        await released.wait()

    adopting = asyncio.ensure_future(airtable.adopt("ann", TOKENS))
    await called.wait()
    closing = asyncio.ensure_future(airtable.aclose())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert store.closed
    released.set()
    await adopting


async def test_no_refresh_begins_while_it_closes(clock: FakeClock) -> None:
    """Closing could cut it off after Airtable's commit. The integration can be used again later."""
    simulator = make_simulator()
    airtable = AirtableOAuth(
        make_settings(),
        store=Noted(clock=clock),
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
        separate_connections=True,
    )
    server = simulator.authorization_server
    made = []
    for _ in range(101):
        answer: Any = server.vault.issue_tokens(server.new_grant("test-client", SCOPES), SCOPES)
        made.append((await airtable.adopt("ann", TokenSet(**answer))).id)
    clock.advance(3600)
    fault = simulator.faults.add(Fault(held=True, times=101))
    calls = [asyncio.ensure_future(airtable.access_token(each)) for each in made]
    while fault.fired < 100:
        await asyncio.sleep(0)
    closing = asyncio.ensure_future(airtable.aclose())
    await asyncio.sleep(0)
    simulator.faults.release()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    await closing
    assert fault.fired == 100
    assert [type(each) for each in outcomes].count(AccessUnavailable) == 1
    assert await airtable.access_token(made[-1])
    await airtable.aclose()
