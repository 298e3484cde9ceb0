"""The durable store: SQLite (3.35 or newer) for one machine, PostgreSQL for any number."""

import asyncio
import json
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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
    any_,
    collate,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.logs import logger
from airtable_oauth.request_notes import log_fields
from airtable_oauth.stores import STORE_TIMEOUT, Entry, Turn
from airtable_oauth.stores.pages import is_wanted
from airtable_oauth.stores.sql_turns import TABLE, TURNS
from airtable_oauth.stores.url import PostgresTarget, postgres_target

_CONNECT_TIMEOUTS = 5
"""Connecting to PostgreSQL takes many round trips: it may take this many operation timeouts."""
_CREATE_SECONDS = 60.0
"""For creating the table and its indexes. An index may have to be built over a large table."""
_LOCK_SHARE = 0.7
"""Share of an operation's timeout for which SQLite waits for another process to finish writing."""
_CLOSE_SECONDS = 5.0
_CONNECTIONS = {"sqlite": 4, "postgresql": 20}
_SWEEP_SECONDS = 60.0
_SWEEP_ROWS = 1000
_SWEEP_DEADLINE = 30.0
"""Seconds for one statement of a sweep. No caller waits for it."""
_SWEEP_PAUSE = 0.05
"""Seconds between two statements of a sweep, so that others can write."""
_PAGE = 2000
"""Keys that a scan reads in one statement: a few milliseconds of work."""

