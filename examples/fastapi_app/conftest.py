"""The app's tests need neither an Airtable account nor a network."""

import importlib
from collections.abc import AsyncIterator

import httpx
import pytest

from airtable_oauth.testing import AirtableSimulator

pytest_plugins = ["airtable_oauth.testing"]


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that FastAPI runs on."""
    return "asyncio"


@pytest.fixture
async def browser(
    airtable_simulator: AirtableSimulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """Ann's browser."""
    for name, value in airtable_simulator.environment.items():
        monkeypatch.setenv(name, value)
    module = importlib.import_module("fastapi_app.app")
    async with (
        module.airtable.lifespan(),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(module.app),
            base_url="http://localhost:3000",
            auth=("ann", "ann's secret"),
        ) as client,
    ):
        yield client
