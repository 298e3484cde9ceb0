"""The checks of the store, for `airtable-oauth check`."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airtable_oauth.causes import cause_of
from airtable_oauth.cli.findings import Finding, fault, ok, warning
from airtable_oauth.errors import AirtableOAuthError, StoreUnavailable
from airtable_oauth.factories import encrypted_store
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.stores.probe import prove_write

if TYPE_CHECKING:
    from airtable_oauth.stores.redis import RedisStore

_MAX_SKEW_SECONDS = 30
_READABLE_BY_OTHERS = 0o004
_UNREACHABLE = "the store cannot be reached: is it running, and are host and port right?"
_NO_SUCH_HOST = "the host name does not exist"
_PASSWORD = "the store refuses the user name or the password"  # noqa: S105 (a sentence)
_RIGHTS = (
    "the user lacks a permission. PostgreSQL: allow it to create the table, or grant SELECT, "
    "INSERT, UPDATE and DELETE on the table airtable_oauth_entries. Redis: its ACL must allow the "
    "keys and the commands of the service"
)
_READ_ONLY = "the store is read-only, as replicas are: use the address of the primary"
_FULL = "the store is full: give it more memory or disk space"
_FOLDER = (
    "a file cannot be opened. SQLite: create its folder, or correct the path. Others: correct the "
    "paths of certificates in the URL"
)
_FILE_RIGHTS = (
    "the user of this process is not allowed to open or write a file that the URL names, or its "
    "folder"
)
_ADVICE = {
    **dict.fromkeys(("ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH"), _UNREACHABLE),
    **dict.fromkeys(("EAI_NONAME", "EAI_AGAIN", "EAI_NODATA"), _NO_SUCH_HOST),
    **dict.fromkeys(("WRONGPASS", "NOAUTH", "28P01", "28000"), _PASSWORD),
    **dict.fromkeys(("NOPERM", "42501"), _RIGHTS),
    **dict.fromkeys(("READONLY", "25006"), _READ_ONLY),
    **dict.fromkeys(("OOM", "53100", "53200", "ENOSPC", "SQLITE_FULL"), _FULL),
    **dict.fromkeys(("ENOENT", "ENOTDIR", "EISDIR", "SQLITE_CANTOPEN"), _FOLDER),
    **dict.fromkeys(("EACCES", "EROFS", "SQLITE_READONLY"), _FILE_RIGHTS),
    "3D000": "the database does not exist: create it, or correct the name in the URL",
    "42P01": "the table airtable_oauth_entries is missing, and could not be created",
    "53300": "the database has no free connections: see STORE_POOL_SIZE",
    "LOADING": "Redis is still loading its data: try again in a moment",
    "MISCONF": "Redis rejects writes because it cannot save to its disk",
    "NOREPLICAS": "Redis rejects writes because too few of its replicas are connected",
    "ERR": "Redis rejects a command: is it 6.2 or newer, and does the database number exist?",
    **dict.fromkeys(
        ("redis.InvalidResponse", "redis.ConnectionError"),
        "the server does not speak Redis's protocol: check the host and the port, and use "
        "rediss:// if it expects TLS",
    ),
    "ConnectionError": (
        "the server closed the connection: does it offer TLS, if the URL requires it (sslmode)?"
    ),
    "SQLITE_NOTADB": "the file is not a SQLite database",
    "TimeoutError": (
        "the store does not answer in time: is the address right, does a firewall let the "
        "connection through, and is STORE_TIMEOUT long enough for a store far away?"
    ),
}
"""What to do, by the code at the end of a cause, or by the cause's type if it has no code."""


async def check_store(
    settings: Settings, store: Store, clock: Callable[[], float]
) -> AsyncIterator[Finding]:
    """Write and read a record as a login does, encrypted.

    Then compare the clocks, and check for settings with which records may be lost or read by
    others. Closes the store at the end.
    """
    variable = settings.variable("store_url")
    scheme = settings.store_url.get_secret_value().partition(":")[0]
    try:
        await prove_write(encrypted_store(store, settings), settings.name)
        yield ok(f"the store ({scheme}) works: a record was written, read and deleted")
        skew = abs(await store.now() - clock())
        if skew > _MAX_SKEW_SECONDS:
            yield warning(
                variable, f"the clocks of the store and of this machine differ by {skew:.0f} s"
            )
        async for finding in _safety(settings, store, variable):
            yield finding
    except AirtableOAuthError as error:
        cause = cause_of(error)
        yield fault(variable, f"{_advice(cause, settings)} ({cause})")
    finally:
        await store.close()


def _advice(cause: str, settings: Settings) -> str:
    """What to do about a cause in the format of `cause_of`."""
    code = cause.rpartition(" ")[2]
    if cause.startswith("SSL"):
        return "the TLS handshake failed: is the certificate trusted, and does the port use TLS?"
    family = next((name for name in _ADVICE if code.startswith(f"{name}_")), code)
    text = _ADVICE.get(family, "the store does not work")
    for field in ("store_timeout", "store_pool_size"):
        text = text.replace(field.upper(), settings.variable(field))
    return text


async def _safety(settings: Settings, store: Store, variable: str) -> AsyncIterator[Finding]:
    """Check for records that the server may lose, or that other users can read."""
    url = settings.store_url.get_secret_value()
    if url.startswith("redis"):
        from airtable_oauth.stores.redis import RedisStore  # noqa: PLC0415 (an extra)

        if isinstance(store, RedisStore):
            async for finding in _redis(store, variable):
                yield finding
    if url.startswith("sqlite:"):
        for finding in _file(Path(url.removeprefix("sqlite:///")), variable):
            yield finding


def _file(path: Path, variable: str) -> Iterator[Finding]:
    if path.exists() and path.stat().st_mode & _READABLE_BY_OTHERS:
        yield warning(variable, "every user of this machine can read the file: set its mode to 600")


async def _redis(store: "RedisStore", variable: str) -> AsyncIterator[Finding]:
    try:
        configuration = await store.configuration()
    except StoreUnavailable:
        yield warning(
            variable,
            "could not read the configuration of this Redis. Check it yourself: maxmemory-policy "
            "must be noeviction, and the append-only file should be on",
        )
        return
    for finding in judge_redis(configuration, variable):
        yield finding


def judge_redis(configuration: dict[str, str], variable: str) -> Iterator[Finding]:
    """Report what a Redis with this configuration may lose.

    `configuration` maps the names of Redis's settings to their values.
    """
    policy = configuration.get("maxmemory-policy", "noeviction")
    if policy == "noeviction":
        yield ok("Redis does not evict records (maxmemory-policy noeviction)")
    else:
        yield fault(
            variable,
            f"Redis may evict connections (maxmemory-policy {policy}): set it to noeviction",
        )
    if configuration.get("appendonly") == "yes":
        loss = _LOSSES.get(configuration.get("appendfsync", ""), _LOSSES["no"])
        yield ok(f"Redis writes an append-only file: a crash loses {loss}")
    elif configuration.get("save"):
        yield warning(
            variable,
            "Redis saves snapshots only: a crash loses what was written since the last one, and "
            "users whose tokens were refreshed since then must reconnect. Set appendonly yes",
        )
    else:
        yield warning(
            variable,
            "Redis saves nothing: a restart loses every login, session and connection. "
            "Set appendonly yes",
        )


_LOSSES = {
    "always": "nothing",
    "everysec": "up to a second or two",
    "no": "what the operating system had not written yet",
}
"""By `appendfsync`; see Redis's page on persistence."""
