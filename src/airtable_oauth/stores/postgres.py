"""PostgreSQL, for any number of machines."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Double, Executable, ScalarSelect, String, any_, func, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.database import (
    CREATE_SECONDS,
    by_key,
    by_time,
    bytewise_key,
    entries,
)
from airtable_oauth.stores.sql_turns import TURNS
from airtable_oauth.stores.url import PostgresTarget, postgres_target

_CONNECTIONS = 20
_CONNECT_TIMEOUTS = 5
"""Connecting takes many round trips: it may take this many operation timeouts."""


class PostgresDatabase:
    """Runs each statement with a connection of a pool."""

    insert = staticmethod(postgresql.insert)
    now: ColumnElement[float] = func.extract("epoch", func.statement_timestamp()).cast(Double)
    ordered_key: ColumnElement[str] = bytewise_key
    turns = TURNS["postgresql"]

    def __init__(self, url: str, *, timeout: float, pool_size: int | None) -> None:
        self._timeout = timeout
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=_connector(postgres_target(url), timeout),
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size or _CONNECTIONS,
            max_overflow=0,
            pool_timeout=timeout,
        )

    def is_in(self, keys: ScalarSelect[str]) -> ColumnElement[bool]:
        """See `Database.is_in`.

        The array is computed once, and its keys are looked up in the primary key's index.
        """
        return entries.c.key == any_(func.array(keys, type_=postgresql.ARRAY(String)))

    async def create(self) -> None:
        """Create the table and its indexes. If they exist, no DDL rights are needed."""
        async with asyncio.timeout(_CONNECT_TIMEOUTS * self._timeout):
            if await self._is_complete():
                return
        async with asyncio.timeout(CREATE_SECONDS):
            await self._create()

    async def execute(self, statement: Executable) -> Sequence[Any]:
        """See `Database.execute`."""
        async with self.engine.connect() as connection:
            result = await connection.execute(statement)
            return result.fetchall() if result.returns_rows else ()

    async def close(self) -> None:
        """See `Database.close`."""
        await self.engine.dispose()

    async def _is_complete(self) -> bool:
        """Whether the newest index exists, and so the whole schema."""
        exists = text(f"SELECT to_regclass('{by_key.name}') IS NOT NULL")
        return bool((await self.execute(exists))[0][0])

    async def _create(self) -> None:
        """Create the schema under a lock: with `IF NOT EXISTS` alone, two processes can collide."""
        transactional = self.engine.execution_options(isolation_level="READ COMMITTED")
        async with transactional.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(7262)"))
            await connection.execute(CreateTable(entries, if_not_exists=True))
            await connection.execute(CreateIndex(by_time, if_not_exists=True))
            await connection.execute(CreateIndex(by_key, if_not_exists=True))


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
