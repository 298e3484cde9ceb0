"""The rows that are measured, and their servers, each in its own process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import httpx

from airtable_oauth.settings import PREFIX
from tests.bench.servers import ACCESS_TOKEN, PAGE
from tests.helpers import CSRF, free_port, query_of
from tests.processes import wait_for
from tests.stores.backends import postgres_server, redis_server

_SERVER_CORE, CLIENT_CORE = "0", "1"
STORES = ("memory", "Redis", "PostgreSQL", "SQLite")
_SESSIONS = 900
"""One for each base. They take turns, so a token of one second has expired at its next turn."""
_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
_NODE = Path(__file__).parent / "node"
HAS_NODE = bool(shutil.which("node")) and (_NODE / "node_modules").is_dir()
SETTINGS = {
    "CLIENT_ID": "bench",
    "CLIENT_SECRET": "bench-secret",
    "REDIRECT_URI": "http://localhost:4200/auth-callback",
    "SCOPES": "data.records:read schema.bases:read",
    "LOGIN_TTL": "30",
}
_NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path client_body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_max_temp_file_size 0;
  keepalive_requests 100000000;
  upstream airtable {{
    server {airtable};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location /airtable/ {{
      proxy_pass http://airtable/;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {token}";
    }}
  }}
}}
"""


@dataclass
class Row:
    """One measured server."""

    name: str
    url: str
    script: str
    arguments: Sequence[str] = ()
    """Arguments of the script."""
    answer_bytes: int = 300
    """The smallest size of an answer."""
    is_node: bool = False
    """Whether the other rows of its group are compared with this one."""
    rates: list[float] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """p50 and p99 of each round, in milliseconds."""


@dataclass
class Group:
    """Rows that do the same work."""

    title: str
    rows: list[Row]
    rate: int = 0
    """If not 0, latency is measured, at this many requests per second."""


@dataclass
class Servers:
    """Starts servers at default settings, which end with `processes`. They log to `directory`."""

    processes: ExitStack
    directory: Path
    airtable: str = field(init=False)
    """The URL of the Airtable that all servers use. It shares the client's core."""

    def __post_init__(self) -> None:
        self.airtable = self.python("airtable", core=CLIENT_CORE)

    def service(
        self, store: str = "memory://", *, workers: int = 1, airtable: str | None = None
    ) -> str:
        """Start this service in a directory without an `.env`. Returns its URL.

        Two workers share the cores with the load generator: more than one core serves.
        """
        url = _free_url()
        settings = SETTINGS | {
            "PUBLIC_URL": url,
            "AIRTABLE_URL": airtable or self.airtable,
            "AIRTABLE_API_URL": airtable or self.airtable,
            "MAX_PENDING_LOGINS": "100000000",
            "STORE_URL": store,
            "ENCRYPTION_KEYS": _KEY,
        }
        serve = ["serve", "--port", _port(url), "--workers", str(workers)]
        environment = {PREFIX + name: value for name, value in settings.items()}
        return self._start(
            url,
            [sys.executable, "-m", "airtable_oauth", *serve],
            environment,
            core=_SERVER_CORE if workers == 1 else f"{_SERVER_CORE},{CLIENT_CORE}",
            directory=self.directory,
        )

    def store(self, name: str) -> str:
        """Start a store, on the core of the client. Returns its URL."""
        if name == "memory":
            return "memory://"
        if name == "SQLite":
            return f"sqlite:///{self.directory}/{free_port()}.db"
        server = redis_server(self.directory) if name == "Redis" else postgres_server()
        with _on_core(CLIENT_CORE):
            return self.processes.enter_context(server)

    def python(self, kind: str, *, core: str = _SERVER_CORE) -> str:
        """Start a server of `tests.bench.servers`. Returns its URL."""
        url = _free_url()
        command = [sys.executable, "-m", "tests.bench.servers", kind, _port(url)]
        return self._start(url, command, core=core)

    def node(self, script: str) -> str:
        """Start a script of `node/`. Returns its URL."""
        url = _free_url()
        environment = SETTINGS | {
            "NODE_ENV": "production",
            "PORT": _port(url),
            "AIRTABLE_URL": self.airtable,
            "ACCESS_TOKEN": ACCESS_TOKEN,
        }
        return self._start(url, ["node", script], environment, directory=_NODE)

    def nginx(self) -> str:
        """Start nginx as a plain proxy. Returns its URL."""
        url = _free_url()
        configuration = _NGINX.format(
            airtable=self.airtable.removeprefix("http://"), port=_port(url), token=ACCESS_TOKEN
        )
        (self.directory / "nginx.conf").write_text(configuration)
        where = ["-p", str(self.directory), "-c", "nginx.conf", "-e", "nginx.log"]
        return self._start(url, ["nginx", *where])

    def _start(
        self,
        url: str,
        command: Sequence[str],
        environment: dict[str, str] | None = None,
        *,
        core: str = _SERVER_CORE,
        directory: Path | None = None,
    ) -> str:
        log = self.processes.enter_context((self.directory / f"{_port(url)}.log").open("wb"))
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],
            env=os.environ | (environment or {}),
            cwd=directory,
            stdout=log,
            stderr=log,
        )
        self.processes.callback(process.wait)
        self.processes.callback(process.terminate)
        wait_for(url)
        return url


