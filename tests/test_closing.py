"""An integration that is closed lets go of everything, whatever fails."""

import asyncio
import logging

import httpx
import pytest

from airtable_oauth import AirtableOAuth
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import make_settings


class Stuck(httpx.AsyncBaseTransport):
    """A transport that counts how often it is closed, and fails each time."""

    def __init__(self) -> None:
        self.closed = 0

    async def aclose(self) -> None:
        """Fail."""
        self.closed += 1
        raise ConnectionResetError("CANARY")


class Noted(MemoryStore):
    """A store that knows whether it was closed."""

    closed = False

    async def close(self) -> None:
        """Note it."""
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
    """Each failure is one log line with its type, and without its message."""
    store, transport, webhook = Noted(), Stuck(), Stuck()
    with caplog.at_level(logging.ERROR):
        async with make(store, transport, webhook).lifespan():
            pass
    assert (webhook.closed, transport.closed, store.closed) == (1, 2, True)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all("ConnectionResetError" in line and "CANARY" not in line for line in lines)


async def test_close_that_is_cancelled_while_tasks_run_closes_all_the_same() -> None:
    """A host that stops waiting for hooks must not leave connections open."""
    store = Noted()
    airtable = make(store, Stuck(), Stuck())
    airtable._background.start(asyncio.Event().wait())  # noqa: SLF001 (a refresh that hangs)
    closing = asyncio.ensure_future(airtable.aclose())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert store.closed
    airtable._background.cancel()  # noqa: SLF001
