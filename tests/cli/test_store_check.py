"""`check` and `/health/ready` notice a store that does not work, even if reads succeed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis
from sqlalchemy import text

from airtable_oauth.app import create_app
from airtable_oauth.cli.check import examine
from airtable_oauth.cli.findings import Level
from airtable_oauth.cli.store_check import judge_redis
from airtable_oauth.settings import Settings
from airtable_oauth.stores.sql import SqlStore
from tests import broken_stores
from tests.broken_stores import SECRET
from tests.certificates import https_server, self_signed_certificate
from tests.helpers import make_settings
from tests.stores.backends import execute, redis_server

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
PASSWORD = "the store refuses the user name or the password"
UNREACHABLE = "the store cannot be reached"
REDIS = {
    "another password": PASSWORD,
    "no password": PASSWORD,
    "full": "the store is full",
    "replica": "the store is read-only",
    "no replicas": "too few of its replicas",
    "no permission": "the user lacks a permission",
}
POSTGRES = {
    "another password": PASSWORD,
    "no such database": "the database does not exist",
    "no right to create": "the user lacks a permission",
    "no grant": "the user lacks a permission",
    "read only": "the store is read-only",
}
SQLITE = {"full disk": "the store is full", "no folder": "create its folder"}
ADDRESSES = {"no such name": "the host name does not exist", "refused": UNREACHABLE}


@pytest.fixture(scope="module")
def own_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that tests may break entirely."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


def settings_for(url: str) -> Settings:
    return make_settings(store_url=url, encryption_keys=KEY)


async def report(settings: Settings) -> list[str]:
    """The lines of `check`'s report that are not OK."""
    found = [each async for each in examine(settings, {})]
    return [str(each) for each in found if each.level is not Level.OK]


@asynccontextmanager
async def service(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client,
    ):
        yield client


async def assert_noticed(url: str, words: str) -> None:
    settings = settings_for(url)
    lines = await report(settings)
    assert lines[0].startswith("fault    AIRTABLE_OAUTH_STORE_URL: "), lines
    assert words in lines[0]
    assert SECRET not in "".join(lines)
    async with service(settings) as client:
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["error"]) == (503, "store_unavailable")
        assert (await client.get("/health/live")).status_code == 200


@pytest.mark.parametrize("name", broken_stores.REDIS)
async def test_redis_that_does_not_work_is_noticed(own_redis_url: str, name: str) -> None:
    with broken_stores.REDIS[name](own_redis_url) as broken:
        await assert_noticed(broken.url, REDIS[name])
    async with service(settings_for(own_redis_url)) as client:
        assert (await client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("name", broken_stores.POSTGRES)
async def test_postgres_that_does_not_work_is_noticed(postgres_url: str, name: str) -> None:
    broken = await broken_stores.POSTGRES[name](postgres_url)
    await assert_noticed(broken.url, POSTGRES[name])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("sslmode=require", "does it offer TLS"),
        ("sslmode=verify-full&sslrootcert=/missing.crt", "correct the paths of certificates"),
    ],
)
async def test_postgres_without_the_tls_of_its_url_is_noticed(
    postgres_url: str, parameters: str, words: str
) -> None:
    await assert_noticed(f"{postgres_url}?{parameters}", words)


async def test_missing_grant_of_one_verb_is_noticed(postgres_url: str) -> None:
    """A role that can write but not delete could begin logins and never finish one."""
    admin = SqlStore(postgres_url)
    await admin.now()
    for statement in (
        "DROP ROLE IF EXISTS writer",
        "CREATE ROLE writer LOGIN",
        "GRANT SELECT, INSERT, UPDATE ON airtable_oauth_entries TO writer",
    ):
        await execute(admin, text(statement))
    url = postgres_url.replace("test@", "writer@")
    await assert_noticed(url, "the user lacks a permission")
    await execute(admin, text("GRANT DELETE ON airtable_oauth_entries TO writer"))
    assert await report(settings_for(url)) == []
    for statement in ("REVOKE ALL ON airtable_oauth_entries FROM writer", "DROP ROLE writer"):
        await execute(admin, text(statement))
    await admin.close()


@pytest.mark.parametrize("name", broken_stores.SQLITE)
async def test_sqlite_that_does_not_work_is_noticed(name: str) -> None:
    with broken_stores.SQLITE[name]() as broken:
        await assert_noticed(broken.url, SQLITE[name])


@pytest.mark.parametrize("name", broken_stores.unreachable("redis"))
@pytest.mark.parametrize("scheme", ["redis", "postgresql"])
async def test_store_that_cannot_be_reached_is_noticed(scheme: str, name: str) -> None:
    await assert_noticed(broken_stores.unreachable(scheme)[name].url, ADDRESSES[name])


async def test_certificate_that_is_not_trusted_is_noticed(tmp_path: Path) -> None:
    """`rediss://` verifies the server by default."""
    with https_server(self_signed_certificate(tmp_path)) as url:
        words = "the TLS handshake failed: is the certificate trusted, and does the port use TLS?"
        cause = "(SSLCertVerificationError 18)"
        await assert_noticed(url.replace("https:", "rediss:"), f"{words} {cause}")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_server_that_is_not_a_redis_is_noticed(answer: bytes) -> None:
    """It sends another protocol, or closes the connection like a server that expects TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await assert_noticed(f"redis://127.0.0.1:{port}", "does not speak Redis's protocol")


async def test_redis_that_may_lose_records_is_reported(own_redis_url: str) -> None:
    """The tests' Redis saves nothing, and evicts entries if it is configured to."""
    lines = await report(settings_for(own_redis_url))
    assert len(lines) == 1
    assert lines[0].startswith("warning  AIRTABLE_OAUTH_STORE_URL: Redis saves nothing: a restart")
    with Redis.from_url(own_redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            lines = await report(settings_for(own_redis_url))
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert lines[0].startswith("fault    AIRTABLE_OAUTH_STORE_URL: Redis may evict connections")


async def test_redis_that_hides_its_configuration_is_reported(own_redis_url: str) -> None:
    """Hosted ones do so. The report says what could not be checked."""
    with Redis.from_url(own_redis_url) as client, ExitStack() as stack:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-config")
        stack.callback(client.execute_command, "ACL", "DELUSER", "app")
        lines = await report(settings_for(own_redis_url.replace("://", "://app:pw@")))
    assert len(lines) == 1
    assert "could not read the configuration of this Redis" in lines[0]


@pytest.mark.parametrize(
    ("configuration", "level", "words"),
    [
        ({"appendonly": "yes", "appendfsync": "always"}, Level.OK, "a crash loses nothing"),
        ({"appendonly": "yes", "appendfsync": "everysec"}, Level.OK, "up to a second or two"),
        ({"appendonly": "yes", "appendfsync": "no"}, Level.OK, "the operating system had not"),
        ({"appendonly": "no", "save": "3600 1"}, Level.WARNING, "saves snapshots only"),
        ({"appendonly": "no", "save": ""}, Level.WARNING, "saves nothing"),
    ],
)
def test_what_a_redis_may_lose(configuration: dict[str, str], level: Level, words: str) -> None:
    """The append-only file and the snapshots decide."""
    (persistence,) = [
        each for each in judge_redis(configuration, "X") if "maxmemory" not in each.text
    ]
    assert (persistence.level, words in persistence.text) == (level, True)


async def test_sqlite_file_that_everyone_can_read_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    assert await report(settings_for(f"sqlite:///{file}")) == []
    file.chmod(0o644)
    (line,) = await report(settings_for(f"sqlite:///{file}"))
    assert "every user of this machine can read the file: set its mode to 600" in line
