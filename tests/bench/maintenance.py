"""How long maintenance takes with many connections in a store, and what it costs the store."""

import asyncio
import base64
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from redis.asyncio import Redis
from sqlalchemy import insert

from airtable_oauth.settings import PREFIX
from airtable_oauth.stores.database import entries
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.stores.sql import SqlStore
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.repository import ConnectionRepository
from tests.bench.peers import SETTINGS, STORES, Servers
from tests.bench.processes import descendants, processor_seconds
from tests.stores.backends import execute

_KEYS = [bytes(range(32)), bytes(range(1, 33))]
_DAY = 24 * 3600.0
_BATCH = 2000
_COMMANDS = {
    "refresh-idle, nothing due": (0, ["refresh-idle"]),
    "connections list": (0, ["connections", "list"]),
    "keys rotate": (1, ["keys", "rotate"]),
}
"""The commands, each with the index in `_KEYS` of the key that comes first in the setting."""

Write = Callable[[dict[str, tuple[bytes, float]]], Awaitable[None]]


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    seconds: float
    """From its start to its end, including the imports."""
    store_seconds: float
    """Processor time of the store's processes; SQLite runs in the command's own."""
    memory: float
    """Its largest resident memory, in MiB."""


def print_maintenance(servers: Servers, connections: int) -> None:
    """Measure every command on every store that outlives a process."""
    click.echo(f"{f'{connections:,} connections':38}{'seconds':>10} {'store':>8} {'MiB':>8}")
    for name in STORES[1:]:
        click.echo(f"{name}: filling", err=True)
        url = servers.store(name)
        asyncio.run(_fill(url, connections))
        for command, (first, arguments) in _COMMANDS.items():
            cost = _run(url, [*_KEYS[first:], *_KEYS[:first]], arguments, servers.directory)
            click.echo(
                f"  {f'{name}: {command}':36}{cost.seconds:10.1f} {cost.store_seconds:8.1f} "
                f"{cost.memory:8.0f}"
            )


async def _fill(url: str, connections: int) -> None:
    """Store connections as the service does, but many in one write."""
    write, close = await (_redis if url.startswith("redis") else _database)(url)
    buffer = _Buffer()
    repository = ConnectionRepository(EncryptedStore(buffer, _KEYS), "airtable")
    now = time.time()
    for number in range(connections):
        # Airtable refreshed them within the last twenty days, so none is due.
        obtained = now - _DAY * (number % 20)
        await repository.put(
            StoredConnection(
                id=f"connection-{number:012d}",
                owner=f"user-{number}@example.com",
                access_token="a" * 100,
                refresh_token="r" * 100,
                scope="data.records:read schema.bases:read",
                expires_at=obtained + 3600,
                reconnect_by=obtained + 60 * _DAY,
                obtained_at=obtained,
            ),
            now,
        )
        if len(buffer.written) == _BATCH:
            await write(buffer.take())
    await write(buffer.take())
    await close()


class _Buffer(MemoryStore):
    """Holds what is to be written together."""

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, tuple[bytes, float]] = {}

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        self.written[key] = (value, ttl)

    def take(self) -> dict[str, tuple[bytes, float]]:
        """Everything since the last call."""
        written, self.written = self.written, {}
        return written


async def _redis(url: str) -> tuple[Write, Callable[[], Awaitable[None]]]:
    redis = Redis.from_url(url)

    async def write(batch: dict[str, tuple[bytes, float]]) -> None:
        pipeline = redis.pipeline(transaction=False)
        for key, (value, ttl) in batch.items():
            pipeline.set(key, value, ex=round(ttl))
        await pipeline.execute()

    return write, redis.aclose


async def _database(url: str) -> tuple[Write, Callable[[], Awaitable[None]]]:
    store = SqlStore(url)
    now = await store.now()  # creates the table

    async def write(batch: dict[str, tuple[bytes, float]]) -> None:
        rows: list[dict[str, Any]] = [
            {"key": key, "value": value, "expires_at": now + ttl}
            for key, (value, ttl) in batch.items()
        ]
        if rows:
            await execute(store, insert(entries).values(rows))

    return write, store.close


def _run(url: str, keys: Sequence[bytes], arguments: Sequence[str], directory: Path) -> Cost:
    settings = SETTINGS | {
        "STORE_URL": url,
        "ENCRYPTION_KEYS": ",".join(
            base64.urlsafe_b64encode(key).decode().rstrip("=") for key in keys
        ),
    }
    store = descendants(os.getpid())
    before, began = processor_seconds(store), time.perf_counter()
    with ExitStack() as files:
        log = files.enter_context((directory / "maintenance.log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "airtable_oauth", *arguments],
            env=os.environ | {PREFIX + name: value for name, value in settings.items()},
            cwd=directory,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException((directory / "maintenance.log").read_text()[-500:])
    seconds = time.perf_counter() - began
    return Cost(seconds, processor_seconds(store) - before, usage.ru_maxrss / 1024)
