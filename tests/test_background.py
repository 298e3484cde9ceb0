import asyncio
import time
from pathlib import Path

import httpx
import pytest

from airtable_oauth import AirtableOAuth, TokenSet
from airtable_oauth.background import Tries, until_stored, within
from airtable_oauth.errors import Action, StoreUnavailable, UnknownRecordFormat, UnreadableRecord
from airtable_oauth.factories import open_store
from airtable_oauth.stores import Entry
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.owners import Owners
from tests.helpers import make_settings

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
TOKENS = TokenSet("oaa-1", "oar-1", "data.records:read", 3600, 86400)
RECORD = StoredConnection(
    id="con_1",
    owner="ann",
    access_token="oaa",
    refresh_token="oar",
    scope="data.records:read",
    expires_at=3600,
    reconnect_by=86400,
    obtained_at=0,
)


class Pauses:
    """A sleep that returns at once and records the requested seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


async def test_storing_is_repeated_while_the_store_is_away() -> None:
    """The store comes back, so the tokens of a spent code are not lost."""
    answers = [StoreUnavailable(), StoreUnavailable(), None]

    async def verb() -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "stored"

    pauses = Pauses()
    assert await until_stored(verb, pauses) == "stored"
    assert len(pauses.seconds) == 2


@pytest.mark.parametrize("error", UnreadableRecord.__subclasses__())
async def test_storing_over_what_cannot_be_read_fails_at_once(
    error: type[UnreadableRecord],
) -> None:
    """Retrying cannot help: an operator must act, and the error says so."""

    async def verb() -> None:
        raise error

    pauses = Pauses()
    async with asyncio.timeout(5):
        with pytest.raises(error) as raised:
            await until_stored(verb, pauses)
    assert raised.value.action is Action.FIX_CONFIG
    assert pauses.seconds == []


async def test_tries_pause_and_end() -> None:
    """A compare-and-set that never succeeds must not occupy the process."""
    pauses = Pauses()
    count = [number async for number in Tries(pauses)]
    assert len(count) == 100
    assert len(pauses.seconds) == 99
    assert 0 < pauses.seconds[0] < 0.01
    assert max(pauses.seconds) <= 0.1


def _server_error(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(500)


class Contradictory(MemoryStore):
    """A store that finds no entry for a key, but refuses to add one."""

    async def get(self, _key: str) -> Entry | None:
        return None

    async def add(self, _key: str, _value: bytes, _ttl: float) -> bool:
        return False


async def test_owner_whose_index_cannot_be_changed_is_an_error() -> None:
    """It must not retry for ever."""
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable):
            await Owners(Contradictory(), "airtable", Pauses()).note(RECORD)


@pytest.mark.parametrize("junk", [b"from a newer version", b"\x01" + bytes(40)])
async def test_owner_whose_index_cannot_be_read_is_an_error(tmp_path: Path, junk: bytes) -> None:
    """The index stays as it is, and other owners can still connect."""
    url = f"sqlite:///{tmp_path}/store.db"
    settings = make_settings(store_url=url, encryption_keys=KEY)
    raw = open_store(settings)
    airtable = AirtableOAuth(settings, transport=httpx.MockTransport(_server_error))
    await airtable.adopt("ann", TOKENS)
    (index,) = [key async for key in raw.scan("airtable:owner")]
    await raw.put(index, junk, 60)
    async with asyncio.timeout(5):
        with pytest.raises(UnreadableRecord):
            await airtable.adopt("ann", TOKENS)
        with pytest.raises(UnreadableRecord):
            await airtable.connections("ann")
        assert (await airtable.adopt("bob", TOKENS)).owner == "bob"
    entry = await raw.get(index)
    assert entry is not None
    assert entry.value == junk
    await airtable.aclose()
    await raw.close()


async def test_record_of_a_newer_version_is_not_overwritten() -> None:
    """Disconnecting fails at once."""
    store = MemoryStore()
    airtable = AirtableOAuth(make_settings(), store=store)
    connection = await airtable.adopt("ann", TOKENS)
    (key,) = [key async for key in store.scan("airtable:connection")]
    await store.put(key, b'{"v": 99}', 60)
    async with asyncio.timeout(5):
        with pytest.raises(UnknownRecordFormat):
            await airtable.disconnect(connection.id)
    entry = await store.get(key)
    assert entry is not None
    assert entry.value == b'{"v": 99}'
    await airtable.aclose()


async def test_what_has_arrived_is_read_before_the_deadline_counts() -> None:
    """Reading an answer may take several iterations of the event loop, which was blocked."""
    arrived = asyncio.Event()

    async def read() -> str:
        await arrived.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        return "read"

    reading = asyncio.ensure_future(within(0.05, read()))
    await asyncio.sleep(0.01)
    arrived.set()
    time.sleep(0.1)  # blocks the loop
    assert await reading == "read"


async def test_work_that_takes_too_long_is_cancelled() -> None:
    """The deadline applies if the loop itself was not late."""
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimeoutError):
        await within(0.01, work())
    await cancelled.wait()
