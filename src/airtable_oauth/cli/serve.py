"""`airtable-oauth serve`: the service."""

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
"""Connections that the system holds ready. The event loop accepts all of them at once, and serves
none of its clients meanwhile."""
_DRAIN_SECONDS = 30
_GARBAGE = 10_000
"""New objects between two looks for garbage; 700 is Python's own."""
_OTHER_FILES = 500
"""Sockets and files of a process besides its clients' connections: store, Airtable, Python."""


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
    settings = read_settings()
    _require_shared_store(settings, workers)
    _require_extras(settings)
    require_free_port(host, port)
    _allow_files(max_connections + _OTHER_FILES)
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


def _require_shared_store(settings: Settings, workers: int) -> None:
    if workers > 1 and settings.store_url.get_secret_value().startswith("memory:"):
        raise click.ClickException(
            f"{PREFIX}STORE_URL: memory:// belongs to one process, and {workers} workers are asked "
            "for: use sqlite:///…, redis://… or postgresql://…"
        )


def _require_extras(settings: Settings) -> None:
    """Build the service once here, so that a missing extra is one line and not a traceback."""
    try:
        create_app(settings)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None


def _allow_files(count: int) -> None:
    """Raise how many files and sockets a process may open; many systems begin with 1024."""
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
            f"This process may open {allowed} files, and --max-connections needs {count}: "
            "raise the limit (ulimit -n), or lower --max-connections.",
            err=True,
        )
