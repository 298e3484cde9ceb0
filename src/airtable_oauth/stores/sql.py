"""The durable store: SQLite (3.35 or newer) for one machine, PostgreSQL for any number."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import (
    Column,
    Delete,
    Double,
    Executable,
    Index,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    collate,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import Entry

_DEADLINE = 1.4
"""Seconds for one verb, as for Redis."""
_LOCK_SECONDS = 1.0
"""How long SQLite waits for another process to finish writing."""
_CLOSE_SECONDS = 5.0
_CONNECTIONS = 20
_SWEEP_SECONDS = 60.0
_SWEEP_ROWS = 1000
_SWEEP_DEADLINE = 30.0
"""Seconds for one statement of a sweep, which no caller waits for."""
_SWEEP_PAUSE = 0.05
"""Seconds between two of them, for others to write."""
_PAGE = 500
_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

entries = Table(
    "airtable_oauth_entries",
    MetaData(),
    Column("key", String(255), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False),
)
_by_time = Index("airtable_oauth_entries_by_time", entries.c.expires_at)
_bytewise = collate(entries.c.key, "C")
_by_key = Index("airtable_oauth_entries_by_key", _bytewise)
"""For ranges of keys. The primary key of a PostgreSQL is ordered by the database's collation, which
may sort punctuation as people do: there `a:b` is not between `a:` and `a;`."""


class SqlStore:
    """One statement per verb, each a transaction of its own, by the database's clock.

    The table is created on first use. Rows whose time has passed are never seen again. A write
    starts a sweep in the background that deletes them, a thousand at a time, if the last one was
    `sweep_seconds` ago.
    """

    def __init__(self, url: str, *, sweep_seconds: float = _SWEEP_SECONDS) -> None:
        parsed = make_url(url)
        self._dialect = parsed.get_backend_name()
        self._engine = _engine(parsed)
        self._insert = sqlite.insert if self._dialect == "sqlite" else postgresql.insert
        self._now = _NOW[self._dialect]
        self._ordered_key = entries.c.key if self._dialect == "sqlite" else _bytewise
        self._making = asyncio.Lock()
        self._made = False
        self._sweep_seconds = sweep_seconds
        self._next_sweep = -math.inf
        self._sweeping: asyncio.Task[None] | None = None
        self._running: set[asyncio.Future[Sequence[Any]]] = set()

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        rows = await self._run(select(entries.c.value).where(*self._live(key)))
        return Entry(rows[0][0], rows[0][0]) if rows else None

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """See `Store.put`."""
        row = {"value": value, "expires_at": self._now + ttl}
        statement = self._insert(entries).values(key=key, **row)
        await self._run(
            statement.on_conflict_do_update(index_elements=[entries.c.key], set_=row), writes=True
        )

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`. A row whose time has passed counts as absent."""
        row = {"value": value, "expires_at": self._now + ttl}
        statement = self._insert(entries).values(key=key, **row)
        rows = await self._run(
            statement.on_conflict_do_update(
                index_elements=[entries.c.key], set_=row, where=entries.c.expires_at <= self._now
            ).returning(entries.c.key),
            writes=True,
        )
        return bool(rows)

    async def pop(self, key: str) -> bytes | None:
        """See `Store.pop`."""
        statement = delete(entries).where(*self._live(key)).returning(entries.c.value)
        rows = await self._run(statement, writes=True)
        return rows[0][0] if rows else None

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        """See `Store.replace`."""
        row: dict[str, Any] = {"value": value}
        if ttl is not None:
            row["expires_at"] = self._now + ttl
        statement = update(entries).where(*self._live(key), entries.c.value == version)
        rows = await self._run(statement.values(row).returning(entries.c.key), writes=True)
        return bool(rows)

    async def discard(self, key: str, *, version: bytes) -> bool:
        """See `Store.discard`."""
        statement = delete(entries).where(*self._live(key), entries.c.value == version)
        return bool(await self._run(statement.returning(entries.c.key), writes=True))

    async def scan(self, namespace: str) -> AsyncIterator[str]:
        """See `Store.scan`."""
        last, end = f"{namespace}:", f"{namespace};"  # ; comes right after :
        while True:
            page = await self._run(self.page(last, end))
            for (key,) in page:
                yield key
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    def page(self, last: str, end: str) -> Select[tuple[str]]:
        """The statement for the next live keys after `last` and before `end`, by their bytes."""
        key = self._ordered_key
        return (
            select(entries.c.key)
            .where(key > last, key < end, entries.c.expires_at > self._now)
            .order_by(key)
            .limit(_PAGE)
        )

    async def now(self) -> float:
        """See `Store.now`."""
        return float((await self._run(select(self._now)))[0][0])

    async def ping(self) -> None:
        """See `Store.ping`."""
        await self.now()

    async def close(self) -> None:
        """End the sweep and close the connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})
        if self._running:  # given up, and still letting go of their connections
            await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)
        await self._engine.dispose()

    def removal(self) -> Delete:
        """The statement that deletes a batch of what has ended, the oldest first.

        Two of them do not wait for each other's rows. The condition is repeated for a row that was
        stored again in between: PostgreSQL then looks at its newest version.
        """
        over = entries.c.expires_at <= self._now
        batch = (
            select(entries.c.key)
            .where(over)
            .order_by(entries.c.expires_at)
            .limit(_SWEEP_ROWS)
            .with_for_update(skip_locked=True)
            .cte("batch")
        )
        return delete(entries).where(entries.c.key.in_(select(batch.c.key)), over)

    def _live(self, key: str) -> tuple[Any, Any]:
        return entries.c.key == key, entries.c.expires_at > self._now

    async def _run(
        self, statement: Executable, *, writes: bool = False, deadline: float = _DEADLINE
    ) -> Sequence[Any]:
        """The rows of a statement, in time."""
        if writes:
            self._sweep_if_due()
        running = asyncio.ensure_future(self._execute(statement))
        self._running.add(running)
        running.add_done_callback(self._ended)
        await asyncio.wait({running}, timeout=deadline)
        if not running.done():
            running.cancel()  # its driver may take seconds to let go; nobody waits for that
            raise StoreUnavailable
        try:
            return running.result()
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable from error

    def _ended(self, running: asyncio.Future[Sequence[Any]]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # seen here too: after a timeout nobody else asks

    def _sweep_if_due(self) -> None:
        is_running = self._sweeping is not None and not self._sweeping.done()
        if not is_running and time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self._sweep_seconds
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        """Delete what has ended. What goes wrong is tried again by the next sweep."""
        with suppress(StoreUnavailable):
            more = True
            while more:
                removed = await self._run(
                    self.removal().returning(entries.c.key), deadline=_SWEEP_DEADLINE
                )
                more = len(removed) == _SWEEP_ROWS
                await asyncio.sleep(_SWEEP_PAUSE if more else 0)

    async def _execute(self, statement: Executable) -> Sequence[Any]:
        if not self._made:
            await self._make()
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return result.fetchall() if result.returns_rows else ()

    async def _make(self) -> None:
        """Make the table if it is not there. Several processes may try at the same moment."""
        async with self._making:
            if not self._made:
                make = _make_in_sqlite if self._dialect == "sqlite" else _make_in_postgresql
                async with self._engine.connect() as connection:
                    await make(connection)
                self._made = True


async def _make_in_sqlite(connection: AsyncConnection) -> None:
    """Also let readers and a writer work at once: a switch that does not wait for its lock."""
    while True:
        try:
            await connection.execute(text("PRAGMA journal_mode=WAL"))
            await _create(connection)
        except OperationalError as error:
            if "locked" not in str(error):
                raise
            await asyncio.sleep(0.05)  # until the caller's deadline
        else:
            return


async def _make_in_postgresql(connection: AsyncConnection) -> None:
    """With a lock: there `IF NOT EXISTS` alone lets two of them collide."""
    await connection.execute(text("SELECT pg_advisory_lock(7262)"))
    await _create(connection)
    await connection.execute(CreateIndex(_by_key, if_not_exists=True))
    await connection.execute(text("SELECT pg_advisory_unlock(7262)"))


async def _create(connection: AsyncConnection) -> None:
    await connection.execute(CreateTable(entries, if_not_exists=True))
    await connection.execute(CreateIndex(_by_time, if_not_exists=True))


def _engine(url: URL) -> AsyncEngine:
    url = url.set(drivername=_DRIVERS[url.get_backend_name()])
    if url.get_backend_name() == "postgresql":
        if "sslmode" in url.query:  # libpq's word for what asyncpg calls ssl
            url = url.update_query_dict({"ssl": url.query["sslmode"]})
            url = url.difference_update_query(["sslmode"])
        return create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_DEADLINE,
            connect_args={"timeout": _DEADLINE},
        )
    return create_async_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=4,
        max_overflow=0,
        pool_timeout=_DEADLINE,
        connect_args={"timeout": _LOCK_SECONDS},
    )


# Clocks that stand still within a statement, so that an index on `expires_at` can be used.
_NOW: dict[str, Any] = {
    "sqlite": (func.julianday("now") - 2440587.5) * 86400.0,
    "postgresql": func.extract("epoch", func.statement_timestamp()).cast(Double),
}
