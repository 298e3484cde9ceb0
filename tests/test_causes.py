"""Causes of real drivers' errors, raised over real sockets where that is cheap."""

import asyncio
import errno
import socket
import sqlite3
import ssl
from collections.abc import Callable
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import AirtableError, StoreUnavailable
from airtable_oauth.oauth.http import new_transport
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from tests.certificates import https_server, self_signed_certificate
from tests.helpers import free_port
from tests.oauth.test_token_endpoint import airtable, answering, upstream

CANARY = "canary-5e3f9a"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.InvalidPasswordError(CANARY), "asyncpg.InvalidPasswordError 28P01"),
        (asyncpg.InsufficientPrivilegeError(CANARY), "asyncpg.InsufficientPrivilegeError 42501"),
        (redis.exceptions.ResponseError(f"NOREPLICAS {CANARY}"), "redis.ResponseError NOREPLICAS"),
        (
            redis.exceptions.OutOfMemoryError(CANARY, status_code="OOM"),
            "redis.OutOfMemoryError OOM",
        ),
        (redis.exceptions.ResponseError(f"CANARY {CANARY}"), "redis.ResponseError"),
        (OSError(errno.ENOSPC, CANARY), "OSError ENOSPC"),
        (ConnectionRefusedError(errno.ECONNREFUSED, CANARY), "ConnectionRefusedError ECONNREFUSED"),
        (OSError(f"Multiple exceptions: [Errno 111] {CANARY}"), "OSError ECONNREFUSED"),
        (OSError(f"Multiple exceptions: [Errno 99999] {CANARY}"), "OSError"),
        (socket.gaierror(socket.EAI_NONAME, CANARY), "gaierror EAI_NONAME"),
        (ssl.SSLError(1, CANARY), "SSLError"),
        (TimeoutError(CANARY), "TimeoutError"),
        (ValueError(CANARY), "ValueError"),
        (StoreUnavailable(CANARY, cause="OSError ENOSPC"), "OSError ENOSPC"),
        (StoreUnavailable(CANARY), "store_unavailable"),
    ],
)
def test_cause_is_a_type_and_a_code_and_never_the_message(error: Exception, expected: str) -> None:
    """Messages contain users, hosts and tokens."""
    assert cause_of(error) == expected


@pytest.mark.parametrize("attribute", ["sqlstate", "sqlite_errorname", "reason"])
def test_attribute_that_holds_no_code_is_left_out(attribute: str) -> None:
    """An exception of another library may have an attribute with the same name."""
    error = ssl.SSLError(1, CANARY) if attribute == "reason" else ValueError(CANARY)
    setattr(error, attribute, CANARY)
    assert cause_of(error) == type(error).__name__


async def redis_without_a_server() -> None:
    client = Redis(host="localhost", port=free_port(), retry=Retry(NoBackoff(), 0))
    try:
        await client.ping()
    finally:
        await client.aclose()


async def sqlite_in_no_directory() -> None:
    create_engine(f"sqlite:////nowhere/{CANARY}.db").connect()


async def name_that_does_not_exist() -> None:
    await asyncio.open_connection(f"{CANARY}.invalid", 80)


async def call_that_takes_too_long() -> None:
    async with asyncio.timeout(0.001):
        await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (redis_without_a_server, ("OSError ECONNREFUSED", "ConnectionRefusedError ECONNREFUSED")),
        (sqlite_in_no_directory, ("OperationalError SQLITE_CANTOPEN",)),
        (name_that_does_not_exist, ("gaierror EAI_",)),
        (call_that_takes_too_long, ("TimeoutError",)),
    ],
)
async def test_cause_is_found_below_what_a_driver_makes_of_it(
    call: Callable[[], object], expected: tuple[str, ...]
) -> None:
    """Drivers and SQLAlchemy wrap the exception that has the code."""
    with pytest.raises((OSError, redis.exceptions.RedisError, SQLAlchemyError)) as caught:
        await call()  # type: ignore[misc]
    assert cause_of(caught.value).startswith(expected)


def test_full_disk_of_sqlite_has_a_name(tmp_path: Path) -> None:
    """The cause has the name of SQLite's error code."""
    with sqlite3.connect(tmp_path / "full.db") as database:
        database.execute("PRAGMA max_page_count=2")
        database.execute("CREATE TABLE t (value)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            database.execute("INSERT INTO t VALUES (?)", (bytes(100_000),))
    database.close()
    assert cause_of(caught.value) == "OperationalError SQLITE_FULL"


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        ("500 Internal Server Error", b"{}", "HTTP 500"),
        ("401 Unauthorized", b'{"error": "invalid_client"}', "HTTP 401 invalid_client"),
        ("400 Bad Request", b'{"error": "invalid_grant"}', "HTTP 400 invalid_grant"),
        ("400 Bad Request", f'{{"error": "{CANARY}"}}'.encode(), "HTTP 400"),
        ("409 Conflict", b"", "HTTP 409"),
        ("200 OK", f'{{"refresh_token": "{CANARY}"}}'.encode(), "HTTP 200 without tokens"),
        ("200 OK", bytes(70_000), "answer too large"),
    ],
)
async def test_cause_of_an_airtable_error_is_its_status_and_known_code(
    head: str, body: bytes, expected: str
) -> None:
    """An unknown code could be any text, so it is left out."""
    async with upstream(answering(head, body)) as endpoint:
        assert await cause_of_a_refresh(endpoint) == expected


async def test_cause_of_an_airtable_that_hangs_up_or_is_slow() -> None:
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def stall(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)

    async with upstream(hang_up) as endpoint:
        assert await cause_of_a_refresh(endpoint) == "aiohttp.ServerDisconnectedError"
    async with upstream(stall, deadline=0.1) as endpoint:
        assert await cause_of_a_refresh(endpoint) == "TimeoutError"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"http://127.0.0.1:{free_port()}", "ConnectionRefusedError ECONNREFUSED"),
        (f"http://{CANARY}.invalid", "gaierror EAI_"),
    ],
    ids=["refused", "unknown name"],
)
async def test_cause_of_an_airtable_that_cannot_be_reached(url: str, expected: str) -> None:
    endpoint = airtable(new_transport(), url=url)
    try:
        assert (await cause_of_a_refresh(endpoint)).startswith(expected)
    finally:
        await endpoint.aclose()


async def test_cause_of_an_airtable_with_an_unknown_certificate(tmp_path: Path) -> None:
    """18 is OpenSSL's number for a self-signed certificate."""
    with https_server(self_signed_certificate(tmp_path)) as url:
        endpoint = airtable(new_transport(), url=url)
        try:
            assert await cause_of_a_refresh(endpoint) == "SSLCertVerificationError 18"
        finally:
            await endpoint.aclose()


async def cause_of_a_refresh(endpoint: TokenEndpoint) -> str:
    with pytest.raises(AirtableError) as caught:
        await endpoint.refresh(refresh_token=CANARY)
    assert CANARY not in cause_of(caught.value)
    return cause_of(caught.value)
