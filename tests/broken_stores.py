"""Real stores that fail, each with the cause that the log must name.

Those of Redis and PostgreSQL are made from a working store, whose URL the caller passes. Breaking
Redis affects the whole server, so the caller needs a separate one. In PostgreSQL only new roles and
databases are affected. The others are new.
"""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
import pytest
from redis import Redis
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from airtable_oauth.stores.database import entries
from airtable_oauth.stores.sql import SqlStore
from tests.helpers import free_port

SECRET = "canary-of-the-store"
"""A password that no log line, error or answer may contain."""

_BY_TIME = next(index for index in entries.indexes if str(index.name).endswith("_by_time"))


@dataclass(frozen=True, slots=True)
class BrokenStore:
    """A store that fails."""

    url: str
    causes: tuple[str, ...]
    """What `cause_of` may return for a failed write."""
    is_read_only: bool = False
    """Whether reads still succeed."""


Broken = AbstractContextManager[BrokenStore]


@contextmanager
def redis_with_another_password(url: str) -> Iterator[BrokenStore]:
    """The server has another password than the URL."""
    with _configured(url, requirepass="another"):
        yield BrokenStore(_with_user(url, f":{SECRET}"), ("redis.AuthenticationError WRONGPASS",))


@contextmanager
def redis_without_the_password(url: str) -> Iterator[BrokenStore]:
    """The server requires a password, and the URL has none."""
    with _configured(url, requirepass="another"):
        yield BrokenStore(url, ("redis.AuthenticationError NOAUTH",))


@contextmanager
def full_redis(url: str) -> Iterator[BrokenStore]:
    """Redis has reached its memory limit, and its policy evicts nothing."""
    with _configured(url, maxmemory="1", **{"maxmemory-policy": "noeviction"}):
        yield BrokenStore(url, ("redis.OutOfMemoryError OOM",), is_read_only=True)


