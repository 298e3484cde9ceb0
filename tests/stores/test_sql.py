"""Failures that only a SQL database can have: locks, sweeps, query plans, lost connections."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ClauseElement, delete, func, select, text
from sqlalchemy.engine import make_url

from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.stores.database import entries
from airtable_oauth.stores.postgres import PostgresDatabase
from airtable_oauth.stores.sql import SqlStore
from airtable_oauth.stores.sqlite import SqliteDatabase
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
import asyncio, sys
from airtable_oauth.stores.sql import SqlStore

async def add(url, key):
    store = SqlStore(url)
    print("ready", flush=True)
    sys.stdin.read()
    print(await store.add(key, b"v", 60))
    await store.close()

asyncio.run(add(sys.argv[1], sys.argv[2]))
"""


def test_processes_that_start_at_once_make_one_table(url: str) -> None:
    """All of them use the same table, so exactly one `add` succeeds."""
    command = [sys.executable, "-c", ADD, url, f"airtable:login:{time.time()}"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    said = sorted(process.communicate(timeout=30)[0] for process in processes)
    assert said == ["False\n", "False\n", "False\n", "True\n"]


@pytest.fixture
async def icu_store(icu_postgres_url: str) -> AsyncIterator[SqlStore]:
    """An empty table on a PostgreSQL that sorts by language rules."""
    store = SqlStore(icu_postgres_url)
    await store.now()
    await execute(store, delete(entries))
    yield store
    await store.close()


async def test_older_table_gets_the_index_for_ranges(
    icu_store: SqlStore, icu_postgres_url: str
) -> None:
    """An existing table gets the index when this version first uses it, and keeps its rows."""
    await execute(icu_store, text("DROP INDEX airtable_oauth_entries_by_key"))
    await icu_store.put(KEY, b"v", 60)
    newer = SqlStore(icu_postgres_url)
    assert [key async for key in newer.scan("airtable")] == [KEY]
    await newer.close()
    made = text("SELECT to_regclass('airtable_oauth_entries_by_key') IS NOT NULL")
    assert (await execute(icu_store, made))[0][0]


async def test_pages_of_keys_use_an_index(icu_store: SqlStore) -> None:
    """Without the index, a scan of a large table would sort the whole table for each page."""
    await fill(icu_store, "airtable:login:live", 20_000, seconds=60)
    plan = await plan_of(icu_store, icu_store.page("airtable:login:live1", "airtable:login;"))
    assert "airtable_oauth_entries_by_key" in plan
    assert "Sort" not in plan


async def fill(store: SqlStore, prefix: str, count: int, *, seconds: float) -> None:
    """Insert `count` rows that expire in `seconds`."""
    insert = text(
        "INSERT INTO airtable_oauth_entries (key, value, expires_at) "
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers "
        "WHERE n < :count) "
        "SELECT CAST(:prefix AS text) || n, CAST('v' AS bytea), :ends FROM numbers"
    )
    if isinstance(store.database, SqliteDatabase):
        insert = text(str(insert).replace("bytea", "blob"))
    ends = await store.now() + seconds
    await execute(store, insert.bindparams(prefix=prefix, ends=ends, count=count))
    await execute(store, text("ANALYZE airtable_oauth_entries"))


async def plan_of(store: SqlStore, statement: ClauseElement) -> str:
    """The plan that PostgreSQL chooses for a statement."""
    compiled = statement.compile(
        dialect=postgres(store).engine.dialect,
        compile_kwargs={"literal_binds": True},
    )
    rows = await execute(store, text(f"EXPLAIN {str(compiled).replace(':', chr(92) + ':')}"))
    return "\n".join(row[0] for row in rows)


async def test_restart_loses_nothing(url: str) -> None:
    """A new process finds what an earlier process stored."""
    first = SqlStore(url)
    await first.put(KEY, b"v", 60)
    await first.close()
    second = SqlStore(url)
    assert await second.pop(KEY) == b"v"
    await second.close()


async def test_closed_store_can_be_used_again(url: str) -> None:
    """An app that starts a second time in one process opens its store again."""
    store = SqlStore(url)
    await store.put(KEY, b"v", 60)
    await store.close()
    assert await store.pop(KEY) == b"v"
    await store.close()


def test_closed_store_can_be_used_in_another_event_loop(url: str) -> None:
    """Tests of an app often start it several times, each time with a loop of its own."""
    store = SqlStore(url)

    async def use() -> None:
        await store.put(KEY, b"v", 60)
        assert await store.pop(KEY) == b"v"
        await store.close()

    asyncio.run(use())
    asyncio.run(use())


async def test_rows_that_have_ended_are_swept_out(url: str) -> None:
    """A write starts a sweep, which deletes expired rows and keeps live ones."""
    store = SqlStore(url, sweep_seconds=0)
    await store.put(KEY, b"ended", 0.001)
    await asyncio.sleep(0.01)
    await store.put("airtable:login:two", b"lives", 60)
    await until(lambda: absent(store, KEY))
    assert not await absent(store, "airtable:login:two")
    await store.close()


async def absent(store: SqlStore, key: str) -> bool:
    """Whether the table has no row for a key, live or expired."""
    return not await execute(store, select(entries.c.key).where(entries.c.key == key))


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def backlog(store: SqlStore) -> int:
    count = select(func.count()).where(entries.c.key.startswith("airtable:login:ended"))
    return int((await execute(store, count))[0][0])


BACKLOG = 50_000


async def test_sweep_catches_up_after_a_backlog(url: str) -> None:
    """One sweep deletes the backlog and keeps live rows, while other operations stay fast."""
    store = SqlStore(url, sweep_seconds=3600)
    await store.put("airtable:login:lives", b"v", 60)  # the first sweep finds nothing
    await fill(store, "airtable:login:ended", BACKLOG, seconds=-60)
    await store.close()
    store = SqlStore(url, sweep_seconds=3600)
    await store.put(KEY, b"v", 60)
    slowest = 0.0
    async with asyncio.timeout(60):
        while await backlog(store):
            started = time.monotonic()
            await store.put(KEY, b"v", 60)
            assert await store.get("airtable:login:lives") is not None
            slowest = max(slowest, time.monotonic() - started)
            await asyncio.sleep(0.01)
    assert slowest < 1
    await store.close()


async def test_sweep_deletes_a_thousand_rows_at_a_time(url: str) -> None:
    """A single statement must not hold its locks for long."""
    store = SqlStore(url)
    await store.now()
    await execute(store, delete(entries))
    await fill(store, "airtable:login:ended", 2500, seconds=-60)
    removed = [await execute(store, store.removal().returning(entries.c.key)) for _ in range(4)]
    assert [len(rows) for rows in removed] == [1000, 1000, 500, 0]
    await store.close()


async def test_closing_ends_a_sweep(url: str) -> None:
    """Closing does not wait for the sweep to finish. The next sweep deletes the remaining rows."""
    tasks = asyncio.all_tasks()
    store = SqlStore(url)
    await store.now()
    await fill(store, "airtable:login:ended", BACKLOG, seconds=-60)
    await store.put(KEY, b"v", 60)
    started = time.monotonic()
    await store.close()
    assert time.monotonic() - started < 1
    assert asyncio.all_tasks() <= tasks
    store = SqlStore(url)
    left = await backlog(store)
    assert 0 < left <= BACKLOG
    await execute(store, delete(entries))
    await store.close()


def postgres(store: SqlStore) -> PostgresDatabase:
    assert isinstance(store.database, PostgresDatabase)
    return store.database


async def test_sweep_spares_a_row_that_is_stored_again_meanwhile(postgres_url: str) -> None:
    """The sweep checks the newest version of a row, not the expired one that it found."""
    store = SqlStore(postgres_url, sweep_seconds=3600)
    await store.now()
    await execute(store, delete(entries))
    await fill(store, "airtable:login:ended", 1, seconds=-60)
    key = "airtable:login:ended1"
    async with postgres(store).engine.connect() as other:
        await other.exec_driver_sql("BEGIN")
        lives = "UPDATE airtable_oauth_entries SET expires_at = expires_at + 600"
        await other.exec_driver_sql(lives)
        await store.put("airtable:login:other", b"v", 60)  # starts a sweep
        await asyncio.sleep(0.2)
        await other.exec_driver_sql("COMMIT")
    assert await store.get(key) is not None
    await store.close()


async def test_sweep_passes_over_a_row_that_another_holds(postgres_url: str) -> None:
    """The sweep skips locked rows instead of waiting. The next sweep deletes them."""
    store = SqlStore(postgres_url)
    await store.now()
    await execute(store, delete(entries))
    await fill(store, "airtable:login:ended", 2, seconds=-60)
    removal = store.removal().returning(entries.c.key)
    async with postgres(store).engine.connect() as other:
        await other.exec_driver_sql("BEGIN")
        hold = "SELECT 1 FROM airtable_oauth_entries WHERE key = 'airtable:login:ended1' FOR UPDATE"
        await other.exec_driver_sql(hold)
        async with asyncio.timeout(10):
            rows = await execute(store, removal)
        assert [key for (key,) in rows] == ["airtable:login:ended2"]
        await other.exec_driver_sql("COMMIT")
    assert [key for (key,) in await execute(store, removal)] == ["airtable:login:ended1"]
    await store.close()


async def test_sweep_uses_an_index(icu_store: SqlStore) -> None:
    """The sweep must not read the whole table, and must search for expired rows only once."""
    await fill(icu_store, "airtable:login:live", 20_000, seconds=60)
    await fill(icu_store, "airtable:login:ended", 20_000, seconds=-60)
    await execute(icu_store, text("ANALYZE airtable_oauth_entries"))
    plan = await plan_of(icu_store, icu_store.removal())
    assert "Index Scan using airtable_oauth_entries_by_time" in plan
    assert "Seq Scan" not in plan
    assert "InitPlan" in plan


CUTS: list[Callable[[Proxy], None]] = [Proxy.refuse, Proxy.black_hole]


@pytest.mark.parametrize("cut", CUTS)
async def test_database_that_is_gone_is_an_error_in_time(
    postgres_url: str, cut: Callable[[Proxy], None]
) -> None:
    """The store works again as soon as the database does."""
    there = make_url(postgres_url)
    assert there.port is not None
    with proxy(there.port) as link:
        store = SqlStore(str(there.set(port=link.port)))
        await asyncio.gather(*(store.put(f"{KEY}{n}", b"v", 60) for n in range(5)))
        cut(link)
        for _ in range(2):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.get(KEY)
            assert time.monotonic() - started < 3
        link.mend()
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


async def test_statement_of_a_caller_that_is_gone_frees_its_connection(postgres_url: str) -> None:
    """Otherwise a row that stays locked would keep the pool's connections, one for each caller."""
    admin, store = SqlStore(postgres_url), SqlStore(postgres_url, timeout=0.5, pool_size=1)
    await store.put(KEY, b"v", 60)
    await admin.now()
    async with postgres(admin).engine.connect() as other:
        await other.exec_driver_sql("BEGIN")
        await other.exec_driver_sql("SELECT 1 FROM airtable_oauth_entries FOR UPDATE")
        write = asyncio.ensure_future(store.put(KEY, b"w", 60))
        await asyncio.sleep(0.1)
        write.cancel()
        await until(lambda: works(store), seconds=10)
        await other.exec_driver_sql("ROLLBACK")
    await store.close()
    await admin.close()


async def works(store: SqlStore) -> bool:
    try:
        return await store.get(KEY) is not None
    except StoreUnavailable:
        return False


async def test_sqlite_files_are_readable_by_their_user_alone(tmp_path: Path) -> None:
    """This holds for a new database under the usual umask. An existing file keeps its mode."""
    existing = tmp_path / "existing.db"
    existing.touch(mode=0o640)
    before = os.umask(0o022)
    try:
        for name in ("store.db", existing.name):
            store = SqlStore(f"sqlite:///{tmp_path}/{name}")
            await store.put(KEY, b"v", 60)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob(f"{name}*")}
            assert len(modes) == 3, "the database, -wal and -shm"
            assert set(modes.values()) == {0o640 if name == existing.name else 0o600}
            await store.close()
    finally:
        os.umask(before)


