"""A store that fails names the cause: the type and code of the driver's exception."""

import asyncio
from collections.abc import Iterator

import pytest

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import Store
from airtable_oauth.stores.redis import RedisStore
from airtable_oauth.stores.sql import SqlStore
from tests import broken_stores
from tests.broken_stores import SECRET, BrokenStore
from tests.log_lines import log_lines
from tests.stores.backends import redis_server


@pytest.fixture(scope="module")
def own_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A separate Redis, which a test may break."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.mark.parametrize("name", broken_stores.REDIS)
async def test_cause_in_redis(own_redis_url: str, name: str) -> None:
    with broken_stores.REDIS[name](own_redis_url) as broken:
        await assert_cause(RedisStore(broken.url), broken)


@pytest.mark.parametrize("name", broken_stores.POSTGRES)
async def test_cause_in_postgres(postgres_url: str, name: str) -> None:
    broken = await broken_stores.POSTGRES[name](postgres_url)
    await assert_cause(SqlStore(broken.url), broken)


@pytest.mark.parametrize("name", broken_stores.SQLITE)
async def test_cause_in_sqlite(name: str) -> None:
    with broken_stores.SQLITE[name]() as broken:
        await assert_cause(SqlStore(broken.url), broken)


@pytest.mark.parametrize("name", broken_stores.unreachable("redis"))
@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_cause_of_a_store_that_cannot_be_reached(scheme: str, name: str) -> None:
    broken = broken_stores.unreachable(scheme)[name]
    is_redis = scheme == "redis"
    await assert_cause(RedisStore(broken.url) if is_redis else SqlStore(broken.url), broken)


async def assert_cause(store: Store, broken: BrokenStore) -> None:
    """The store raises an error that names the cause and does not contain the password."""
    try:
        if broken.is_read_only:
            assert await store.get("airtable:login:1") is None
        with pytest.raises(StoreUnavailable) as caught:
            await store.put("airtable:login:1", bytes(2000), 60)
        assert cause_of(caught.value) in broken.causes
        assert SECRET not in repr(caught.value.cause)
    finally:
        await store.close()


async def test_sweep_that_fails_is_logged_with_its_cause(postgres_url: str) -> None:
    """No request waits for a sweep, so its failure would go unnoticed while the table grows."""
    broken = await broken_stores.POSTGRES["read only"](postgres_url)
    store = SqlStore(broken.url)
    with log_lines() as lines:
        with pytest.raises(StoreUnavailable):
            await store.put("airtable:login:1", b"", 60)
        async with asyncio.timeout(5):
            while not lines.text:
                await asyncio.sleep(0.01)
    await store.close()
    assert [line["event"] for line in lines] == [
        f"could not delete expired entries: {broken.causes[0]}"
    ]
