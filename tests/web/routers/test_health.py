import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import FakeClock, make_settings


class CountingStore(MemoryStore):
    """Counts writes, and can make them wait, fail, or get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.works = True
        self.forgets = False
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        self.writes += 1
        await self.may_go_on.wait()
        if not self.works:
            raise StoreUnavailable
        if not self.forgets:
            await super().put(key, value, ttl)


@asynccontextmanager
async def service(store: MemoryStore, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(make_settings(store_timeout=0.1), store=store, monotonic=clock)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as client:
        yield client


async def test_live_and_ready_are_200_when_the_store_works(
    browser: httpx.AsyncClient, store: MemoryStore
) -> None:
    """Both answer 200 and leave nothing in the store."""
    for path in ("/health/live", "/health/ready"):
        response = await browser.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert [key async for key in store.scan("airtable:probe")] == []


@pytest.mark.parametrize("trouble", ["fails", "forgets", "hangs"])
async def test_ready_fails_when_the_store_cannot_be_written_and_live_does_not(
    clock: FakeClock, trouble: str
) -> None:
    """An orchestrator then stops sending traffic but does not kill the process."""
    store = CountingStore()
    store.works, store.forgets = trouble != "fails", trouble == "forgets"
    if trouble == "hangs":
        store.may_go_on.clear()
    async with service(store, clock) as client:
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["error"]) == (503, "store_unavailable")
        assert ready.headers["retry-after"] == "5"
        assert (await client.get("/health/live")).status_code == 200


async def test_many_callers_cost_one_write(clock: FakeClock) -> None:
    """Callers within a second share one write, even if the first of them disconnects."""
    store = CountingStore()
    store.may_go_on.clear()
    async with service(store, clock) as client:
        callers = [asyncio.create_task(client.get("/health/ready")) for _ in range(20)]
        async with asyncio.timeout(2):
            while not store.writes:
                await asyncio.sleep(0)
        callers.pop(0).cancel()
        store.may_go_on.set()
        assert {(await caller).status_code for caller in callers} == {200}
        store.works = False
        clock.advance(0.9)
        assert (await client.get("/health/ready")).status_code == 200
        assert store.writes == 1
        clock.advance(0.1)
        assert (await client.get("/health/ready")).status_code == 503
        assert store.writes == 2
        clock.advance(1)
        store.works = True
        assert (await client.get("/health/ready")).status_code == 200