async def test_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Here the directory does not exist."""
    store = SqlStore(f"sqlite:///{tmp_path}/missing/store.db")
    with pytest.raises(StoreUnavailable):
        await store.put(KEY, b"v", 60)
    await store.close()


async def test_thread_that_cannot_be_started_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may limit threads. New tokens are stored again after this error, and no other."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreUnavailable) as raised:
            await store.put(KEY, b"v", 60)
    assert raised.value.cause == "RuntimeError"
    await store.put(KEY, b"w", 60)
    entry = await store.get(KEY)
    assert entry is not None
    assert entry.value == b"w"
    await store.close()


async def test_writer_that_is_locked_out_gives_up_in_time(tmp_path: Path) -> None:
    """Another process holds SQLite's only write lock."""
    url = f"sqlite:///{tmp_path}/store.db"
    store, other = SqlStore(url), SqlStore(url)
    await store.put(KEY, b"v", 60)
    await other.now()
    assert isinstance(other.database, SqliteDatabase)
    with other.database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.put(KEY, b"w", 60)
        assert time.monotonic() - started < 3
        entry = await store.get(KEY)
        assert entry is not None
        assert entry.value == b"v"
        connection.exec_driver_sql("COMMIT")
    await store.put(KEY, b"w", 60)
    await store.close()
    await other.close()


