"""What happens to a connection when something fails during a refresh.

Real processes, real stores. A cell is one fault with one store. `scripts/matrix` runs every cell
and prints the table of `docs/internals.md`.
"""

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click
import httpx

from airtable_oauth.factories import encrypted_store, open_store
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.settings import decode_key
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import storage_key
from airtable_oauth.stores.lease import Lease
from airtable_oauth.vault.repository import ConnectionRepository
from tests.helpers import CSRF, SCOPES, begin, decide, free_port, make_settings
from tests.processes import peer, process, wait_for
from tests.proxy import Proxy, proxy
from tests.stores.backends import postgres_server, redis_server

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
SEALED = b"\x01" + hashlib.sha256(b"airtable-oauth key id\0" + decode_key(KEY)).digest()[:8]
"""The first bytes of every value that is encrypted with this key."""
REDIRECT_URI = "http://localhost:4200/auth-callback"
UPSTREAM_TIMEOUT = 3.0
DAY = 24 * 3600
KINDS = ("redis", "postgresql", "sqlite", "memory")
_PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Outcome:
    """The result of a cell."""

    meanwhile: str
    """What the affected caller gets."""
    afterwards: str
    """`kept`, or the reason why the user must reconnect."""
    refreshes: int
    """How many refresh requests Airtable saw, including those of the test as a peer."""


@dataclass
class Node:
    """A process of the service, with its proxies to the store and to Airtable."""

    url: str
    process: Popen[bytes]
    store_proxy: Proxy | None
    airtable_proxy: Proxy


