import pytest

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.lease import Lease
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import FakeClock
from tests.stores.backends import Backend
from tests.world import FaultyStore

KEY = "airtable:lease:one"


async def test_one_holder_at_a_time(backend: Backend) -> None:
    first, second = (Lease(backend.store, KEY, 30) for _ in range(2))
    assert await first.acquire()
    assert not await second.acquire()
    await first.release()
    assert await second.acquire()


async def test_only_the_holder_releases_a_lease(backend: Backend) -> None:
    """A holder that overran its term must not release the lease of the next holder."""
    first, second = (Lease(backend.store, KEY, 30) for _ in range(2))
    assert await first.acquire()
    await backend.advance(31)
    assert await second.acquire()
    await first.release()
    assert not await Lease(backend.store, KEY, 30).acquire()


async def test_lease_ends_with_its_term(backend: Backend) -> None:
    """A holder that crashed blocks the others only until its term ends."""
    assert await Lease(backend.store, KEY, 30).acquire()
    await backend.advance(29)
    assert not await Lease(backend.store, KEY, 30).acquire()
    await backend.advance(2)
    assert await Lease(backend.store, KEY, 30).acquire()


async def test_release_without_a_store_is_left_to_the_term() -> None:
    """A failed release is not an error, because the work is done and the term ends the lease."""
    store = FaultyStore(MemoryStore())
    lease = Lease(store, KEY, 30)
    assert await lease.acquire()
    store.down = True
    await lease.release()


async def test_clock_is_the_stores(clock: FakeClock) -> None:
    """A monotonic clock carries it forward, so setting this machine's clock has no effect."""
    store = FaultyStore(MemoryStore(clock=clock))
    here = FakeClock()
    here.now = 5.0
    subject = StoreClock(store, here)
    assert await subject.now() == clock()
    clock.advance(10)
    here.advance(10)
    store.down = True
    assert await subject.now() == clock()
    clock.advance(60)
    here.advance(60)
    assert await subject.now() == clock()


async def test_clock_is_asked_again_after_a_minute(clock: FakeClock) -> None:
    """Two clocks drift apart, so the offset is measured again."""
    here = FakeClock()
    subject = StoreClock(MemoryStore(clock=clock), here)
    assert await subject.now() == clock()
    clock.advance(65)
    here.advance(59)
    assert await subject.now() == clock() - 6
    here.advance(1)
    assert await subject.now() == clock()


async def test_clock_is_right_although_the_first_operation_must_connect(clock: FakeClock) -> None:
    """Connecting may take seconds. The store reads its clock only after that."""
    here = FakeClock()

    class Distant(MemoryStore):
        async def now(self) -> float:
            clock.advance(3)
            here.advance(3)
            return await super().now()

    subject = StoreClock(Distant(clock=clock), here)
    assert await subject.now() == clock()


async def test_clock_needs_a_store_once() -> None:
    """Without a first reading from the store there is no time to return."""
    store = FaultyStore(MemoryStore(), down=True)
    with pytest.raises(StoreUnavailable):
        await StoreClock(store).now()