entries = Table(
    TABLE,
    MetaData(),
    Column("key", String(255), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires_at", Double, nullable=False),
)
_by_time = Index("airtable_oauth_entries_by_time", entries.c.expires_at)
_bytewise = collate(entries.c.key, "C")
_by_key = Index("airtable_oauth_entries_by_key", _bytewise)
"""For ranges of keys. PostgreSQL orders the primary key by the database's collation, which may
ignore punctuation at first: `a:b` is then not between `a:` and `a;`."""


class SqlStore:
    """Runs each statement in its own transaction, by the database's clock.

    An operation is one statement; only `reserve_turn` may take two.

    The table is created on first use. Expired rows are never returned. A write starts a sweep in
    the background that deletes them, a thousand at a time, if the last sweep began at least
    `sweep_seconds` ago.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = STORE_TIMEOUT,
        pool_size: int | None = None,
        sweep_seconds: float = _SWEEP_SECONDS,
    ) -> None:
        """`timeout`: seconds for one operation, including the wait for a connection.

        If creating the table takes longer, it continues in the background.
        """
        self._timeout = timeout
        self._dialect = "sqlite" if url.startswith("sqlite:") else "postgresql"
        self._engine = _engine(url, timeout, pool_size or _CONNECTIONS[self._dialect])
        self._insert = sqlite.insert if self._dialect == "sqlite" else postgresql.insert
        self._now = _NOW[self._dialect]
        self._turns = TURNS[self._dialect]
        self._ordered_key = entries.c.key if self._dialect == "sqlite" else _bytewise
        self._opening: asyncio.Task[None] | None = None
        self._sweep_seconds = sweep_seconds
        self._next_sweep = -math.inf
        self._sweeping: asyncio.Task[None] | None = None
        self._running: set[asyncio.Future[Sequence[Any]]] = set()

    async def get(self, key: str) -> Entry | None:
        """See `Store.get`."""
        rows = await self._run(select(entries.c.value).where(*self._live(key)))
        return Entry(rows[0][0], rows[0][0]) if rows else None

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        """See `Store.get_many`."""
        found = select(entries.c.key, entries.c.value).where(
            entries.c.key.in_(keys), entries.c.expires_at > self._now
        )
        values = {row.key: row.value for row in await self._run(found)} if keys else {}
        return [Entry(values[key], values[key]) if key in values else None for key in keys]

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        """See `Store.put`."""
        row = {"value": value, "expires_at": self._now + ttl}
        statement = self._insert(entries).values(key=key, **row)
        await self._run(
            statement.on_conflict_do_update(index_elements=[entries.c.key], set_=row), writes=True
        )

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`. An expired row counts as absent."""
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

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        """See `Store.reserve_turn`. If one statement reserves no turn, another reads the wait."""
        values = {"key": key, "empty": json.dumps([0] * most), "most": most, "window": window}
        if within >= 0:
            statement = self._turns.reserve.bindparams(**values, within=within)
            rows = await self._run(statement, writes=True)
            if rows:
                return Turn(max(0.0, rows[0][0]), is_reserved=True)
        rows = await self._run(self._turns.ask.bindparams(**values))
        return Turn(max(0.0, rows[0][0]) if rows else 0.0, is_reserved=False)

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """See `Store.delay_turns`."""
        values = {"key": key, "empty": json.dumps([0] * most), "most": most, "window": window}
        statement = self._turns.delay.bindparams(**values, seconds=seconds)
        await self._run(statement, writes=True)

    async def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """See `Store.scan`.

        The database returns the skipped keys as well. If it had to look for the others, a statement
        could read the whole table.
        """
        last, end = f"{namespace}:", f"{namespace};"  # ; comes right after :
        while True:
            page = await self._run(self.page(last, end))
            for key, ttl in page:
                if is_wanted(ttl, skip_ttl):
                    yield key
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    def page(self, last: str, end: str) -> Select[tuple[str, float]]:
        """The statement for the next live keys after `last` and before `end`, in byte order.

        Each has its remaining time to live.
        """
        key = self._ordered_key
        return (
            select(entries.c.key, entries.c.expires_at - self._now)
            .where(key > last, key < end, entries.c.expires_at > self._now)
            .order_by(key)
            .limit(_PAGE)
        )

    async def now(self) -> float:
        """See `Store.now`."""
        return float((await self._run(select(self._now)))[0][0])

    async def close(self) -> None:
        """Stop the background tasks and close the connections."""
        background = {task for task in (self._opening, self._sweeping) if task is not None}
        for task in background:
            task.cancel()
        if background:
            await asyncio.wait(background, timeout=_CLOSE_SECONDS)
        if self._running:  # timed out, but still releasing their connections
            await asyncio.wait(self._running, timeout=_CLOSE_SECONDS)
        await self._engine.dispose()

    def removal(self) -> Delete:
        """The statement that deletes a batch of expired rows, oldest first.

        Two concurrent sweeps skip each other's rows. The condition is repeated because a row may be
        stored again in between: PostgreSQL then checks the row's newest version.
        """
        expired = entries.c.expires_at <= self._now
        batch = (
            select(entries.c.key)
            .where(expired)
            .order_by(entries.c.expires_at)
            .limit(_SWEEP_ROWS)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        if self._dialect == "sqlite":
            return delete(entries).where(entries.c.key.in_(batch), expired)
        # The array is computed once, and its keys are looked up in the primary key's index.
        keys = func.array(batch, type_=postgresql.ARRAY(String))
        return delete(entries).where(entries.c.key == any_(keys), expired)

    def _live(self, key: str) -> tuple[Any, Any]:
        return entries.c.key == key, entries.c.expires_at > self._now

    async def _run(
        self, statement: Executable, *, writes: bool = False, deadline: float | None = None
    ) -> Sequence[Any]:
        """Return the rows of a statement, or raise `StoreUnavailable` after the deadline."""
        if writes:
            self._sweep_if_due()
        running = asyncio.ensure_future(self._execute(statement))
        self._running.add(running)
        running.add_done_callback(self._ended)
        await asyncio.wait({running}, timeout=deadline or self._timeout)
        if not running.done():
            running.cancel()  # not awaited: the driver may take seconds to stop
            raise StoreUnavailable(cause=TimeoutError.__name__)
        try:
            return running.result()
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(cause=cause_of(error)) from error

    def _ended(self, running: asyncio.Future[Sequence[Any]]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # after a timeout, nothing else retrieves it

    def _sweep_if_due(self) -> None:
        is_running = self._sweeping is not None and not self._sweeping.done()
        if not is_running and time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + self._sweep_seconds
            self._sweeping = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        """Delete expired rows. A failure is logged, and the next sweep tries again."""
        try:
            more = True
            while more:
                removed = await self._run(
                    self.removal().returning(entries.c.key), deadline=_SWEEP_DEADLINE
                )
                more = len(removed) == _SWEEP_ROWS
                await asyncio.sleep(_SWEEP_PAUSE if more else 0)
        except StoreUnavailable as error:
            cause = cause_of(error)
            extra = log_fields(cause=cause)
            logger.warning("could not delete expired entries: %s", cause, extra=extra)

    async def _execute(self, statement: Executable) -> Sequence[Any]:
        await self._open()
        async with self._engine.connect() as connection:
            result = await connection.execute(statement)
            return result.fetchall() if result.returns_rows else ()

    async def _open(self) -> None:
        """Create the table, once. A caller that times out does not interrupt it."""
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self._create())
        await asyncio.shield(self._opening)

    async def _create(self) -> None:
        if self._dialect == "postgresql":
            async with asyncio.timeout(_CONNECT_TIMEOUTS * self._timeout):
                if await _is_complete(self._engine):
                    return
        create = _create_in_sqlite if self._dialect == "sqlite" else _create_in_postgresql
        async with asyncio.timeout(_CREATE_SECONDS):
            await create(self._engine)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _create_in_sqlite(engine: AsyncEngine) -> None:
    """Create the table, in WAL mode, so that readers and a writer can work at the same time.

    SQLite does not wait for the lock that changing the mode needs, so this tries until it succeeds.
    """
    _create_private_file(engine.url.database or "")
    async with engine.connect() as connection:
        while True:
            try:
                await connection.execute(text("PRAGMA journal_mode=WAL"))
                await _create(connection)
            except OperationalError as error:
                if "locked" not in str(error):
                    raise
                await asyncio.sleep(0.05)
            else:
                return


def _create_private_file(path: str) -> None:
    """Create an empty database file that only this user can read, unless the file exists.

    SQLite would create it with the umask's mode, which often lets every user read it. The `-wal`
    and `-shm` files next to it get the same mode from SQLite. An existing file is never opened
    here: closing it would release the locks that SQLite holds on it for this process.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


async def _is_complete(engine: AsyncEngine) -> bool:
    """Whether the newest index exists, and so the whole schema. If so, no DDL rights are needed."""
    async with engine.connect() as connection:
        exists = text(f"SELECT to_regclass('{_by_key.name}') IS NOT NULL")
        return bool((await connection.execute(exists)).scalar())


async def _create_in_postgresql(engine: AsyncEngine) -> None:
    """Create the table under a lock: with `IF NOT EXISTS` alone, two processes can collide."""
    transactional = engine.execution_options(isolation_level="READ COMMITTED")
    async with transactional.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(7262)"))
        await _create(connection)
        await connection.execute(CreateIndex(_by_key, if_not_exists=True))


async def _create(connection: AsyncConnection) -> None:
    await connection.execute(CreateTable(entries, if_not_exists=True))
    await connection.execute(CreateIndex(_by_time, if_not_exists=True))


def _engine(url: str, timeout: float, pool_size: int) -> AsyncEngine:
    options: dict[str, Any] = {
        "isolation_level": "AUTOCOMMIT",
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": timeout,
    }
    if url.startswith("sqlite:"):
        file = make_url(url).set(drivername="sqlite+aiosqlite")
        lock = {"timeout": _LOCK_SHARE * timeout}
        return create_async_engine(file, connect_args=lock, **options)
    connect = _connector(postgres_target(url), timeout)
    return create_async_engine("postgresql+asyncpg://", async_creator=connect, **options)


def _connector(target: PostgresTarget, timeout: float) -> Callable[[], Awaitable[Any]]:
    """Return a function that connects to PostgreSQL. asyncpg parses the URL as libpq would."""
    seconds = target.connect_timeout or _CONNECT_TIMEOUTS * timeout

    async def connect() -> Any:
        import asyncpg  # type: ignore[import-untyped] # noqa: PLC0415 (not needed for SQLite)

        try:
            return await asyncpg.connect(target.dsn, timeout=seconds)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StoreUnavailable(cause=cause_of(error)) from error

    return connect


# Clocks that are constant within a statement, so that an index on `expires_at` can be used.
_NOW: dict[str, Any] = {
    "sqlite": (func.julianday("now") - 2440587.5) * 86400.0,
    "postgresql": func.extract("epoch", func.statement_timestamp()).cast(Double),
}