@dataclass
class Stage:
    """A store, an Airtable, and two processes that no fault affects."""

    kind: str
    store_url: str
    airtable: str
    directory: Path
    exits: ExitStack
    healthy: Node = field(init=False)
    other: Node = field(init=False)
    host: Node = field(init=False)
    """A process of an app that embeds the library."""
    patient: Node = field(init=False)
    """A process that waits a minute for Airtable."""
    blocked_host: Node = field(init=False)
    """A process of that app whose event loop is blocked."""
    host_ahead: Node = field(init=False)
    """A process of that app whose store's clock is two months ahead."""
    supervised: Node = field(init=False)
    """A supervisor with two workers."""
    spare: list[Node] = field(default_factory=list)
    """Processes for the cells that damage one. Each such cell uses up one."""
    store: Store = field(init=False)
    """The store as the test itself uses it, in the role of another process."""

    def start(self, *options: str, **settings: str) -> Node:
        """Start another process of the service."""

        def serve(port: int) -> list[str]:
            at = ("--host", "localhost", "--port", str(port))
            return [sys.executable, "-m", "airtable_oauth", "serve", *at, *options]

        return self._start(serve, settings)

    def start_host(self, **variables: str) -> Node:
        """Start another process of an app that embeds the library, see `tests/host_app.py`."""

        def serve(port: int) -> list[str]:
            at = ("--host", "localhost", "--port", str(port))
            return [sys.executable, "-m", "uvicorn", "--factory", "tests.host_app:create_app", *at]

        here = {"PYTHONPATH": str(Path(__file__).parent.parent)}
        return self._start(serve, {}, here | variables)

    def _start(
        self,
        serve: Callable[[int], list[str]],
        settings: Mapping[str, str],
        variables: Mapping[str, str] | None = None,
    ) -> Node:
        airtable_proxy = self.exits.enter_context(proxy(_port(self.airtable)))
        store_proxy = None
        store_url = self.store_url
        if _is_remote(self.kind):
            store_proxy = self.exits.enter_context(proxy(_port(store_url)))
            store_url = _moved(store_url, store_proxy.port)
        port = free_port()
        environment: dict[str, str] = {
            "CLIENT_ID": "test-client",
            "CLIENT_SECRET": "test-secret",
            "REDIRECT_URI": REDIRECT_URI,
            "SCOPES": " ".join(SCOPES),
            "PUBLIC_URL": f"http://localhost:{port}",
            "AIRTABLE_URL": _moved(self.airtable, airtable_proxy.port),
            "AIRTABLE_API_URL": self.airtable,
            "STORE_URL": store_url,
            "ENCRYPTION_KEYS": KEY,
            "UPSTREAM_TIMEOUT": str(UPSTREAM_TIMEOUT),
            "LOG_LEVEL": "warning",
        }
        started = process(serve(port), self.directory, {**environment, **settings}, variables)
        running = self.exits.enter_context(started)
        return Node(f"http://localhost:{port}", running, store_proxy, airtable_proxy)

    @contextmanager
    def store_down_for(self, node: Node) -> Iterator[None]:
        """Block all writes of this process; with SQLite, of every process."""
        if node.store_proxy is not None:
            node.store_proxy.black_hole()
            try:
                yield
            finally:
                node.store_proxy.mend()
            return
        path = self.store_url.removeprefix("sqlite:///")
        lock = sqlite3.connect(path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            lock.execute("ROLLBACK")
            lock.close()

    async def control(self, method: str, path: str, json: Any = None) -> Any:
        """Send a request to the simulator's control API."""
        async with httpx.AsyncClient(base_url=self.airtable, timeout=30) as client:
            answer = await client.request(method, f"/_simulator/{path}", json=json)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None

    async def log_in(self) -> "Login":
        """Log in, and make Airtable reject the session's access token."""
        answer, code = await self._finish_login(self.healthy, {})
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return Login(self, self.healthy, code, {"Cookie": cookie})

    async def connect_user(self, user: str) -> "Login":
        """The same for a user of the host app."""
        headers = {"X-User": user}
        _, code = await self._finish_login(self.host, headers)
        return Login(self, self.host, code, headers)

    async def _finish_login(
        self, node: Node, headers: dict[str, str]
    ) -> tuple[httpx.Response, str]:
        async with (
            httpx.AsyncClient(base_url=node.url, headers=headers, timeout=30) as browser,
            httpx.AsyncClient(timeout=30) as person,
        ):
            parameters = await decide(person, await begin(browser))
            answer = await browser.post("/session", json=parameters, headers=CSRF)
            assert answer.status_code == 201, answer.text
        await self.control("DELETE", f"grants/{parameters['code']}/access")
        return answer, parameters["code"]


@dataclass
class Login:
    """A logged-in browser and its connection."""

    stage: Stage
    witness: Node
    """A process that no fault affects, so its answers are reliable."""
    code: str
    headers: dict[str, str] = field(repr=False)

    async def tokens(self) -> list[str]:
        grant = await self.stage.control("GET", f"grants/{self.code}")
        tokens: list[str] = grant["refresh_tokens"]
        return tokens

    async def fault(self, **fields: Any) -> None:
        """Plan a fault for this connection's refresh."""
        only = (await self.tokens())[-1]
        await self.stage.control("POST", "faults", {"only": only, **fields})

    async def wait_until_fired(self) -> None:
        """Wait until the planned fault has fired."""
        only = (await self.tokens())[0]
        for _ in range(600):
            planned = await self.stage.control("GET", "faults")
            if any(fault["fired"] for fault in planned if fault["only"] == only):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the fault did not fire")

    async def call(self, node: Node) -> httpx.Response | None:
        """Call the Web API through a process. Returns None if the process ends during the call."""
        async with httpx.AsyncClient(base_url=node.url, timeout=60) as client:
            with suppress(httpx.TransportError):
                return await client.get("/airtable/v0/meta/whoami", headers=self.headers)
        return None

    async def call_status(self, node: Node) -> str:
        """The status that a caller gets, or `nothing`."""
        answer = await self.call(node)
        return "nothing" if answer is None else str(answer.status_code)

    async def state(self, node: Node) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=node.url, timeout=30) as client:
            answer = await client.get("/session", headers=self.headers)
        state: dict[str, Any] = answer.json()
        return state

    async def outcome(self, meanwhile: str) -> Outcome:
        """Call through a healthy process until the answer is definite."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while await self.call_status(self.witness) == "503":
                await asyncio.sleep(0.25)
        state = await self.state(self.witness)
        afterwards = "kept" if state["status"] == "connected" else str(state.get("reason"))
        known = set(await self.tokens())
        seen = await self.stage.control("GET", "requests")
        sent = [request for request in seen if request["path"] == "/oauth2/v1/token"]
        refreshes = [
            request
            for request in sent
            if httpx.QueryParams(request["body"]).get("refresh_token") in known
        ]
        return Outcome(meanwhile, afterwards, len(refreshes))

    async def refresh_as_a_peer(self) -> dict[str, Any]:
        """Send the refresh request that another holder of the same token would send."""
        form = {"grant_type": "refresh_token", "refresh_token": (await self.tokens())[-1]}
        async with httpx.AsyncClient(base_url=self.stage.airtable, timeout=30) as client:
            answer = await client.post(
                "/oauth2/v1/token", data=form, auth=("test-client", "test-secret")
            )
        tokens: dict[str, Any] = answer.json()
        return tokens

    async def store_as_a_peer(self, tokens: dict[str, Any]) -> None:
        """Store the new tokens as another process would."""
        records = ConnectionRepository(self.stage.store, "airtable")
        pair = TokenSet(**{name: tokens[name] for name in tokens if name != "token_type"})
        now = await self.stage.store.now()
        found = await records.load(await self.connection_id())
        assert found is not None
        renewed = found.record.renewed(pair, now, by_force=True)
        assert await records.replace(renewed, now, version=found.version)

    async def connection_id(self) -> str:
        first = (await self.tokens())[0]
        async for found in ConnectionRepository(self.stage.store, "airtable").all():
            if found.record.refresh_token == first:
                return found.record.id
        raise AssertionError("no such connection")


Cell = Callable[[Stage], Awaitable[Outcome]]


def faulty_answer(**fault: Any) -> Cell:
    """A cell in which the token endpoint, or the connection to it, fails once in this way."""

    async def cell(stage: Stage) -> Outcome:
        login = await stage.log_in()
        await login.fault(**fault)
        return await login.outcome(await login.call_status(stage.other))

    return cell


async def not_sent(stage: Stage) -> Outcome:
    login, node = await stage.log_in(), stage.spare.pop()
    node.airtable_proxy.refuse()
    return await login.outcome(await login.call_status(node))


async def conflict_with_a_peer(stage: Stage) -> Outcome:
    login = await stage.log_in()
    tokens = await login.refresh_as_a_peer()
    call = asyncio.ensure_future(login.call_status(stage.other))
    await asyncio.sleep(1)
    await login.store_as_a_peer(tokens)
    return await login.outcome(await call)


async def conflict_without_a_peer(stage: Stage) -> Outcome:
    login = await stage.log_in()
    await login.refresh_as_a_peer()
    return await login.outcome(await login.call_status(stage.other))


async def peer_won(stage: Stage) -> Outcome:
    """The request is held until a peer has refreshed and stored, however long that takes."""
    login, node = await stage.log_in(), stage.patient
    await login.fault(held=True, status=400, body='{"error": "invalid_grant"}')
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    await login.store_as_a_peer(await login.refresh_as_a_peer())
    await stage.control("POST", "faults/release")
    return await login.outcome(await call)


async def revoked(stage: Stage) -> Outcome:
    login = await stage.log_in()
    await login.fault(status=400, body='{"error": "invalid_grant"}')
    return await login.outcome(await login.call_status(stage.other))


async def caller_gone(stage: Stage) -> Outcome:
    login = await stage.log_in()
    await login.fault(delay=1)
    call = asyncio.ensure_future(login.call_status(stage.other))
    await login.wait_until_fired()
    call.cancel()
    return await login.outcome("nothing")


async def store_down_before(stage: Stage) -> Outcome:
    login, node = await stage.log_in(), stage.spare.pop()
    with stage.store_down_for(node):
        meanwhile = await login.call_status(node)
    return await login.outcome(meanwhile)


async def store_down_after(stage: Stage) -> Outcome:
    login, node = await stage.log_in(), stage.spare.pop()
    await login.fault(delay=1.5)
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    with stage.store_down_for(node):
        meanwhile = await call
    return await login.outcome(meanwhile)


async def sigterm(stage: Stage) -> Outcome:
    login, node = await stage.log_in(), stage.spare.pop()
    await login.fault(delay=1.5)
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    node.process.send_signal(signal.SIGTERM)
    return await login.outcome(await call)


async def killed_with_the_lease(stage: Stage) -> Outcome:
    """The test acts as the process that crashes: it acquires the lease and does nothing else."""
    login = await stage.log_in()
    key = storage_key("airtable", "lease", "refresh", await login.connection_id())
    assert await Lease(stage.store, key, UPSTREAM_TIMEOUT + 9).acquire()
    return await login.outcome("nothing")


async def killed_before_it_is_sent(stage: Stage) -> Outcome:
    login, node = await stage.log_in(), stage.spare.pop()
    node.airtable_proxy.black_hole()
    call = asyncio.ensure_future(login.call_status(node))
    while (await login.state(stage.healthy))["status"] != "refreshing":
        await asyncio.sleep(0.02)
    node.process.kill()
    return await login.outcome(await call)


def killed(**fault: Any) -> Cell:
    """A cell in which the process is killed after Airtable has received the request."""

    async def cell(stage: Stage) -> Outcome:
        login, node = await stage.log_in(), stage.spare.pop()
        await login.fault(**fault)
        call = asyncio.ensure_future(login.call_status(node))
        await login.wait_until_fired()
        await asyncio.sleep(0.1)
        node.process.kill()
        return await login.outcome(await call)

    return cell


async def killed_before_it_is_stored(stage: Stage) -> Outcome:
    login, node = await stage.log_in(), stage.spare.pop()
    await login.fault(delay=1.5)
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    with stage.store_down_for(node):
        await asyncio.sleep(2)
        node.process.kill()
        meanwhile = await call
    return await login.outcome(meanwhile)


def suspended(seconds: float) -> Cell:
    """A cell in which the process is suspended while Airtable answers, like a frozen container."""

    async def cell(stage: Stage) -> Outcome:
        login, node = await stage.log_in(), stage.spare.pop()
        await login.fault(delay=1.5)
        call = asyncio.ensure_future(login.call_status(node))
        await login.wait_until_fired()
        node.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        node.process.send_signal(signal.SIGCONT)
        return await login.outcome(await call)

    return cell


async def suspended_until_another_gave_up(stage: Stage) -> Outcome:
    """Another process acquires the lease, and Airtable answers it `invalid_grant`."""
    login, node = await stage.log_in(), stage.spare.pop()
    await login.fault(delay=1.5)
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    node.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await login.call_status(stage.healthy) != "401":
            await asyncio.sleep(0.25)
    assert (await login.state(stage.healthy))["reason"] == LOST
    node.process.send_signal(signal.SIGCONT)
    meanwhile = await call
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await login.call_status(stage.healthy) == "401":
            await asyncio.sleep(0.25)
    return await login.outcome(meanwhile)


async def blocked(stage: Stage) -> Outcome:
    """Other code in the host's process blocks the event loop for longer than the deadline."""
    login, node = await stage.connect_user("blocked"), stage.blocked_host
    await login.fault(delay=1)
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    async with httpx.AsyncClient(base_url=node.url, timeout=30) as client:
        await client.post("/block", params={"seconds": UPSTREAM_TIMEOUT + 2})
    return await login.outcome(await call)


