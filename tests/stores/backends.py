"""Every store, with a way to let its clock run."""

import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from airtable_oauth.stores import Store
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.stores.redis import RedisStore
from tests.helpers import FakeClock, free_port

KEYS = [bytes(range(32)), bytes(range(1, 33))]


@dataclass
class Backend:
    """A store under test."""

    store: Store
    advance: Callable[[float], Awaitable[None]]
    """Let this many seconds pass on the store's own clock."""
    stored: Callable[[str], Awaitable[bytes | None]]
    """The bytes that lie under a key, past any encryption."""
    overwrite: Callable[[str, bytes], Awaitable[None]]
    """Put other bytes there, as somebody with access to the store could."""
    ttl: Callable[[str], Awaitable[float]]
    """Seconds that a key has left."""


@contextmanager
def redis_server(directory: Path) -> Iterator[str]:
    """A Redis of one's own; its URL."""
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
        _wait_until_it_answers(port, process)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        ping = subprocess.run(
            ["redis-cli", "-p", str(port), "ping"], capture_output=True, check=False
        )
        if ping.stdout == b"PONG\n":
            return
        assert process.poll() is None, "redis-server ended"
        time.sleep(0.05)
    raise AssertionError("redis-server does not answer")


async def memory() -> AsyncGenerator[Backend]:
    """The embedded store on a fake clock."""
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
        return store._entries[key][1] - clock()  # noqa: SLF001 (no verb shows it)

    yield Backend(store, advance, stored, overwrite, ttl)


async def redis(url: str) -> AsyncGenerator[Backend]:
    """A real Redis, whose clock runs by moving every deadline."""
    store = RedisStore(url)
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


def encrypted(backend: Backend) -> Backend:
    """The same behind encryption."""
    return Backend(
        EncryptedStore(backend.store, KEYS),
        backend.advance,
        backend.stored,
        backend.overwrite,
        backend.ttl,
    )