async def test_reads_continue_while_another_process_writes(tmp_path: Path) -> None:
    """Many writes may wait for SQLite's only write lock, as during a backup or a `VACUUM`."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db")
    await store.put(KEY, b"v", 60)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [asyncio.ensure_future(store.put(KEY, b"w", 60)) for _ in range(8)]
        await asyncio.sleep(0.1)
        entry = await store.get(KEY)
        assert entry is not None
        turn = await store.reserve_turn(f"{KEY}:turns", most=5, window=1.1, within=-1)
        assert turn.wait == 0
        assert not any(write.done() for write in writes)
        other.execute("COMMIT")
    await asyncio.gather(*writes)
    await store.close()


async def test_write_of_a_caller_that_is_gone_does_not_wait_without_end(tmp_path: Path) -> None:
    """Otherwise such writes would pile up behind a lock, and be stored long after."""
    store = SqlStore(f"sqlite:///{tmp_path}/store.db", timeout=0.5)
    await store.put(KEY, b"v", 60)
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writes = [asyncio.ensure_future(store.put(f"{KEY}{n}", b"w", 60)) for n in range(20)]
        await asyncio.sleep(0.05)
        for write in writes:
            write.cancel()
        await asyncio.gather(*writes, return_exceptions=True)
        await asyncio.sleep(1.2)
        other.execute("COMMIT")
    await store.put(KEY, b"w", 60)  # the only thread that writes is free again
    assert [key async for key in store.scan("airtable:login")] == [KEY]
    await store.close()


async def test_closing_gives_an_error_to_callers_that_still_wait(tmp_path: Path) -> None:
    """It is not a cancellation, which would end the task that retries to store new tokens."""
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        other.execute("CREATE TABLE of_another_app (name)")
        other.execute("BEGIN EXCLUSIVE")
        store = SqlStore(f"sqlite:///{tmp_path}/store.db")
        waiting = asyncio.ensure_future(store.get(KEY))
        await asyncio.sleep(0.1)
        await store.close()
        with pytest.raises(StoreUnavailable) as raised:
            await waiting
        assert raised.value.cause == "closed"


HOSTED = (
    "sslmode=prefer&channel_binding=prefer&connect_timeout=5&application_name=crm"
    "&options=-c%20statement_timeout%3D4321&target_session_attrs=read-write&gssencmode=disable"
)


async def test_parameters_of_hosted_databases_are_understood(postgres_url: str) -> None:
    """The store accepts libpq's parameters and the scheme `postgres://`."""
    store = SqlStore(f"{postgres_url.replace('postgresql:', 'postgres:')}?{HOSTED}")
    await store.put(KEY, b"v", 60)
    rows = await execute(
        store,
        text("SELECT current_setting('application_name'), current_setting('statement_timeout')"),
    )
    assert tuple(rows[0]) == ("crm", "4321ms")
    await store.close()


