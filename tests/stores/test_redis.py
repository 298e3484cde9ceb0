"""Failures that only Redis can have: lost and late replies, slow networks, connection limits."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.redis import RedisStore
from tests.proxy import Proxy, proxy

KEY = "airtable:login:lost"
ROOT = Path(__file__).parents[2]


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


DOCUMENTED = re.compile(r"If you restrict the commands of a Redis user, allow (.*?)\.", re.DOTALL)


async def test_documented_commands_are_enough(redis_url: str) -> None:
    """An operator may allow a user only the commands that `docs/deployment.md` lists."""
    found = DOCUMENTED.search((ROOT / "docs/deployment.md").read_text())
    assert found is not None
    allowed = [f"+{command.lower()}" for command in re.findall(r"`([A-Z]+)`", found[1])]
    admin = Redis.from_url(redis_url)
    await admin.execute_command(  # type: ignore[no-untyped-call]
        "ACL", "SETUSER", "limited", "reset", "on", ">secret", "~*", "-@all", *allowed
    )
    store = RedisStore(redis_url.replace("redis://", "redis://limited:secret@"))
    try:
        await use_every_operation(store)
    finally:
        await store.close()
        await admin.execute_command("ACL", "DELUSER", "limited")  # type: ignore[no-untyped-call]
        await admin.aclose()


async def use_every_operation(store: RedisStore) -> None:
    await store.put(KEY, b"v", 60)
    assert not await store.add(KEY, b"w", 60)
    entry = await store.get(KEY)
    assert entry is not None
    assert await store.get_many([KEY]) == [entry]
    assert await store.replace(KEY, b"w", None, version=entry.version)
    assert await store.replace(KEY, b"x", 60, version=b"w")
    assert await store.discard(KEY, version=b"x")
    assert await store.pop(KEY) is None
    assert (await store.reserve_turn(f"{KEY}:turns", most=5, window=1.1, within=2)).is_reserved
    await store.delay_turns(f"{KEY}:turns", most=5, window=1.1, seconds=1)
    assert f"{KEY}:turns" in [key async for key in store.scan("airtable:login")]
    assert [key async for key in store.scan("airtable:login", skip_ttl=(0.5, 60))] == []
    assert await store.now() > 0