async def silent_worker(stage: Stage) -> Outcome:
    """A supervisor pings its workers, and by default kills those that do not answer in time."""
    login, node = await stage.log_in(), stage.supervised
    await login.fault(delay=1.5)
    call = asyncio.ensure_future(login.call_status(node))
    await login.wait_until_fired()
    workers = _children(node.process.pid)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    await asyncio.sleep(_SILENT_SECONDS)
    assert set(workers) <= set(_children(node.process.pid)), "the supervisor killed a worker"
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    return await login.outcome(await call)


async def clock_jumps(stage: Stage) -> Outcome:
    """The store's clock is two months ahead for a while."""
    login = await stage.connect_user("late")
    meanwhile = await login.call_status(stage.host_ahead)
    return await login.outcome(meanwhile)


async def claim_without_reply(stage: Stage) -> Outcome:
    """The store marks a login as claimed, but its reply is lost."""
    node = stage.spare.pop()
    assert node.store_proxy is not None
    async with (
        httpx.AsyncClient(base_url=stage.healthy.url, timeout=30) as browser,
        httpx.AsyncClient(timeout=30) as person,
    ):
        parameters = await decide(person, await begin(browser))
        node.store_proxy.lost_reply = (
            SEALED  # the claim is the first value that this process stores
        )
        answer = await browser.post(f"{node.url}/session", json=parameters, headers=CSRF)
    assert node.store_proxy.lost == 1
    cookie = answer.headers["set-cookie"].partition(";")[0]
    login = Login(stage, stage.healthy, parameters["code"], {"Cookie": cookie})
    afterwards = "kept" if await login.call_status(stage.healthy) == "200" else "lost"
    seen = await stage.control("GET", "requests")
    bodies = [httpx.QueryParams(request["body"]) for request in seen]
    exchanges = [body for body in bodies if body.get("code") == parameters["code"]]
    return Outcome(str(answer.status_code), afterwards, len(exchanges))


