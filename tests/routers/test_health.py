import httpx

from airtable_oauth.app import create_app
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import make_settings


class GoneStore(MemoryStore):
    """A store that does not answer."""

    async def ping(self) -> None:
        raise StoreUnavailable


async def test_process_and_store_are_well(browser: httpx.AsyncClient) -> None:
    """Both answer 200."""
    for path in ("/health/live", "/health/ready"):
        response = await browser.get(path)
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_turns_when_the_store_is_gone_and_live_does_not() -> None:
    """An orchestrator then stops sending traffic and does not kill the process."""
    app = create_app(make_settings(), store=GoneStore())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as client:
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["error"]) == (503, "store_unavailable")
        assert ready.headers["retry-after"] == "5"
        assert (await client.get("/health/live")).status_code == 200
