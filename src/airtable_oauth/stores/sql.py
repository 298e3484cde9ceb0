"""The durable store: SQLite for one machine, PostgreSQL for any number."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Delete, Executable, Select, delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.logs import logger
from airtable_oauth.request_notes import log_fields
from airtable_oauth.stores import STORE_TIMEOUT, Entry, Turn
from airtable_oauth.stores.database import CLOSE_SECONDS, Database, entries
from airtable_oauth.stores.pages import is_wanted
from airtable_oauth.stores.postgres import PostgresDatabase
from airtable_oauth.stores.sqlite import SqliteDatabase

_SWEEP_SECONDS = 60.0
_SWEEP_ROWS = 1000
_SWEEP_DEADLINE = 30.0
"""Seconds for one statement of a sweep. No caller waits for it."""
_SWEEP_PAUSE = 0.05
"""Seconds between two statements of a sweep, so that others can write."""
_PAGE = 2000
"""Keys that a scan reads in one statement: a few milliseconds of work."""


class SqlStore:
    """Runs each statement in its own transaction. Entries expire by the database's clock.

    An operation is one statement. `reserve_turn` may take two, and `scan` takes one per page.

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
        kind = SqliteDatabase if url.startswith("sqlite:") else PostgresDatabase
        self.database: Database = kind(url, timeout=timeout, pool_size=pool_size)
        self._now = self.database.now
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
        statement = self.database.insert(entries).values(key=key, **row)
        await self._run(
            statement.on_conflict_do_update(index_elements=[entries.c.key], set_=row), writes=True
        )

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See `Store.add`. An expired row counts as absent."""
        row = {"value": value, "expires_at": self._now + ttl}
        statement = self.database.insert(entries).values(key=key, **row)
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
            statement = self.database.turns.reserve.bindparams(**values, within=within)
            rows = await self._run(statement, writes=True)
            if rows:
                return Turn(max(0.0, rows[0][0]), is_reserved=True)
        rows = await self._run(self.database.turns.ask.bindparams(**values))
        return Turn(max(0.0, rows[0][0]) if rows else 0.0, is_reserved=False)

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        """See `Store.delay_turns`."""
        values = {"key": key, "empty": json.dumps([0] * most), "most": most, "window": window}
        statement = self.database.turns.delay.bindparams(**values, seconds=seconds)
        await self._run(statement, writes=True)

    async def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        """See `Store.scan`.

        The database returns the skipped keys too, and they are left out here. With `skip_ttl` as a
        condition, one statement could read the whole table to fill its page.
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

        Each row also has the key's remaining time to live.
        """
        key = self.database.ordered_key
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
        tasks = (self._opening, self._sweeping)
        background = {task for task in tasks if task is not None and not task.done()}
        for task in background:
            task.cancel()
        if background:
            await asyncio.wait(background, timeout=CLOSE_SECONDS)
        if self._running:  # also those that timed out and are still releasing their connections
            await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
        await self.database.close()

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
        return delete(entries).where(self.database.is_in(batch), expired)

    def _live(self, key: str) -> tuple[Any, Any]:
        return entries.c.key == key, entries.c.expires_at > self._now

    async def _run(
        self, statement: Executable, *, writes: bool = False, deadline: float | None = None
    ) -> Sequence[Any]:
        """Return the rows of a statement, or raise `StoreUnavailable` after the deadline.

        If the caller is cancelled, the statement gets as much time again, and is then cancelled.
        """
        if writes:
            self._sweep_if_due()
        running = asyncio.ensure_future(self._execute(statement))
        self._running.add(running)
        running.add_done_callback(self._ended)
        seconds = deadline or self._timeout
        try:
            await asyncio.wait({running}, timeout=seconds)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_later(seconds, running.cancel)
            raise
        if not running.done():
            running.cancel()  # not awaited: the driver may take seconds to stop
            raise StoreUnavailable(cause=TimeoutError.__name__)
        if running.cancelled():
            raise StoreUnavailable(cause="closed")  # by `close`
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
        return await self.database.execute(statement)

    async def _open(self) -> None:
        """Create the table, once. A caller that times out does not interrupt it."""
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self.database.create())
        await asyncio.shield(self._opening)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