LOST = "rotation_lost"
CELLS: dict[str, tuple[Cell, Outcome]] = {
    "Airtable cannot be reached": (not_sent, Outcome("503", "kept", 1)),
    "dropped before the commit": (faulty_answer(drop=True), Outcome("503", "kept", 2)),
    "dropped after the commit": (faulty_answer(drop=True, commit=True), Outcome("503", LOST, 2)),
    "timeout before the commit": (faulty_answer(delay=4, drop=True), Outcome("503", "kept", 2)),
    "timeout after the commit": (
        faulty_answer(commit=True, hold=4, drop=True),
        Outcome("503", LOST, 2),
    ),
    "5xx before the commit": (faulty_answer(status=502), Outcome("503", "kept", 2)),
    "5xx after the commit": (faulty_answer(status=502, commit=True), Outcome("503", LOST, 2)),
    "junk before the commit": (faulty_answer(junk="html"), Outcome("503", "kept", 2)),
    "junk after the commit": (faulty_answer(junk="html", commit=True), Outcome("503", LOST, 2)),
    "429 before the commit": (faulty_answer(status=429), Outcome("503", "kept", 2)),
    "409, and a peer stores its pair": (conflict_with_a_peer, Outcome("200", "kept", 2)),
    "409, and no process has the pair": (conflict_without_a_peer, Outcome("503", LOST, 3)),
    "`invalid_grant` after a peer won": (peer_won, Outcome("200", "kept", 2)),
    "`invalid_grant`": (revoked, Outcome("401", "revoked", 1)),
    "`invalid_client`": (
        faulty_answer(status=401, body='{"error": "invalid_client"}'),
        Outcome("500", "kept", 2),
    ),
    "store down before the call": (store_down_before, Outcome("503", "kept", 1)),
    "store down after the answer": (store_down_after, Outcome("503", "kept", 1)),
    "caller gone": (caller_gone, Outcome("nothing", "kept", 1)),
    "SIGTERM": (sigterm, Outcome("200", "kept", 1)),
    "`kill -9` with the lease, before the marker": (
        killed_with_the_lease,
        Outcome("nothing", "kept", 1),
    ),
    "`kill -9` with the marker, before the request is sent": (
        killed_before_it_is_sent,
        Outcome("nothing", "kept", 1),
    ),
    "`kill -9` before the commit": (killed(delay=5, drop=True), Outcome("nothing", "kept", 2)),
    "`kill -9` after the commit": (
        killed(commit=True, hold=5, drop=True),
        Outcome("nothing", LOST, 2),
    ),
    "`kill -9` with the answer, before it is stored": (
        killed_before_it_is_stored,
        Outcome("nothing", LOST, 2),
    ),
    "suspended for longer than the deadline": (
        suspended(UPSTREAM_TIMEOUT + 2),
        Outcome("200", "kept", 1),
    ),
    "suspended until another process has stored `rotation_lost`": (
        suspended_until_another_gave_up,
        Outcome("200", "kept", 2),
    ),
    "the event loop is blocked for longer than the deadline": (
        blocked,
        Outcome("200", "kept", 1),
    ),
    "a worker does not respond for longer than uvicorn's default limit": (
        silent_worker,
        Outcome("200", "kept", 1),
    ),
    "the clock jumps by 61 days and back": (clock_jumps, Outcome("200", "kept", 2)),
    "a login: the reply to its claim is lost": (claim_without_reply, Outcome("201", "kept", 1)),
}

