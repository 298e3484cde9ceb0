import tracemalloc

import pytest

from airtable_oauth.errors import TooManyLogins
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import FakeClock


async def test_full_namespace_refuses_new_keys_and_keeps_the_old(clock: FakeClock) -> None:
    """A flood of new logins must not break one that started earlier."""
    store = MemoryStore(limits={"a:login": 2}, clock=clock)
    await store.put("a:login:1", b"v", 600)
    await store.put("a:login:2", b"v", 600)
    with pytest.raises(TooManyLogins):
        await store.put("a:login:3", b"v", 600)
    with pytest.raises(TooManyLogins):
        await store.add("a:login:3", b"v", 600)
    assert await store.pop("a:login:1") == b"v"


async def test_limit_is_per_namespace(clock: FakeClock) -> None:
    """Pending logins do not use up the space of other entries."""
    store = MemoryStore(limits={"a:login": 1}, clock=clock)
    await store.put("a:login:1", b"v", 600)
    await store.put("a:session:1", b"v", 600)
    await store.put("b:login:1", b"v", 600)


async def test_full_store_takes_a_login_when_one_ends(clock: FakeClock) -> None:
    """A login makes room when it is completed and when it expires."""
    store = MemoryStore(limits={"a:login": 1}, clock=clock)
    await store.put("a:login:1", b"v", 600)
    await store.pop("a:login:1")
    await store.put("a:login:2", b"v", 600)
    clock.advance(600)
    await store.put("a:login:3", b"v", 600)
    assert await store.pop("a:login:2") is None


async def test_overwriting_needs_no_room(clock: FakeClock) -> None:
    store = MemoryStore(limits={"a:login": 1}, clock=clock)
    for _ in range(3):
        await store.put("a:login:1", b"v", 600)


async def test_memory_stays_flat_over_finished_logins(clock: FakeClock) -> None:
    """Expiry entries of removed keys are dropped long before they are due."""
    store = MemoryStore(clock=clock)
    tracemalloc.start()
    try:
        for number in range(20_000):
            await store.put(f"a:login:{number}", b"v" * 200, 600)
            await store.pop(f"a:login:{number}")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 200_000
