"""The stores, one after the other."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from tests.stores import backends
from tests.stores.backends import Backend


@pytest.fixture(params=["memory", "redis", "memory, encrypted", "redis, encrypted"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Each store in turn, empty."""
    kind, _, sealed = request.param.partition(", ")
    if kind == "redis":
        made = backends.redis(request.getfixturevalue("redis_url"))
    else:
        made = backends.memory()
    async with aclosing(made) as stream:
        async for plain in stream:
            yield backends.encrypted(plain) if sealed else plain


@pytest.fixture(params=["memory", "redis"])
async def plain(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Each store in turn, empty and without encryption."""
    made = (
        backends.redis(request.getfixturevalue("redis_url"))
        if request.param == "redis"
        else backends.memory()
    )
    async with aclosing(made) as stream:
        async for found in stream:
            yield found