_SPARE = 11
_SILENT_SECONDS = 8.0
"""uvicorn's supervisor waits for five seconds by default."""
_LOCK_SQLITE = {store_down_before, store_down_after, killed_before_it_is_stored}
"""With SQLite these cells block every process."""
_NEED_A_PEER = {
    *_LOCK_SQLITE,
    *(not_sent, conflict_with_a_peer, peer_won, sigterm),
    *(killed_with_the_lease, killed_before_it_is_sent),
    *(suspended_until_another_gave_up, blocked, silent_worker, clock_jumps),
}


_NEED_A_NETWORK = {claim_without_reply}
_HURT = ("`kill -9`", "suspended")
"""Cells whose names begin with these words damage a spare process."""


def reachable(kind: str) -> list[str]:
    """The cells that apply to this store.

    With `memory` there is a single process, whose data ends with it. SQLite has no network that
    could lose a reply.
    """
    names = [
        name for name, (cell, _) in CELLS.items() if cell not in _NEED_A_NETWORK or _is_remote(kind)
    ]
    if kind != "memory":
        return names
    alone = [name for name in names if CELLS[name][0] not in _NEED_A_PEER]
    return [name for name in alone if not name.startswith(_HURT)]


def _is_remote(kind: str) -> bool:
    return kind in ("redis", "postgresql")


