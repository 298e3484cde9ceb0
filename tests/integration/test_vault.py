"""Connections over real processes, sockets and stores."""

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from airtable_oauth import AirtableOAuth, TokenSet
from airtable_oauth.simulator import some_users
from tests.helpers import CSRF, SCOPES, begin, decide, settings_of
from tests.processes import Stack, stack
from tests.stores.backends import postgres_server

pytestmark = pytest.mark.integration

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
KEY_B = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"
WHOAMI = "/airtable/v0/meta/whoami"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Stack]:
    """Three workers with Redis."""
    directory = tmp_path_factory.mktemp("vault")
    with stack(
        directory,
        workers=3,
        users=200,
        STORE_URL=redis_url,
        ENCRYPTION_KEYS=KEY,
        SCOPES=" ".join((*SCOPES, "data.records:write")),
    ) as made:
        yield made


@asynccontextmanager
async def logged_in(service: Stack, user: str = "") -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a session. Each request uses a new connection, so any worker may get it."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=service.api, limits=limits, timeout=30) as browser:
        await log_in(browser, user)
        yield browser


async def log_in(browser: httpx.AsyncClient, user: str = "") -> None:
    async with httpx.AsyncClient(timeout=30) as person:
        parameters = await decide(person, await begin(browser), user=user)
    answer = await browser.post("/session", json=parameters, headers=CSRF)
    assert answer.status_code == 201, answer.text
    browser.headers["X-Code"] = parameters["code"]  # only tests read it


async def control(service: Stack, method: str, path: str, json: Any = None) -> Any:
    async with httpx.AsyncClient(base_url=service.airtable) as client:
        answer = await client.request(method, f"/_simulator/{path}", json=json)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


def refreshes(service: Stack) -> int:
    forms = [httpx.QueryParams(each["body"]) for each in service.seen() if "oauth2" in each["path"]]
    return sum(form.get("grant_type") == "refresh_token" for form in forms)


@asynccontextmanager
async def expired(service: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A browser whose access token has expired, which the service knows."""
    await control(service, "POST", "lifetimes", {"access_token": 1})
    async with logged_in(service) as browser:
        await control(service, "POST", "lifetimes", {"access_token": 3600})
        await asyncio.sleep(1.1)
        yield browser


async def call(browser: httpx.AsyncClient) -> int:
    """Call the Web API. Repeats the call if the connection breaks."""
    while True:
        with contextlib.suppress(httpx.TransportError):
            return (await browser.get(WHOAMI)).status_code


@pytest.mark.parametrize("delay", [0, 1.5])
async def test_hundred_calls_at_expiry_are_one_refresh(service: Stack, delay: float) -> None:
    """This holds for three workers, also if Airtable takes longer than a second."""
    async with expired(service) as browser:
        before = refreshes(service)
        await control(service, "POST", "faults", {"delay": delay})
        statuses = await asyncio.gather(*(call(browser) for _ in range(100)))
    assert statuses == [200] * 100
    assert refreshes(service) == before + 1


async def test_hundred_calls_succeed_while_a_worker_is_killed(service: Stack) -> None:
    """The worker is not the one that refreshes."""
    async with expired(service) as browser:
        before = refreshes(service)
        async with asyncio.timeout(20):  # until no worker has a connection to Airtable
            while any(talks_to(pid, service.airtable) for pid in workers(service)):
                await asyncio.sleep(0.1)
        await control(service, "POST", "faults", {"delay": 1.5})
        calls = [asyncio.ensure_future(call(browser)) for _ in range(100)]
        while refreshes(service) == before:
            await asyncio.sleep(0.02)
        idle = [pid for pid in workers(service) if not talks_to(pid, service.airtable)]
        assert len(idle) == 2
        os.kill(idle[0], signal.SIGKILL)
        statuses = await asyncio.gather(*calls)
    assert statuses == [200] * 100
    assert refreshes(service) == before + 1
    while len(workers(service)) < 3:
        await asyncio.sleep(0.1)


def workers(service: Stack) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(service.process.pid), "-f", "spawn_main"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(pid) for pid in found.stdout.split()]


def talks_to(pid: int, url: str) -> bool:
    """Whether a process has an open connection to the URL's port."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[2].endswith(port) and row[3] == "01"}
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return any(link == f"socket:[{inode}]" for link in links for inode in inodes)


@pytest.mark.parametrize(
    "method",
    [
        *("GET", "POST", "DELETE"),
        *(pytest.param(method, marks=pytest.mark.thorough) for method in ("PATCH", "PUT")),
    ],
)
async def test_call_in_flight_when_the_tokens_rotate_succeeds(service: Stack, method: str) -> None:
    """Its token expires while it waits. It is then sent again, and carried out only once."""
    base, table = await a_table(service)
    async with logged_in(service) as browser:
        path = f"/airtable/v0/{base}/{table}"
        made = await browser.post(path, json={"fields": {"SKU": f"old-{method}"}}, headers=CSRF)
        record = made.json()["id"]
        await asyncio.sleep(1.1)
        await control(service, "POST", "faults", {"path": f"/v0/{base}/{table}", "delay": 0.8})
        options: dict[str, Any] = {}
        if method in ("POST", "PATCH", "PUT"):
            item = {"fields": {"SKU": f"new-{method}"}} | (
                {} if method == "POST" else {"id": record}
            )
            options["json"] = {"records": [item]}
        if method == "DELETE":
            options["params"] = {"records[]": record}
        slow = asyncio.ensure_future(browser.request(method, path, headers=CSRF, **options))
        await asyncio.sleep(0.3)
        await control(service, "DELETE", f"grants/{browser.headers['X-Code']}/access")
        assert await call(browser) == 200  # refreshes the tokens
        answer = await slow
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(1.1)
        rows = (await browser.get(path)).json()["records"]
    skus = [row["fields"].get("SKU") for row in rows]
    assert skus.count(f"new-{method}") == (method in ("POST", "PATCH", "PUT"))
    tries = [
        each
        for each in service.seen()
        if each["method"] == method and each["path"] == f"/v0/{base}/{table}"
    ]
    assert [each["status"] for each in tries[-2 if method != "GET" else -3 :]][:2] == [401, 200]


async def a_table(service: Stack) -> tuple[str, str]:
    async with logged_in(service) as browser:
        bases = (await browser.get("/airtable/v0/meta/bases")).json()["bases"]
        base = next(each["id"] for each in bases if each["name"].startswith("Inventory"))
        tables = (await browser.get(f"/airtable/v0/meta/bases/{base}/tables")).json()["tables"]
    return base, next(each["id"] for each in tables if each["name"] == "Products")


@pytest.mark.parametrize("users", [80, pytest.param(200, marks=pytest.mark.thorough)])
async def test_no_user_sees_the_data_of_another(service: Stack, users: int) -> None:
    """Connections break at random. Airtable's cookies must not be shared, either."""
    earlier = len(service.seen())
    chance = random.Random(7)  # noqa: S311 (the same every time)
    wrong: list[Any] = []
    seen = 0

    async def use(user: str) -> None:
        nonlocal seen
        async with logged_in(service, user) as browser:
            for _ in range(5):
                request = asyncio.ensure_future(browser.get(WHOAMI))
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() / 20)
                    request.cancel()
                    with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
                        await request
                    continue
                answer = await request
                if answer.status_code == 200 and answer.json()["id"] != user:
                    wrong.append((user, answer.text))
                seen += answer.status_code == 200

    await control(service, "POST", "faults", {"path": "/v0", "drop": True, "times": 20})
    await asyncio.gather(*(use(user.id) for user in some_users(users)))
    await control(service, "DELETE", "faults")
    assert wrong == []
    assert seen > 2.5 * users
    calls = [each for each in service.seen()[earlier:] if each["path"].startswith("/v0")]
    assert len(calls) > 3.5 * users
    assert [each for each in calls if "cookie" in each["headers"]] == []
    assert len({each["headers"]["authorization"] for each in calls}) >= users