@contextmanager
def _on_core(core: str) -> Iterator[None]:
    """The processes that are started meanwhile stay on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _authorization(servers: Servers) -> Group:
    rows = [Row("this service", f"{servers.service()}/authorization-url", "get.lua")]
    if HAS_NODE:
        url = f"{servers.node('express.js')}/get-authorization-url"
        rows.append(Row("Express", url, "get.lua", is_node=True))
        url = f"{servers.node('fastify.js')}/authorization-url"
        rows.append(Row("Fastify, @fastify/oauth2", url, "get.lua", answer_bytes=250))
    for name in ("FastAPI", "Starlette"):
        url = f"{servers.python(name.lower())}/authorization-url"
        rows.append(Row(f"a bare {name} route", url, "get.lua"))
    return Group("Authorization URL", rows)


def _connect(servers: Servers) -> Group:
    rows = [Row("this service", servers.service(), "connect.lua", ["service"])]
    if HAS_NODE:
        url = servers.node("express.js")
        rows.append(Row("Express, axios", url, "connect.lua", ["node"], is_node=True))
    return Group("Connect flow: authorization URL and exchange in turn", rows)


def _proxy(servers: Servers) -> Group:
    """All proxies get the same requests, including the cookie of a session of this service."""
    service = servers.service()
    cookie = _session_cookie(service)
    proxies = [Row("this service", service, "proxy.lua")]
    if HAS_NODE:
        url = servers.node("proxy.js")
        proxies.append(Row("http-proxy-middleware on Express", url, "proxy.lua", is_node=True))
    proxies.append(Row("nginx", servers.nginx(), "proxy.lua"))
    for row in proxies:
        row.arguments, row.answer_bytes = [cookie], len(PAGE)
        _expect_page(row, cookie)
    return Group("Proxy: a page of a hundred records", proxies)


def _stores(servers: Servers) -> Group:
    """The same page, with each store, and with two workers."""
    rows = []
    for store, workers in (*((name, 1) for name in STORES), ("Redis", 2)):
        url = servers.service(servers.store(store), workers=workers)
        cookie = _session_cookie(url)
        name = f"{store}, {workers} workers" if workers > 1 else store
        rows.append(Row(name, url, "proxy.lua", [cookie], len(PAGE)))
        _expect_page(rows[-1], cookie)
    return Group("Proxy by store", rows)


def _refresh(servers: Servers) -> Group:
    """Every call finds an expired token."""
    airtable = servers.python("airtable-brief", core=CLIENT_CORE)
    rows = []
    for store in STORES:
        url = servers.service(servers.store(store), airtable=airtable)
        cookies = [_session_cookie(url) for _ in range(_SESSIONS)]
        rows.append(Row(store, url, "proxy.lua", cookies, len(PAGE)))
        _expect_page(rows[-1], cookies[0])
    return Group("Proxy, with a refresh in every call", rows)


def _latency(servers: Servers) -> Group:
    """The first row is Airtable itself: subtract it from the others."""
    rows = [Row("Airtable, asked directly", servers.airtable, "", [""])]
    for store in STORES:
        url = servers.service(servers.store(store))
        rows.append(Row(f"this service, {store}", url, "", [_session_cookie(url)]))
    if HAS_NODE:
        rows.append(Row("http-proxy-middleware on Express", servers.node("proxy.js"), "", [""]))
    return Group("Latency of a proxied page", rows, rate=200)


GROUPS = {
    "authorization": _authorization,
    "connect": _connect,
    "proxy": _proxy,
    "stores": _stores,
    "refresh": _refresh,
    "latency": _latency,
}


STARTS: dict[str, Callable[[Servers], str]] = {
    "this service": lambda servers: servers.service(),
    "this service, two workers": lambda servers: servers.service(
        servers.store("SQLite"), workers=2
    ),
    "a bare FastAPI route": lambda servers: servers.python("fastapi"),
}
"""Servers whose time to the first answer and memory are measured."""
if HAS_NODE:
    STARTS["Express"] = lambda servers: servers.node("express.js")


def _session_cookie(service: str) -> str:
    """Log in as a browser. Returns the cookie of the session."""
    with httpx.Client(base_url=service) as browser:
        url = browser.get("/authorization-url").raise_for_status().json()["authorizationUrl"]
        redirect = {"code": "c", "state": query_of(url)["state"]}
        browser.post("/session", json=redirect, headers=CSRF).raise_for_status()
        return f"airtable_session={browser.cookies['airtable_session']}"


def _expect_page(row: Row, cookie: str) -> None:
    url = f"{row.url}/airtable/v0/app{0:014d}/tblBench"
    answer = httpx.get(url, headers={"Cookie": cookie})
    if (answer.status_code, answer.content) != (200, PAGE):
        raise click.ClickException(f"{row.name}: {answer.status_code} is not the page")


def _free_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def _port(url: str) -> str:
    return url.rpartition(":")[2]
