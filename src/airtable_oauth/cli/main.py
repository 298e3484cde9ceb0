"""`airtable-oauth`: the only place that starts processes."""

import asyncio
import base64
import gc
import json
import math
import multiprocessing
import multiprocessing.connection
import os
import secrets
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import uvicorn
from click.core import ParameterSource
from fastapi import FastAPI
from pydantic import ValidationError

from airtable_oauth.app import create_app
from airtable_oauth.cli import check as doctor
from airtable_oauth.cli.findings import Level
from airtable_oauth.encoding import base64url
from airtable_oauth.errors import (
    AirtableOAuthError,
    DamagedRecord,
    NotConnected,
    StoreUnavailable,
    UnknownEncryptionKey,
    UnknownRecordFormat,
)
from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.logs import logging_config
from airtable_oauth.settings import PREFIX, WEBHOOK_SECRET_PREFIX, Settings, faults
from airtable_oauth.store_factory import open_store, sealed
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.resealing import Resealing, reseal_all
from airtable_oauth.vault.idle import IdleOutcome
from airtable_oauth.vault.model import Connection
from airtable_oauth.vault.refresh import lease_seconds
from airtable_oauth.web.frontend import create_frontend
from airtable_oauth.web.server import MAX_CONNECTIONS, LimitedProtocol

_DEMO_SCOPES = "data.records:read data.records:write schema.bases:read user.email:read"
_DEMO_SECRET = "demo-secret"  # noqa: S105 (of the simulator, and published)
_DRAIN_SECONDS = 30
_GARBAGE = 10_000
"""New objects between two looks for garbage; 700 is Python's own."""
_HTTP_PORT = 80
_KEY_BYTES = 32
_OTHER_FILES = 500
"""Sockets and files of a process besides its clients' connections: store, Airtable, Python."""
_START_SECONDS = 30.0
_BACKLOG = 256
"""Connections that the system holds ready. The event loop accepts all of them at once, and serves
none of its clients meanwhile."""
_COLUMNS = "{:<26}  {:<13}  {:<12}  {:<24}  {}"
_REMEDIES = {
    UnknownEncryptionKey.error: f"put their key back into {PREFIX}ENCRYPTION_KEYS.",
    UnknownRecordFormat.error: "a newer version wrote them, or they are not encrypted.",
    DamagedRecord.error: "they were changed or moved outside the service; restore or remove them.",
}

T = TypeVar("T")

_port = click.IntRange(1, 65535)
_tokens = click.option(
    "--tokens",
    type=click.Choice(["server", "browser"]),
    default="server",
    show_default=True,
    help="Where the pages have tokens kept: by the service (sessions), or in their tab.",
)


def _app_origin(_context: click.Context, _option: click.Parameter, origin: str) -> str:
    """An origin that shares cookies with the service on localhost."""
    if not origin:
        return ""
    try:
        parts = urlsplit(origin)
        port = parts.port or _HTTP_PORT
    except ValueError:
        raise click.BadParameter("must be an origin, like http://localhost:5173") from None
    if (parts.scheme, parts.hostname) != ("http", "localhost") or "@" in parts.netloc:
        raise click.BadParameter(
            "must begin with http://localhost: the service is on localhost, and a browser does not "
            "send its cookies from another site, such as 127.0.0.1"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise click.BadParameter("must be an origin without a path, like http://localhost:5173")
    return "http://localhost" if port == _HTTP_PORT else f"http://localhost:{port}"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="airtable-oauth")