# Stored data


@pytest.fixture(
    params=[
        "redis",
        *(pytest.param(k, marks=pytest.mark.thorough) for k in ("postgresql", "sqlite")),
    ]
)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """A store for this test alone: its kind, its URL, and the directory of its files."""
    if request.param == "sqlite":
        yield request.param, f"sqlite:///{tmp_path}/store.db", tmp_path
    elif request.param == "redis":
        yield request.param, request.getfixturevalue("redis_url"), tmp_path
    else:
        with postgres_server() as url:
            yield request.param, url, tmp_path


async def dump(kind: str, url: str, directory: Path) -> bytes:
    """Everything that an attacker who copies the store would have."""
    if kind == "redis":
        async with Redis.from_url(url) as client:
            keys = [key async for key in client.scan_iter()]
            return b"\n".join([key + b"=" + (await client.get(key) or b"") for key in keys])
    if kind == "postgresql":
        done = subprocess.run(
            ["pg_dump", "--dbname", url, "--data-only"], capture_output=True, check=True
        )
        values = re.findall(rb"\\\\x([0-9a-f]+)", done.stdout)
        return done.stdout + b"\n".join(bytes.fromhex(value.decode()) for value in values)
    return b"".join(file.read_bytes() for file in sorted(directory.glob("store.db*")))


async def adopted(service: Stack) -> set[str]:
    """Add a host user's connection to the store. Returns its secrets."""
    airtable = AirtableOAuth(settings_of(service.environment))
    tokens = TokenSet("oaa-CANARY-access", "oar-CANARY-refresh", "a:read", 3600, 5184000)
    async with airtable.lifespan():
        await airtable.adopt("user-CANARY-name", tokens, {"plan": "data-CANARY-plan"})
    return {"oaa-CANARY-access", "oar-CANARY-refresh", "user-CANARY-name", "data-CANARY-plan"}