async def test_url_may_limit_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `connect_timeout`, connecting may take five times as long as an operation."""
    seen: list[float] = []

    async def refuse(_dsn: str, *, timeout: float) -> None:
        seen.append(timeout)
        raise OSError

    monkeypatch.setattr("asyncpg.connect", refuse)
    for parameters in ("", "?connect_timeout=7"):
        store = SqlStore(f"postgresql://host/name{parameters}", timeout=2)
        with pytest.raises(StoreUnavailable):
            await store.now()
        await store.close()
    assert seen == [10, 7]


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.replace("/postgres", "/missing"),
        lambda url: f"{url}?sslmode=require",
        lambda url: f"{url}?sslmode=verify-full&sslrootcert=/missing.crt",
        lambda url: f"{url}?options=-c%20no_such_setting%3D1",
    ],
)
async def test_database_that_refuses_is_an_error(
    postgres_url: str, change: Callable[[str], str]
) -> None:
    """A wrong database name, missing TLS or an unknown setting raises `StoreUnavailable`."""
    store = SqlStore(change(postgres_url))
    with pytest.raises(StoreUnavailable):
        await store.get(KEY)
    await store.close()


async def test_table_that_cannot_be_created_leaves_no_lock(icu_postgres_url: str) -> None:
    """A leftover lock would stop other processes from creating the table once they may."""
    admin = SqlStore(icu_postgres_url)
    await admin.now()
    for statement in (
        "DROP SCHEMA IF EXISTS narrow CASCADE",
        "DROP ROLE IF EXISTS narrow",
        "CREATE ROLE narrow LOGIN",
        "CREATE SCHEMA narrow",
        "GRANT USAGE ON SCHEMA narrow TO narrow",
        "ALTER ROLE narrow SET search_path = narrow",
    ):
        await execute(admin, text(statement))
    store = SqlStore(icu_postgres_url.replace("test@", "narrow@"))
    with pytest.raises(StoreUnavailable):
        await store.put(KEY, b"v", 60)
    locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    assert (await execute(admin, locks))[0][0] == 0
    await execute(admin, text("GRANT CREATE ON SCHEMA narrow TO narrow"))
    await store.put(KEY, b"v", 60)
    await execute(admin, text("REVOKE CREATE ON SCHEMA narrow FROM narrow"))
    later = SqlStore(icu_postgres_url.replace("test@", "narrow@"))
    assert await later.pop(KEY) == b"v"
    for each in (store, later, admin):
        await each.close()


@pytest.fixture
def far(icu_postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL that is 200 ms away and does not have the table yet."""
    there = make_url(icu_postgres_url)
    assert there.port is not None
    asyncio.run(drop_table(icu_postgres_url))
    with proxy(there.port) as link:
        link.delay = 0.2
        yield str(there.set(port=link.port))


