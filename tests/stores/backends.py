"""Every store under test, with a way to advance its clock."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from sqlalchemy import Executable, delete, select, update

from airtable_oauth.stores import Store
from airtable_oauth.stores.database import entries
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.stores.redis import RedisStore
from airtable_oauth.stores.sql import SqlStore
from tests.helpers import FakeClock, free_port

KEYS = [bytes(range(32)), bytes(range(1, 33))]
PATIENCE = 15.0
"""Timeout of one store operation, in seconds: generous, because timing is tested elsewhere."""


@dataclass
class Backend:
    """A store under test."""

    store: Store
    advance: Callable[[float], Awaitable[None]]
    """Advance the store's own clock by this many seconds."""
    stored: Callable[[str], Awaitable[bytes | None]]
    """The bytes stored under a key, without decryption."""
    overwrite: Callable[[str, bytes], Awaitable[None]]
    """Replace the stored bytes, as someone with write access to the store could."""
    ttl: Callable[[str], Awaitable[float]]
    """Seconds until a key expires."""


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """Start a separate Redis server and yield its URL."""
    port = free_port()
    process = subprocess.Popen(
        [
            "redis-server",
            *("--port", str(port)),
            *("--bind", "127.0.0.1"),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--dir", str(directory)),
            *("--logfile", "redis.log"),
        ],
    )
    try:
        _wait_until(["redis-cli", "-p", str(port), "ping"], process)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_until(answers: list[str], process: subprocess.Popen[bytes]) -> None:
    """Wait until this command succeeds."""
    for _ in range(200):
        if subprocess.run(answers, capture_output=True, check=False).returncode == 0:
            return
        assert process.poll() is None, "the server exited"
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


C_LOCALE = ("--locale=C", "--encoding=UTF8")
ICU_LOCALE = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C", "--encoding=UTF8")
"""An ICU locale, which sorts by language rules instead of bytes, as `en_US.utf8` of the official
image does."""


@contextmanager
def postgres_server(locale: Sequence[str] = C_LOCALE) -> Iterator[str]:
    """Start a separate PostgreSQL server with these `initdb` options and yield its URL."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"))
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(directory, "postgres", "postgres")
        subprocess.run(
            _as_postgres(
                binaries / "initdb", "-D", data, "-U", "test", "-A", "trust", "-N", *locale
            ),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        options = [
            *("-c", "listen_addresses=127.0.0.1", "-p", port, "-k", directory),
            *("-c", "fsync=off", "-c", "log_min_messages=fatal"),
        ]
        process = subprocess.Popen(_as_postgres(binaries / "postgres", "-D", data, *options))
        try:
            _wait_until([str(binaries / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)], process)
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _as_postgres(*command: object) -> list[str]:
    words = [str(word) for word in command]
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]
        if (os.getuid() == 0)
        else words
    )


async def memory() -> AsyncGenerator[Backend]:
    """The in-memory store with a fake clock."""
    clock = FakeClock()
    store = MemoryStore(clock=clock)

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    async def stored(key: str) -> bytes | None:
        entry = await store.get(key)
        return None if entry is None else entry.value

    async def overwrite(key: str, value: bytes) -> None:
        await store.put(key, value, 60)

    async def ttl(key: str) -> float:
        return store._entries[key][1] - clock()  # noqa: SLF001 (no operation shows it)

    yield Backend(store, advance, stored, overwrite, ttl)


async def redis(url: str) -> AsyncGenerator[Backend]:
    """A real Redis. To advance its clock, every expiry is moved back."""
    store = RedisStore(url, timeout=PATIENCE)
    client = Redis.from_url(url)
    await client.flushall()

    async def advance(seconds: float) -> None:
        async for key in client.scan_iter():
            await client.pexpire(key, await client.pttl(key) - int(seconds * 1000))

    async def stored(key: str) -> bytes | None:
        value = await client.get(key)
        assert value is None or isinstance(value, bytes)
        return value

    async def overwrite(key: str, value: bytes) -> None:
        await client.set(key, value, keepttl=True)

    async def ttl(key: str) -> float:
        return float(await client.pttl(key)) / 1000

    try:
        yield Backend(store, advance, stored, overwrite, ttl)
    finally:
        await store.close()
        await client.aclose()


async def sql(url: str) -> AsyncGenerator[Backend]:
    """SQLite or PostgreSQL. To advance its clock, every expiry is moved back."""
    store = SqlStore(url, timeout=PATIENCE)
    await store.now()  # creates the table
    await execute(store, delete(entries))

    async def advance(seconds: float) -> None:
        earlier = {"expires_at": entries.c.expires_at - seconds}
        await execute(store, update(entries).values(earlier))

    async def stored(key: str) -> bytes | None:
        rows = await execute(store, select(entries.c.value).where(entries.c.key == key))
        return rows[0][0] if rows else None

    async def overwrite(key: str, value: bytes) -> None:
        await execute(store, update(entries).where(entries.c.key == key).values(value=value))

    async def ttl(key: str) -> float:
        rows = await execute(store, select(entries.c.expires_at).where(entries.c.key == key))
        return float(rows[0][0]) - await store.now()

    try:
        yield Backend(store, advance, stored, overwrite, ttl)
    finally:
        await store.close()


async def execute(store: SqlStore, statement: Executable) -> Sequence[Any]:
    """Run a statement directly and return its rows."""
    return await store._execute(statement)  # noqa: SLF001 (bypasses the store's operations)


def encrypted(backend: Backend) -> Backend:
    """Wrap a backend's store in encryption."""
    return Backend(
        EncryptedStore(backend.store, KEYS),
        backend.advance,
        backend.stored,
        backend.overwrite,
        backend.ttl,
    )
