"""`airtable-oauth serve`: runs the service."""

import gc
import math
import sys

import click
from fastapi import FastAPI

from airtable_oauth.app import create_app
from airtable_oauth.cli.environment import read_settings
from airtable_oauth.cli.options import PORT
from airtable_oauth.cli.server import require_free_port, run_server
from airtable_oauth.settings import PREFIX, Settings
from airtable_oauth.vault.refresh import lease_seconds
from airtable_oauth.web.server import MAX_CONNECTIONS

_BACKLOG = 256
"""Connections that the kernel queues. The event loop accepts all of them at once, and serves no
client meanwhile."""
_DRAIN_SECONDS = 30
_GC_THRESHOLD = 10_000
"""New objects between two garbage collections. Python's default is 700."""
_OTHER_FILES = 500
"""Open files and sockets besides client connections: store, Airtable, Python."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, type=PORT, help="Port to listen on.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    envvar="WEB_CONCURRENCY",
    show_envvar=True,
    type=click.IntRange(1, 256),
    help="Number of processes. More than one needs a shared store.",
)
@click.option(
    "--max-connections",
    default=MAX_CONNECTIONS,
    show_default=True,
    type=click.IntRange(10, 100_000),
    help="Open connections per process. Above the limit, the connection that has waited "
    "longest for its client to send or read something is closed.",
)
def serve(host: str, port: int, workers: int, max_connections: int) -> None:
    """Run the service, configured by AIRTABLE_OAUTH_… variables or a .env file."""
    settings = read_settings()
    _require_shared_store(settings, workers)
    _require_extras(settings)
    require_free_port(host, port)
    _allow_open_files(max_connections + _OTHER_FILES)
    run_server(
        "airtable_oauth.cli.serve:worker",
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
        # The supervisor kills a worker that is silent for longer. A refresh must end before that.
        timeout_worker_healthcheck=1
        + math.ceil(lease_seconds(settings.upstream_timeout, settings.store_patience)),
    )


def worker() -> FastAPI:
    """The service in a worker process.

    It collects garbage rarely, and never checks objects that existed at its start. This saves a
    sixth of the time of a proxied request.
    """
    app = create_app()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    return app


def _require_shared_store(settings: Settings, workers: int) -> None:
    if workers > 1 and settings.store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            f"{PREFIX}STORE_URL: memory:// belongs to one process, so {workers} workers cannot "
            "share it. Use sqlite:///…, redis://… or postgresql://…"
        )


def _require_extras(settings: Settings) -> None:
    """Build the service once, to report a missing extra in one line instead of a traceback."""
    try:
        create_app(settings)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None


def _allow_open_files(count: int) -> None:
    """Raise the limit of open files and sockets, which is often 1024 by default."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 (not on Windows)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < count:
        click.echo(
            f"This process may open {allowed} files, but --max-connections needs {count}. "
            "Raise the limit (ulimit -n) or lower --max-connections.",
            err=True,
        )
