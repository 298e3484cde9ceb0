"""Failures that only Redis can have: lost and late replies, slow networks, connection limits."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.redis import RedisStore
from tests.proxy import Proxy, proxy

KEY = "airtable:login:lost"


@pytest.fixture
def link(redis_url: str) -> Iterator[Proxy]:
    port = urlsplit(redis_url).port
    assert port is not None
    with proxy(port) as made:
        yield made


@pytest.fixture
async def store(link: Proxy) -> AsyncIterator[RedisStore]:
    store = RedisStore(f"redis://127.0.0.1:{link.port}")
    yield store
    await store.close()


async def test_lost_reply_to_pop_is_an_error_and_not_an_absence(
    store: RedisStore, link: Proxy
) -> None:
    """`GETDEL` was carried out, so a retry would find nothing."""
    await store.put(KEY, b"v", 60)
    link.lost_reply = b"GETDEL"
    with pytest.raises(StoreUnavailable):
        await store.pop(KEY)
    assert link.lost == 1
    assert await store.pop(KEY) is None


async def test_lost_reply_to_add_is_an_error_and_not_a_refusal(
    store: RedisStore, link: Proxy
) -> None:
    """`SET NX` was carried out, so a retry would report that the key exists already."""
    await store.pop(KEY)
    link.lost_reply = b"NX"
    with pytest.raises(StoreUnavailable):
        await store.add(KEY, b"mine", 60)
    assert link.lost == 1
    assert await store.pop(KEY) == b"mine"


async def test_late_reply_never_answers_another_request(store: RedisStore, link: Proxy) -> None:
    """After a timeout the connection is closed, so a late reply cannot answer the next request."""
    await store.put(KEY, b"old", 60)
    await store.put(KEY + "2", b"new", 60)
    link.black_hole()
    with pytest.raises(StoreUnavailable):
        await store.get(KEY)
    link.mend()
    entry = await store.get(KEY + "2")
    assert entry is not None
    assert entry.value == b"new"


async def test_redis_far_away_works_with_a_longer_timeout(link: Proxy) -> None:
    """A round trip takes 200 ms, and connecting takes several round trips."""
    link.delay = 0.2
    store = RedisStore(f"redis://127.0.0.1:{link.port}", timeout=4, pool_size=2)
    await store.put(KEY, b"v", 60)
    assert await store.pop(KEY) == b"v"
    await store.close()


async def test_pool_is_as_large_as_configured(redis_url: str) -> None:
    """If there are more callers than connections, callers wait for one."""
    store = RedisStore(f"{redis_url}?client_name=narrow-pool", pool_size=2)
    await asyncio.gather(*(store.get(f"{KEY}{n}") for n in range(20)))
    async with Redis.from_url(redis_url) as client:
        named = [each for each in await client.client_list() if each["name"] == "narrow-pool"]
    assert len(named) == 2
    await store.close()