async def drop_table(url: str) -> None:
    store = SqlStore(url)
    await execute(store, text("DROP TABLE airtable_oauth_entries"))
    await store.close()


async def test_database_far_away_works_with_a_longer_timeout(far: str) -> None:
    """Connecting, creating the table and the first operation each take several round trips."""
    store = SqlStore(far, timeout=6, pool_size=3)
    assert await store.add(KEY, b"v", 60)
    assert await asyncio.gather(*(store.get(f"{KEY}{n}") for n in range(6))) == [None] * 6
    await store.close()


async def test_database_far_away_is_opened_in_the_background(far: str) -> None:
    """The connection that the first callers gave up waiting for serves later callers."""
    store = SqlStore(far, timeout=1)
    with pytest.raises(StoreUnavailable):
        await store.get(KEY)

    async def answers() -> bool:
        try:
            return await store.get(KEY) is None
        except StoreUnavailable:
            return False

    await until(answers, seconds=20)
    await store.close()


async def test_pool_is_as_large_as_configured(postgres_url: str) -> None:
    """Some databases allow only a few connections."""
    store = SqlStore(f"{postgres_url}?application_name=narrow-pool", pool_size=2)
    await asyncio.gather(*(store.get(f"{KEY}{n}") for n in range(20)))
    count = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'narrow-pool'")
    assert (await execute(store, count))[0][0] == 2
    await store.close()