async def test_dump_of_the_store_shows_no_secret(stored: tuple[str, str, Path]) -> None:
    """The run includes pending and finished logins, sessions, refreshes and a disconnect."""
    kind, url, directory = stored
    secrets: set[str] = set()
    with stack(directory, workers=2, STORE_URL=url, ENCRYPTION_KEYS=KEY) as service:
        async with logged_in(service) as browser, logged_in(service) as leaver:
            for each in (browser, leaver):
                cookies = dict(each.cookies).values()
                secrets |= {value.partition(".")[2] or value for value in cookies}
                await control(service, "DELETE", f"grants/{each.headers['X-Code']}/access")
                assert await call(each) == 200
            pending = await begin(browser)
            secrets.add(httpx.URL(pending).params["state"])
            await leaver.delete("/session", headers=CSRF)
            for each in (browser, leaver):
                code = each.headers["X-Code"]
                secrets.add(code)
                grant = await control(service, "GET", f"grants/{code}")
                secrets |= set(grant["refresh_tokens"])
        for request in service.seen():
            form = httpx.QueryParams(request["body"]) if "oauth2" in request["path"] else {}
            secrets |= {form.get("code_verifier", ""), form.get("code", "")}
            secrets.add(request["headers"].get("authorization", "").removeprefix("Bearer "))
        secrets |= await adopted(service)
        contents = await dump(kind, url, directory)
    assert b"airtable:connection:" in contents
    assert b"airtable:session:" in contents
    assert b"airtable:owner:" in contents
    secrets -= {""}
    assert len(secrets) > 15
    assert [secret for secret in secrets if secret.encode() in contents] == []


async def test_unknown_encryption_key_ends_no_session(stored: tuple[str, str, Path]) -> None:
    """It is a configuration error. With the key restored, sessions work as before."""
    _, url, directory = stored
    with stack(directory, STORE_URL=url, ENCRYPTION_KEYS=KEY) as service:
        async with logged_in(service) as browser:
            cookies = dict(browser.cookies)
    for keys, status in ((KEY_B, 503), (f"{KEY_B},{KEY}", 200)):
        with stack(directory, STORE_URL=url, ENCRYPTION_KEYS=keys) as service:
            async with httpx.AsyncClient(base_url=service.api, cookies=cookies) as browser:
                answer = await browser.get("/session")
                assert answer.status_code == status, answer.text
                if status == 503:
                    assert answer.json()["error"] == "unknown_encryption_key"
                    assert answer.json()["action"] == "fix_config"


@pytest.mark.thorough
async def test_keys_are_rotated_while_the_service_runs(stored: tuple[str, str, Path]) -> None:
    """Afterwards the old key can be removed, and the session still works."""
    _, url, directory = stored
    with stack(directory, STORE_URL=url, ENCRYPTION_KEYS=KEY) as service:
        async with logged_in(service) as browser:
            cookies = dict(browser.cookies)
    with stack(directory, STORE_URL=url, ENCRYPTION_KEYS=f"{KEY_B},{KEY}") as service:
        done = subprocess.run(
            [*service.command, "keys", "rotate"],
            env=os.environ | service.environment,
            cwd=directory,
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(done.stdout.split()[0]) >= 3
        assert done.stdout.endswith("Every record is encrypted with the first key.\n")
        async with httpx.AsyncClient(base_url=service.api, cookies=cookies) as browser:
            assert (await browser.get("/session")).status_code == 200
    with stack(directory, STORE_URL=url, ENCRYPTION_KEYS=KEY_B) as service:
        async with httpx.AsyncClient(base_url=service.api, cookies=cookies) as browser:
            assert (await browser.get("/session")).status_code == 200


async def test_swapped_records_are_not_read(service: Stack, redis_url: str) -> None:
    """Moving ciphertexts cannot make one user another. A new login repairs the session."""
    async with Redis.from_url(redis_url) as client:
        before = {key async for key in client.scan_iter("airtable:session:*")}
        async with logged_in(service) as one, logged_in(service) as other:
            keys = {key async for key in client.scan_iter("airtable:session:*")}
            first, second = keys - before
            values = [await client.get(key) or b"" for key in (second, first)]
            for key, value in zip((first, second), values, strict=True):
                await client.set(key, value, keepttl=True)
            for browser in (one, other):
                for path in ("/session", WHOAMI):
                    answer = await browser.get(path)
                    assert (answer.status_code, answer.json()["error"]) == (503, "damaged_record")
                await log_in(browser)
                assert (await browser.get("/session")).status_code == 200
            await client.delete(first, second)


async def test_restart_on_sqlite_loses_nothing(tmp_path: Path) -> None:
    """Two workers share the file."""
    url = f"sqlite:///{tmp_path}/store.db"
    with stack(tmp_path, workers=2, STORE_URL=url, ENCRYPTION_KEYS=KEY) as service:
        async with logged_in(service) as browser:
            assert [await call(browser) for _ in range(20)] == [200] * 20
            cookies = dict(browser.cookies)
    with stack(tmp_path, workers=2, STORE_URL=url, ENCRYPTION_KEYS=KEY) as service:
        async with httpx.AsyncClient(base_url=service.api, cookies=cookies) as browser:
            assert (await browser.get("/session")).json()["status"] == "connected"
