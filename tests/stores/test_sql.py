"""What only a database can do wrong."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import ClauseElement, delete, select, text
from sqlalchemy.engine import make_url

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores import sql
from airtable_oauth.stores.sql import SqlStore
from tests.proxy import Proxy, proxy
from tests.stores.backends import execute

KEY = "airtable:login:one"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    found: str = request.getfixturevalue("postgres_url")
    return found


ADD = """
import asyncio, sys, time
from airtable_oauth.stores.sql import SqlStore

async def add(url, key, at):
    store = SqlStore(url)
    time.sleep(max(0.0, at - time.time()))
    print(await store.add(key, b"v", 60))
    await store.close()

asyncio.run(add(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


def test_processes_that_start_at_once_make_one_table(url: str) -> None:
    """And agree on who was first."""
    now = time.time()
    command = [sys.executable, "-c", ADD, url, f"airtable:login:{now}", str(now + 3)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = sorted(process.communicate(timeout=30)[0] for process in processes)
    assert said == ["False\n", "False\n", "False\n", "True\n"]


@pytest.fixture
async def icu_store(icu_postgres_url: str) -> AsyncIterator[SqlStore]:
    """An empty table on a PostgreSQL that orders text as people do."""
    store = SqlStore(icu_postgres_url)
    await store.ping()
    await execute(store, delete(sql.entries))
    yield store
    await store.close()


async def test_older_table_gets_the_index_for_ranges(
    icu_store: SqlStore, icu_postgres_url: str
) -> None:
    """On its first use by this version; what it holds is found."""
    await execute(icu_store, text("DROP INDEX airtable_oauth_entries_by_key"))
    await icu_store.put(KEY, b"v", 60)
    newer = SqlStore(icu_postgres_url)
    assert [key async for key in newer.scan("airtable")] == [KEY]
    await newer.close()
    made = text("SELECT to_regclass('airtable_oauth_entries_by_key') IS NOT NULL")
    assert (await execute(icu_store, made))[0][0]


async def test_pages_of_keys_use_an_index(icu_store: SqlStore) -> None:
    """Or a scan of a large table would sort all of it for each page."""
    await fill(icu_store, "airtable:login:live", 20_000, seconds=60)
    plan = await plan_of(icu_store, icu_store.page("airtable:login:live1", "airtable:login;"))
    assert "airtable_oauth_entries_by_key" in plan
    assert "Sort" not in plan


async def fill(store: SqlStore, prefix: str, count: int, *, seconds: float) -> None:
    """That many rows, which end in so many seconds."""
    insert = text(
        "INSERT INTO airtable_oauth_entries (key, value, expires_at) "
        "SELECT CAST(:prefix AS text) || n, 'v', extract(epoch FROM now()) + :seconds "
        "FROM generate_series(1, :count) AS n"
    )
    await execute(store, insert.bindparams(prefix=prefix, seconds=seconds, count=count))
    await execute(store, text("ANALYZE airtable_oauth_entries"))


async def plan_of(store: SqlStore, statement: ClauseElement) -> str:
    """How PostgreSQL would carry it out."""
    compiled = statement.compile(
        dialect=store._engine.dialect,  # noqa: SLF001 (its SQL)
        compile_kwargs={"literal_binds": True},
    )
    rows = await execute(store, text(f"EXPLAIN {str(compiled).replace(':', chr(92) + ':')}"))
    return "\n".join(row[0] for row in rows)


async def test_restart_loses_nothing(url: str) -> None:
    """What was stored by one process is there for the next."""
    first = SqlStore(url)
    await first.put(KEY, b"v", 60)
    await first.close()
    second = SqlStore(url)
    assert await second.pop(KEY) == b"v"
    await second.close()


async def test_rows_that_have_ended_are_swept_out(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever writes; those that live stay."""
    monkeypatch.setattr(sql, "_SWEEP_SECONDS", 0.0)
    store = SqlStore(url)
    await store.put(KEY, b"ended", 0.001)
    await asyncio.sleep(0.01)
    await store.put("airtable:login:two", b"lives", 60)
    await store.close()
    monkeypatch.setattr(sql, "_SWEEP_SECONDS", 60.0)
    store = SqlStore(url)
    rows = await execute(store, select(sql.entries.c.key))
    await store.close()
    assert ("airtable:login:two",) in rows
    assert (KEY,) not in rows


CUTS: list[Callable[[Proxy], None]] = [Proxy.refuse, Proxy.black_hole]


@pytest.mark.parametrize("cut", CUTS)
async def test_database_that_is_gone_is_an_error_in_time(
    postgres_url: str, cut: Callable[[Proxy], None]
) -> None:
    """And when it is back, so is the store."""
    there = make_url(postgres_url)
    assert there.port is not None
    with proxy(there.port) as way:
        store = SqlStore(str(there.set(port=way.port)))
        await asyncio.gather(*(store.put(f"{KEY}{n}", b"v", 60) for n in range(5)))
        cut(way)
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.get(KEY)
            assert time.monotonic() - started < 1.5
        way.mend()
        mended = time.monotonic()
        while True:
            try:
                assert await store.pop(f"{KEY}1") == b"v"
            except StoreUnavailable:
                assert time.monotonic() - mended < 5, "it does not recover"
                await asyncio.sleep(0.05)
            else:
                break
        await store.close()


async def test_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The directory is not there."""
    store = SqlStore(f"sqlite:///{tmp_path}/missing/store.db")
    with pytest.raises(StoreUnavailable):
        await store.put(KEY, b"v", 60)
    await store.close()
    # The driver's thread says goodbye to this loop, which must not be closed before.
    while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.01)


async def test_writer_that_is_locked_out_gives_up_in_time(tmp_path: Path) -> None:
    """Another process holds SQLite's one write lock."""
    url = f"sqlite:///{tmp_path}/store.db"
    store, other = SqlStore(url), SqlStore(url)
    await store.put(KEY, b"v", 60)
    async with other._engine.connect() as connection:  # noqa: SLF001 (a lock that lasts)
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.put(KEY, b"w", 60)
        assert time.monotonic() - started < 1.5
        entry = await store.get(KEY)
        assert entry is not None
        assert entry.value == b"v"
        await connection.exec_driver_sql("COMMIT")
    await store.put(KEY, b"w", 60)
    await store.close()
    await other.close()


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_sslmode_is_understood(mode: str) -> None:
    """As every other client of PostgreSQL spells it."""
    store = SqlStore(f"postgresql://u:p@db.example/name?sslmode={mode}")
    assert store._engine.url.query == {"ssl": mode}  # noqa: SLF001 (it connects nowhere)
