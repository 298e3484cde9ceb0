"""SQLite (3.35 or newer), for one machine."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, ScalarSelect, create_engine, func, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.database import CLOSE_SECONDS, CREATE_SECONDS, by_time, entries
from airtable_oauth.stores.sql_turns import TURNS

T = TypeVar("T")
_CONNECTIONS = 4
_LOCK_SHARE = 0.7
"""Share of an operation's timeout for which SQLite waits for another process to finish writing."""
_LOCKED_PAUSE = 0.05


class SqliteDatabase:
    """Runs each statement in a thread, with a connection for each thread.

    Asking a thread once for a whole statement is three times as fast as asking it for each step.
    One thread writes, because SQLite allows one write at a time. While it waits for another process
    to finish writing, the other threads can read.
    """

    insert = staticmethod(sqlite.insert)
    now: ColumnElement[float] = (func.julianday("now") - 2440587.5) * 86400.0
    ordered_key: ColumnElement[str] = entries.c.key
    turns = TURNS["sqlite"]

    def __init__(self, url: str, *, timeout: float, pool_size: int | None) -> None:
        self._size = pool_size or _CONNECTIONS
        self._readers, self._writer = self._start_threads()
        self.engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",
            pool_size=self._size,
            max_overflow=0,
            pool_timeout=timeout,
            pool_reset_on_return=None,  # there is never a transaction to roll back
            connect_args={"timeout": _LOCK_SHARE * timeout},
        )

    def is_in(self, keys: ScalarSelect[str]) -> ColumnElement[bool]:
        """See `Database.is_in`."""
        return entries.c.key.in_(keys)

    async def create(self) -> None:
        """Create the table, in WAL mode, so that readers and a writer can work at the same time.

        SQLite does not wait for the lock that changing the mode needs, so this tries until it
        succeeds.
        """
        async with asyncio.timeout(CREATE_SECONDS):
            while True:
                if await _in_thread(self._writer, self._try_to_create):
                    return
                await asyncio.sleep(_LOCKED_PAUSE)

    async def execute(self, statement: Executable) -> Sequence[Any]:
        """See `Database.execute`. A statement that waits for a thread is not run if cancelled."""
        threads = self._readers if statement.is_select else self._writer
        return await _in_thread(threads, self._execute, statement)

    async def close(self) -> None:
        """Close the connections. Statements that are running get a few seconds to finish."""
        ending = self._readers, self._writer
        self._readers, self._writer = self._start_threads()
        for threads in ending:
            threads.shutdown(wait=False, cancel_futures=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for threads in ending:
                    await asyncio.to_thread(threads.shutdown)
        self.engine.dispose()

    def _start_threads(self) -> tuple[ThreadPoolExecutor, ThreadPoolExecutor]:
        """Those that read, and the one that writes."""
        name = "airtable-oauth-sqlite"
        readers = ThreadPoolExecutor(max(1, self._size - 1), thread_name_prefix=name)
        return readers, ThreadPoolExecutor(1, thread_name_prefix=name)

    def _try_to_create(self) -> bool:
        """Returns False if another process holds the lock."""
        _create_private_file(self.engine.url.database or "")
        try:
            with self.engine.connect() as connection:
                connection.execute(text("PRAGMA journal_mode=WAL"))
                connection.execute(CreateTable(entries, if_not_exists=True))
                connection.execute(CreateIndex(by_time, if_not_exists=True))
        except OperationalError as error:
            if "locked" not in str(error):
                raise
            return False
        return True

    def _execute(self, statement: Executable) -> Sequence[Any]:
        with self.engine.connect() as connection:
            result = connection.execute(statement)
            return result.fetchall() if result.returns_rows else ()


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[..., T], *arguments: Any) -> T:
    try:
        running = asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
    except RuntimeError as error:  # a thread could not be started
        raise StoreUnavailable(cause=cause_of(error)) from error
    return await running


def _create_private_file(path: str) -> None:
    """Create an empty database file that only this user can read, unless the file exists.

    SQLite would create it with the umask's mode, which often lets every user read it. The `-wal`
    and `-shm` files next to it get the same mode from SQLite. An existing file is never opened
    here: closing it would release the locks that SQLite holds on it for this process.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