@contextmanager
def redis_replica(url: str) -> Iterator[BrokenStore]:
    """A replica, which refuses writes. Its primary is down, but it still answers reads."""
    with Redis.from_url(url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        try:
            yield BrokenStore(url, ("redis.ReadOnlyError READONLY",), is_read_only=True)
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def redis_without_replicas(url: str) -> Iterator[BrokenStore]:
    """A primary that refuses writes while it has no replica."""
    with _configured(url, **{"min-replicas-to-write": "1"}):
        yield BrokenStore(url, ("redis.ResponseError NOREPLICAS",), is_read_only=True)


@contextmanager
def redis_without_permission(url: str) -> Iterator[BrokenStore]:
    """The URL's user may only connect and read."""
    with Redis.from_url(url) as client:
        client.execute_command(
            *("ACL", "SETUSER", "reader", "reset", "on", f">{SECRET}"),
            *("~*", "-@all", "+@read", "+@connection", "+time", "+info"),
        )
        try:
            yield BrokenStore(
                _with_user(url, f"reader:{SECRET}"),
                ("redis.NoPermissionError NOPERM",),
                is_read_only=True,
            )
        finally:
            client.execute_command("ACL", "DELUSER", "reader")


REDIS: dict[str, Callable[[str], Broken]] = {
    "another password": redis_with_another_password,
    "no password": redis_without_the_password,
    "full": full_redis,
    "replica": redis_replica,
    "no replicas": redis_without_replicas,
    "no permission": redis_without_permission,
}
"""By name. Each breaks the Redis at a URL and repairs it afterwards."""


async def postgres_with_another_password(url: str) -> BrokenStore:
    """The URL's role has another password."""
    await _create_role(url, "locked_out", "PASSWORD 'another'")
    await _require_passwords_of(url, "locked_out")
    return BrokenStore(
        _with_user(url, f"locked_out:{SECRET}"), ("asyncpg.InvalidPasswordError 28P01",)
    )


async def postgres_without_its_database(url: str) -> BrokenStore:
    """The URL's database does not exist."""
    return BrokenStore(_with_database(url, "nowhere"), ("asyncpg.InvalidCatalogNameError 3D000",))


async def postgres_without_the_right_to_create(url: str) -> BrokenStore:
    """The database has no table yet, and the URL's role may not create one."""
    await _create_role(url, "visitor")
    await _execute(url, "DROP DATABASE IF EXISTS bare WITH (FORCE)", "CREATE DATABASE bare")
    return BrokenStore(
        _with_user(_with_database(url, "bare"), "visitor"),
        ("asyncpg.InsufficientPrivilegeError 42501",),
    )


async def postgres_without_a_grant(url: str) -> BrokenStore:
    """The table exists, but the URL's role has no privilege on it."""
    await _create_table(url)
    await _create_role(url, "ungranted")
    return BrokenStore(_with_user(url, "ungranted"), ("asyncpg.InsufficientPrivilegeError 42501",))


async def postgres_that_is_read_only(url: str) -> BrokenStore:
    """The URL's role may only read the table, as on a standby."""
    await _create_table(url)
    await _create_role(url, "reader")
    await _execute(
        url,
        f"GRANT ALL ON {entries.name} TO reader",
        "ALTER ROLE reader SET default_transaction_read_only = on",
    )
    return BrokenStore(
        _with_user(url, "reader"),
        ("asyncpg.ReadOnlySQLTransactionError 25006",),
        is_read_only=True,
    )


POSTGRES: dict[str, Callable[[str], Awaitable[BrokenStore]]] = {
    "another password": postgres_with_another_password,
    "no such database": postgres_without_its_database,
    "no right to create": postgres_without_the_right_to_create,
    "no grant": postgres_without_a_grant,
    "read only": postgres_that_is_read_only,
}
"""By name. Each adds what it needs to the PostgreSQL at a URL, without affecting other tests."""


@contextmanager
def sqlite_on_a_full_disk() -> Iterator[BrokenStore]:
    """A disk with room for the table only. Mounting it requires root."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory], check=True)
        try:
            file = Path(directory) / "store.db"
            with closing(sqlite3.connect(file)) as other:  # creates the files that all share
                other.execute("PRAGMA journal_mode=WAL")
                for element in (CreateTable(entries), CreateIndex(_BY_TIME)):
                    other.execute(str(element.compile(dialect=sqlite.dialect())))
                _fill(Path(directory))
                yield BrokenStore(
                    f"sqlite:///{file}", ("OperationalError SQLITE_FULL",), is_read_only=True
                )
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


@contextmanager
def sqlite_without_a_folder() -> Iterator[BrokenStore]:
    """The file's directory does not exist."""
    with tempfile.TemporaryDirectory() as directory:
        yield BrokenStore(f"sqlite:///{directory}/nowhere/store.db", ("FileNotFoundError ENOENT",))


SQLITE: dict[str, Callable[[], Broken]] = {
    "full disk": sqlite_on_a_full_disk,
    "no folder": sqlite_without_a_folder,
}


def unreachable(scheme: str) -> dict[str, BrokenStore]:
    """Stores with an unknown host name or a closed port. `scheme` is that of the URL."""
    path = "/postgres" if scheme == "postgresql" else ""
    return {
        "no such name": BrokenStore(
            f"{scheme}://store.invalid{path}", ("gaierror EAI_NONAME", "gaierror EAI_AGAIN")
        ),
        "refused": BrokenStore(
            f"{scheme}://127.0.0.1:{free_port()}{path}", ("ConnectionRefusedError ECONNREFUSED",)
        ),
    }


def _with_user(url: str, user: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def _with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


@contextmanager
def _configured(url: str, **values: str) -> Iterator[None]:
    """Change settings of a Redis for a while. One connection does both, so it needs no password."""
    with Redis.from_url(url) as client:
        before = {name: client.config_get(name)[name] for name in values}
        for name, value in values.items():
            client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _create_role(url: str, name: str, options: str = "") -> None:
    """Create a role unless it exists, so that several tests may use one database."""
    connection = await asyncpg.connect(url)
    try:
        known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
        if not known:
            await connection.execute(f"CREATE ROLE {name} LOGIN {options}")
    finally:
        await connection.close()


async def _require_passwords_of(url: str, role: str) -> None:
    """Require this role's password, by a line in `pg_hba.conf` before the one for all roles."""
    connection = await asyncpg.connect(url)
    try:
        file = Path(await connection.fetchval("SHOW hba_file"))
        line = f"host all {role} 127.0.0.1/32 scram-sha-256\n"
        if line not in file.read_text():
            file.write_text(line + file.read_text())
        await connection.execute("SELECT pg_reload_conf()")
        await connection.fetchval("SELECT pg_sleep(0.1)")
    finally:
        await connection.close()


async def _create_table(url: str) -> None:
    store = SqlStore(url)
    await store.now()
    await store.close()


def _fill(directory: Path) -> None:
    with suppress(OSError), (directory / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(1024))
