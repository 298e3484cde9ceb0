"""Fixtures that run a test once for each store."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.stores import backends
from tests.stores.backends import Backend

KINDS = ["memory", "redis", "sqlite", "postgresql", "postgresql ICU"]


def _make(kind: str, request: pytest.FixtureRequest) -> AsyncGenerator[Backend]:
    if kind == "redis":
        return backends.redis(request.getfixturevalue("redis_url"))
    if kind == "postgresql ICU":
        return backends.sql(request.getfixturevalue("icu_postgres_url"))
    if kind == "postgresql":
        return backends.sql(request.getfixturevalue("postgres_url"))
    if kind == "sqlite":
        directory: Path = request.getfixturevalue("tmp_path")
        return backends.sql(f"sqlite:///{directory}/store.db")
    return backends.memory()


ENCRYPTED = [
    pytest.param(f"{kind}, encrypted", marks=[] if kind == "redis" else pytest.mark.thorough)
    for kind in KINDS
]
"""Encryption is independent of the store, so one encrypted store is enough for a normal run."""


@pytest.fixture(params=[*KINDS, *ENCRYPTED])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Each store, empty, with and without encryption."""
    kind, _, sealed = request.param.partition(", ")
    async with aclosing(_make(kind, request)) as stream:
        async for plain in stream:
            yield backends.encrypted(plain) if sealed else plain


@pytest.fixture(params=KINDS)
async def plain(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    """Each store, empty and without encryption."""
    async with aclosing(_make(request.param, request)) as stream:
        async for found in stream:
            yield found