def main() -> None:
    """Connect an app to Airtable: OAuth 2.0 with PKCE."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=_port, help="Port to listen on.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    envvar="WEB_CONCURRENCY",
    show_envvar=True,
    type=click.IntRange(1, 256),
    help="Processes. More than one needs a store that they share.",
)
@click.option(
    "--max-connections",
    default=MAX_CONNECTIONS,
    show_default=True,
    type=click.IntRange(10, 100_000),
    help="Open connections of a process. Beyond it the one that waited longest is closed.",
)
def serve(host: str, port: int, workers: int, max_connections: int) -> None:
    """Run the service, configured by AIRTABLE_OAUTH_… variables or a .env file."""
    settings = _settings()
    if workers > 1 and settings.store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            f"{PREFIX}STORE_URL: memory:// belongs to one process, and {workers} workers are asked "
            "for: use sqlite:///…, redis://… or postgresql://…"
        )
    try:
        create_app(settings)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None
    _free(host, port)
    _allow_files(max_connections + _OTHER_FILES)
    _run(
        "airtable_oauth.cli.main:worker",
        host=host,
        port=port,
        factory=True,
        workers=workers,
        limit_concurrency=max_connections,
        backlog=_BACKLOG,
        log_level=settings.log_level,
        log_format=settings.log_format,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        drain=_DRAIN_SECONDS,
        # The supervisor kills a worker that is silent for longer: not in the middle of a refresh.
        timeout_worker_healthcheck=1
        + math.ceil(lease_seconds(settings.upstream_timeout, settings.store_patience)),
    )


def worker() -> FastAPI:
    """The service, in a process of its own.

    What is there by now stays: to look through it for garbage, again and again, costs a sixth of a
    proxied request.
    """
    app = create_app()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    return app


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4300, show_default=True, type=_port, help="Port to listen on.")
@click.option("--client-id", default="demo-client", show_default=True)
@click.option(
    "--client-secret",
    default=_DEMO_SECRET,
    show_default=True,
    help="Empty for an integration without a secret.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    default=["http://localhost:4200/auth-callback"],
    show_default=True,
    help="A registered redirect URI; may be repeated.",
)
@click.option("--scopes", default=_DEMO_SCOPES, show_default=True, help="The enabled scopes.")
@click.option(
    "--users",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many people may be signed in; the consent page asks which of them it is.",
)
@click.option(
    "--control-host",
    "control_hosts",
    multiple=True,
    metavar="NAME[:PORT]",
    help="A Host header, beside localhost, that may use page and control API; may be repeated.",
)
@click.option(
    "--record-secrets",
    is_flag=True,
    help="Record tokens, codes and secrets of requests as they came, for tests of where they go.",
)
def simulator(
    host: str,
    port: int,
    client_id: str,
    client_secret: str,
    redirect_uris: tuple[str, ...],
    scopes: str,
    users: int,
    control_hosts: tuple[str, ...],
    record_secrets: bool,  # noqa: FBT001 (an option)
) -> None:
    """Run an Airtable to develop against: OAuth, a consent page, three sample bases.

    Its page, at the root, shows recent requests and has buttons for what can go wrong.
    """
    _free(host, port)
    _simulator(
        host,
        port,
        client_id,
        client_secret,
        redirect_uris,
        scopes,
        users,
        control_hosts=control_hosts,
        record_secrets=record_secrets,
        announced=True,
    )


@main.command()
@click.option("--port", default=4200, show_default=True, type=_port, help="Port to listen on.")
@click.option("--api-url", default="http://localhost:3000", show_default=True, help="The service.")
@_tokens
@click.option(
    "--airtable-api-url",
    default="https://api.airtable.com",
    show_default=True,
    help="Airtable's Web API, for --tokens browser.",
)
def pages(port: int, api_url: str, airtable_api_url: str, tokens: str) -> None:
    """Serve the example pages on localhost, for a service that runs elsewhere."""
    _free("localhost", port)
    click.echo(f"Open http://localhost:{port}")
    _pages(port, api_url, airtable_api_url, tokens)


@main.command()
@click.option("--port", default=4200, show_default=True, type=_port, help="Port of the pages.")
@click.option("--api-port", default=3000, show_default=True, type=_port, help="Port of the API.")
@click.option(
    "--simulator-port", default=4300, show_default=True, type=_port, help="Port of the simulator."
)
@_tokens
@click.option(
    "--app",
    default="",
    metavar="ORIGIN",
    callback=_app_origin,
    help="Your own app, http://localhost:5173 say, in place of the pages. Its callback route is "
    "ORIGIN/auth-callback.",
)
@click.pass_context
def demo(
    context: click.Context, port: int, api_port: int, simulator_port: int, tokens: str, app: str
) -> None:
    """Run everything: simulator, service and pages. No account, no database.

    With --app there are no pages: your own single-page app uses the service.
    """
    for option in ("port", "tokens"):
        if app and context.get_parameter_source(option) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{option} is about the pages, which --app replaces.")
    for option, taken in (("api-port", api_port), ("simulator-port", simulator_port)):
        if app.endswith(f":{taken}"):
            raise click.UsageError(f"--app and --{option} name the same port. Change one of them.")
    spa, api = app or f"http://localhost:{port}", f"http://localhost:{api_port}"
    airtable = f"http://127.0.0.1:{simulator_port}"  # another site than localhost, on purpose
    client_secret = _DEMO_SECRET if app else secrets.token_hex(32)
    redirect_uri = f"{spa}/auth-callback"
    pages = () if app else ((_pages, (port, api, airtable, tokens)),)
    ports = (simulator_port, api_port) if app else (simulator_port, api_port, port)
    for each in ports:
        _free("localhost", each)
    _supervise(
        (_simulator, ("127.0.0.1", simulator_port, "demo-client", client_secret, (redirect_uri,))),
        (
            _service,
            (
                api_port,
                {
                    "CLIENT_ID": "demo-client",
                    "CLIENT_SECRET": client_secret,
                    "REDIRECT_URI": redirect_uri,
                    "SCOPES": _DEMO_SCOPES,
                    "ALLOWED_ORIGINS": spa,
                    "PUBLIC_URL": api,
                    "AIRTABLE_URL": airtable,
                    "AIRTABLE_API_URL": airtable,
                    "AIRTABLE_CONTENT_URL": airtable,
                },
            ),
        ),
        *pages,
        ports=ports,
        ready=_ready_for_app(spa, api, airtable) if app else _ready(spa, api, airtable),
    )


def _ready(spa: str, api: str, airtable: str) -> str:
    return (
        f"\n  Open {spa}\n\n"
        f"  service    {api}  (its documentation: {api}/docs)\n"
        f"  simulator  {airtable}  (recent requests, and what can go wrong)\n\n"
        "  Ctrl-C ends all three.\n"
    )


def _ready_for_app(app: str, api: str, airtable: str) -> str:
    return (
        f"\n  Start your app on {app}. Its callback route is {app}/auth-callback\n\n"
        f"  service    {api}  (its documentation: {api}/docs)\n"
        f"  simulator  {airtable}  (recent requests, and what can go wrong)\n\n"
        "  To run a service of your own instead, use the simulator's integration:\n"
        f"  client ID      demo-client\n"
        f"  client secret  {_DEMO_SECRET}  (good for this simulator alone)\n\n"
        "  Ctrl-C ends both.\n"
    )


@main.command()
@click.option(
    "--online",
    is_flag=True,
    help="Also ask Airtable whether it accepts the client, by a made-up code.",
)
def check(online: bool) -> None:  # noqa: FBT001 (an option)
    """Say line by line what is right about the settings and what is not.

    The output holds no secret: it is good to paste into an issue. Exit status 1 on a fault.
    """

    async def report() -> bool:
        healthy = True
        async for finding in doctor.examine_environment(os.environ, online=online):
            click.echo(str(finding))
            healthy = healthy and finding.level is not Level.FAULT
        return healthy

    if not asyncio.run(report()):
        raise SystemExit(1)


@main.group()
def keys() -> None:
    """Keys that encrypt what is stored. `keys rotate --help` says how to replace one."""


@keys.command()
def new() -> None:
    """Print a new key for AIRTABLE_OAUTH_ENCRYPTION_KEYS, alone on its line."""
    click.echo(base64url(secrets.token_bytes(_KEY_BYTES)))


@keys.command()
def webhook() -> None:
    """Print a new secret for AIRTABLE_OAUTH_WEBHOOK_SECRET, alone on its line."""
    click.echo(WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode())


@keys.command()
def rotate() -> None:
    r"""Encrypt everything stored with the first of the keys, while the service runs.

    \b
    Replace a key in this order. In steps 1, 2 and 4 restart every process,
    one after the other if you like, before the next step.
      1. AIRTABLE_OAUTH_ENCRYPTION_KEYS=old,new   all can read what the new key encrypts
      2. AIRTABLE_OAUTH_ENCRYPTION_KEYS=new,old   all encrypt with the new key
      3. airtable-oauth keys rotate               with new,old as well
      4. AIRTABLE_OAUTH_ENCRYPTION_KEYS=new       only if step 3 exited with 0

    Reads the records of this AIRTABLE_OAUTH_NAME until nothing is left to do, and ends with a
    verdict. Exit status 0 if records were found and every one is encrypted with the first key;
    else 1: keep the old key, and run it again.
    """
    settings = _lasting_settings()
    run = asyncio.run(_reseal(settings))
    click.echo(
        f"{run.seen} records: {run.resealed} encrypted with the first key now, {run.left_alone} "
        f"already before, {run.changed} changed by another process and read again, "
        f"{run.unreadable.total()} that cannot be opened."
    )
    if run.complete:
        click.echo("Every record is encrypted with the first key.")
        return
    for line in _why_incomplete(run, settings):
        click.echo(line, err=True)
    raise SystemExit(1)


def _why_incomplete(run: Resealing, settings: Settings) -> Iterator[str]:
    if not run.seen:
        yield (
            f"No records were found for {PREFIX}NAME={settings.name} in this store, so nothing is "
            f"verified. Compare {PREFIX}STORE_URL and {PREFIX}NAME with the service's."
        )
        return
    yield "NOT every record is encrypted with the first key. Keep every key."
    for error, count in sorted(run.unreadable.items()):
        yield f"{count} of them cannot be opened ({error}): {_REMEDIES.get(error, '')}"
    for key in run.unreadable_keys:
        yield f"  {key}"
    if not run.verified:
        yield (
            "Records are still written with another key: restart every process with the same "
            "first key, then run this again."
        )


@main.command()
@click.option(
    "--within",
    default=30.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True, max=60),
    help="Renew what would end within so many days.",
)
def refresh_idle(within: float) -> None:
    """Renew connections that nobody uses, which Airtable ends after sixty days.

    Run it daily, on any machine; runs at the same time do no harm. Exit status 1 if some could not
    be renewed for now. Connections of browser sessions end with their sessions and are left alone.
    Of connections that have ended, this tells the webhook, not the hooks of an app.
    """

    async def renew(airtable: AirtableOAuth) -> Counter[IdleOutcome]:
        outcomes: Counter[IdleOutcome] = Counter()
        async for connection_id, outcome in airtable.refresh_idle(within):
            click.echo(f"{connection_id} {outcome}")
            outcomes[outcome] += 1
        return outcomes

    outcomes = _within_integration(renew)
    click.echo(", ".join(f"{outcomes[each]} {each}" for each in IdleOutcome))
    if outcomes[IdleOutcome.LATER]:
        raise SystemExit(1)


@main.group()
def connections() -> None:
    """What is connected. Tokens are shown nowhere."""


@connections.command("list")
@click.option("--owner", help="Only this owner's.")
@click.option("--json", "as_json", is_flag=True, help="An object a line.")
def list_connections(owner: str | None, as_json: bool) -> None:  # noqa: FBT001 (an option)
    """List connections with their health."""

    async def show(airtable: AirtableOAuth) -> None:
        if not as_json:
            click.echo(_COLUMNS.format("ID", "STATUS", "RECONNECT BY", "AIRTABLE USER", "OWNER"))
        if owner is not None:
            for connection in await airtable.connections(owner):
                click.echo(_shown(connection, as_json=as_json))
            return
        async for connection in airtable.all_connections():
            click.echo(_shown(connection, as_json=as_json))

    _within_integration(show)


@connections.command()
@click.argument("connection_id")
def disconnect(connection_id: str) -> None:
    """Erase the tokens of a connection. Airtable lists it until its user removes it there."""

    async def erase(airtable: AirtableOAuth) -> None:
        try:
            await airtable.disconnect(connection_id)
        except NotConnected:
            raise click.ClickException(
                f"This store has no connection {connection_id!r}. "
                "`airtable-oauth connections list` shows those that there are."
            ) from None

    _within_integration(erase)
    click.echo(f"{connection_id} is disconnected.")


def _shown(connection: Connection, *, as_json: bool) -> str:
    if as_json:
        return json.dumps(asdict(connection))
    user, reason = connection.user, connection.reason
    by = connection.reconnect_by
    return (
        _COLUMNS.format(
            connection.id,
            connection.status if reason is None else reason,
            "" if by is None else datetime.fromtimestamp(by, UTC).strftime("%Y-%m-%d"),
            "" if user is None else user.email or user.id,
            connection.owner,
        )
        .rstrip()
        .encode("unicode_escape")
        .decode()
    )


def _within_integration(work: Callable[[AirtableOAuth], Awaitable[T]]) -> T:
    """Run something with the integration that the settings describe."""

    async def run() -> T:
        airtable = AirtableOAuth(settings)
        async with airtable.lifespan():
            return await work(airtable)

    settings = _lasting_settings()
    try:
        return asyncio.run(run())
    except AirtableOAuthError as error:
        raise click.ClickException(_with_cause(error)) from None
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None


async def _reseal(settings: Settings) -> Resealing:
    store = sealed(open_store(settings), settings)
    assert isinstance(store, EncryptedStore)  # noqa: S101 (every store but memory:// has keys)
    try:
        return await reseal_all(store, settings.name, progress=_Progress())
    except StoreUnavailable as error:
        raise click.ClickException(f"{_with_cause(error)} Run this again for the rest.") from None
    finally:
        await store.close()


def _with_cause(error: AirtableOAuthError) -> str:
    cause = "" if error.cause is None else f" Cause: {error.cause}."
    return f"{error.description}{cause}"


class _Progress:
    """Says how far it is, on stderr: each second to a person, each ten seconds to a log."""

    def __init__(self) -> None:
        self._person = sys.stderr.isatty()
        self._next = time.monotonic() + (1 if self._person else 10)

    def __call__(self, run: Resealing) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + (1 if self._person else 10)
            click.echo(f"{run.seen} records seen, {run.resealed} encrypted so far", err=True)


def _lasting_settings() -> Settings:
    """The settings, with a store that other processes see."""
    settings = _settings()
    if settings.store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            f"{PREFIX}STORE_URL: memory:// is seen by no process but the service's own"
        )
    return settings


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for fault in faults(error):
            click.echo(fault, err=True)
        raise SystemExit(1) from None


def _free(host: str, port: int) -> None:
    """Say it in a line if something else listens there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _allow_files(count: int) -> None:
    """Raise how many files and sockets a process may open; many systems begin with 1024."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (not on Windows)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < count:
            click.echo(
                f"This process may open {allowed} files, and --max-connections needs {count}: "
                "raise the limit (ulimit -n), or lower --max-connections.",
                err=True,
            )


def _run(
    app: Any,
    *,
    host: str,
    port: int,
    log_level: str = "info",
    log_format: str = "console",
    forwarded_allow_ips: Sequence[str] = (),
    drain: int = 1,
    **options: Any,
) -> None:
    """uvicorn, without an access log of its own: it prints query strings, and codes with them.

    `drain`: seconds for requests in flight when it ends.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        proxy_headers=bool(forwarded_allow_ips),
        forwarded_allow_ips=list(forwarded_allow_ips),
        server_header=False,
        log_config=logging_config(log_level, log_format),
        timeout_graceful_shutdown=drain,
        **options,
    )