@asynccontextmanager
async def stage(kind: str) -> AsyncIterator[Stage]:
    """Start what the cells of a store share."""
    with ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        made = await asyncio.to_thread(_stage, kind, directory, exits)
        await made.control("POST", "lifetimes", {"grace": 3})
        settings = make_settings(store_url=made.store_url, encryption_keys=KEY)
        made.store = encrypted_store(open_store(settings), settings)
        try:
            await made.store.now()
            yield made
        finally:
            await made.store.close()


def _stage(kind: str, directory: Path, exits: ExitStack) -> Stage:
    store_url = _store_url(kind, directory, exits)
    port = free_port()
    arguments = [
        *("simulator", "--port", str(port), "--redirect-uri", REDIRECT_URI, "--record-secrets"),
        *("--client-id", "test-client", "--client-secret", "test-secret"),
    ]
    exits.enter_context(peer(arguments, directory))
    wait_for(f"http://127.0.0.1:{port}")
    made = Stage(kind, store_url, f"http://127.0.0.1:{port}", directory, exits)
    made.healthy = made.start()
    made.other = made.start() if kind != "memory" else made.healthy
    if kind != "memory":
        made.host = made.start_host()
        made.blocked_host = made.start_host()
        made.host_ahead = made.start_host(CLOCK_AHEAD=str(61 * DAY))
        made.supervised = made.start("--workers", "2")
        made.patient = made.start(UPSTREAM_TIMEOUT="60")
    made.spare = [made.start() for _ in range(_SPARE if kind != "memory" else 0)]
    nodes = [made.healthy, made.other, *made.spare]
    if kind != "memory":
        nodes += [made.host, made.patient, made.blocked_host, made.host_ahead, made.supervised]
    for node in nodes:
        wait_for(node.url)
    return made


def _store_url(kind: str, directory: Path, exits: ExitStack) -> str:
    if kind == "redis":
        return exits.enter_context(redis_server(directory))
    if kind == "postgresql":
        return exits.enter_context(postgres_server())
    return f"sqlite:///{directory}/store.db" if kind == "sqlite" else "memory://"


async def run(kind: str) -> dict[str, Outcome | BaseException]:
    """Run every cell of a store. A cell that fails has its exception as outcome."""
    async with stage(kind) as made:
        names = reachable(kind)
        alone = [n for n in names if kind == "sqlite" and CELLS[n][0] in _LOCK_SQLITE]
        together = [name for name in names if name not in alone]
        ended = await asyncio.gather(
            *(CELLS[name][0](made) for name in together), return_exceptions=True
        )
        outcomes: dict[str, Outcome | BaseException] = dict(zip(together, ended, strict=True))
        for name in alone:
            (outcomes[name],) = await asyncio.gather(CELLS[name][0](made), return_exceptions=True)
        return outcomes


def table() -> str:
    """The expected outcomes, as the table in `docs/internals.md`."""
    lines = [
        "| what happens in the middle of a refresh | the caller gets | afterwards | requests |",
        "|---|---|---|---|",
    ]
    for name, (_, expected) in CELLS.items():
        end = "kept" if expected.afterwards == "kept" else f"`{expected.afterwards}`"
        lines.append(f"| {name} | {expected.meanwhile} | {end} | {expected.refreshes} |")
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("kinds", nargs=-1, type=click.Choice(KINDS))
def main(kinds: tuple[str, ...]) -> None:
    """Run the cells of each store and report those with another outcome."""
    wrong = 0
    for kind in kinds or KINDS:
        outcomes = asyncio.run(run(kind))
        for name, outcome in outcomes.items():
            if outcome != CELLS[name][1]:
                wrong += 1
                click.echo(f"{kind}: {name}: {outcome!r}, not {CELLS[name][1]!r}", err=True)
        click.echo(f"{kind}: {len(outcomes)} cells", err=True)
    click.echo(table())
    raise SystemExit(1 if wrong else 0)


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-f", "spawn_main"], capture_output=True, text=True, check=True
    )
    return [int(child) for child in found.stdout.split()]


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _moved(url: str, port: int) -> str:
    parts = urlsplit(url)
    netloc = parts.netloc.replace(f":{parts.port}", f":{port}")
    return urlunsplit(parts._replace(netloc=netloc))


if __name__ == "__main__":
    main()
