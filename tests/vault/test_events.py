"""Events of the vault, as a host's hooks receive them."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx

from airtable_oauth import AirtableOAuth, Connection, TokenSet
from airtable_oauth.simulator import Fault
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.model import Reason
from airtable_oauth.vault.repository import ConnectionRepository
from tests.helpers import SCOPES, FakeClock, make_settings, make_simulator


async def test_revived_connection_is_reported_as_reconnected(clock: FakeClock) -> None:
    """A host that was notified of the end must learn that its user need not reconnect any more."""
    store, simulator = MemoryStore(clock=clock), make_simulator()
    transport = httpx.ASGITransport(simulator.app)
    airtable = AirtableOAuth(make_settings(), store=store, transport=transport, monotonic=clock)
    server = simulator.authorization_server
    answer: Any = server.vault.issue_tokens(server.new_grant("test-client", SCOPES), SCOPES)
    connection_id = (await airtable.adopt("ann", TokenSet(**answer))).id
    emitted: list[tuple[str, str, bool]] = []

    @airtable.on_connected
    async def note(connection: Connection) -> None:
        emitted.append((connection.id, connection.status, connection.reconnected))

    clock.advance(3600)
    fault = simulator.faults.add(Fault(held=True))
    refresh = asyncio.ensure_future(airtable.access_token(connection_id))
    while not fault.fired:
        await asyncio.sleep(0)
    records = ConnectionRepository(store, "airtable")
    found = await records.load(connection_id)
    assert found is not None
    lost = replace(found.record, reason=Reason.ROTATION_LOST, marker=None)
    assert await records.replace(lost, clock(), version=found.version)
    simulator.faults.release()
    assert await refresh
    await airtable.aclose()
    assert emitted == [(connection_id, "connected", True)]