def _simulator(
    host: str,
    port: int,
    client_id: str,
    client_secret: str,
    redirect_uris: tuple[str, ...],
    scopes: str = _DEMO_SCOPES,
    users: int = 1,
    *,
    control_hosts: tuple[str, ...] = (),
    record_secrets: bool = False,
    announced: bool = False,
) -> None:
    try:
        from airtable_oauth.simulator import (  # noqa: PLC0415 (an extra)
            Integration,
            Simulator,
            is_loopback,
            some_users,
        )
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the simulator needs {error.name}: pip install 'airtable-oauth[simulator]'"
        ) from None
    integration = Integration(
        client_id=client_id,
        client_secret=client_secret,
        redirect_uris=redirect_uris,
        scopes=tuple(scopes.split()),
    )
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 (compared, not listened on)
    own_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    subject = Simulator(
        [integration],
        users=some_users(users),
        url=None if everywhere else own_url,
        control_hosts=control_hosts,
        record_secrets=record_secrets,
    )
    if not is_loopback(host):
        click.echo(
            f"Warning: the simulator listens on {host}. Every machine that reaches it can log in "
            "as its users and use its Web API. Its page and control API answer this machine"
            f"{' and requests to ' + ', '.join(control_hosts) if control_hosts else ''} only.",
            err=True,
        )
    if announced:
        click.echo(f"Airtable simulator: {own_url}")
    _run(subject.app, host=host, port=port, log_level="warning")


def _service(port: int, environment: dict[str, str]) -> None:
    """The service with these settings alone, whatever the environment and `.env` say."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update({PREFIX + name: value for name, value in environment.items()})
    _run(create_app(Settings(_env_file=None)), host="localhost", port=port, log_level="warning")


def _pages(port: int, api_url: str, airtable_api_url: str, tokens: str) -> None:
    app = create_frontend(
        public_url=f"http://localhost:{port}",
        api_url=api_url,
        airtable_api_url=airtable_api_url,
        tokens=tokens,
    )
    _run(app, host="localhost", port=port, log_level="warning")


def _supervise(
    *parts: tuple[Callable[..., None], tuple[Any, ...]], ports: tuple[int, ...], ready: str
) -> None:
    """Run the parts as processes until one ends or the person has seen enough."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=part, args=arguments) for part, arguments in parts]
    try:
        for process in processes:
            process.start()
        _wait_for(ports, processes)
        click.echo(ready)
        multiprocessing.connection.wait([process.sentinel for process in processes])
    except KeyboardInterrupt:
        pass
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            process.join()


def _wait_for(ports: Sequence[int], processes: Sequence[BaseProcess]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not all(_listens(port) for port in ports):
        if time.monotonic() > deadline or not all(process.is_alive() for process in processes):
            raise click.ClickException("the demo did not start")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True
