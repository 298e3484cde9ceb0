"""`airtable-oauth demo`: runs simulator, service and pages as child processes."""

import multiprocessing
import multiprocessing.connection
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from airtable_oauth.app import create_app
from airtable_oauth.cli.options import PORT, tokens_option
from airtable_oauth.cli.pages import run_pages
from airtable_oauth.cli.server import require_free_port, run_server
from airtable_oauth.cli.simulator import DEMO_CLIENT_ID, DEMO_SCOPES, DEMO_SECRET, run_simulator
from airtable_oauth.settings import PREFIX, Settings

_HTTP_PORT = 80
_START_SECONDS = 30.0


def _app_origin(_context: click.Context, _option: click.Parameter, origin: str) -> str:
    """Normalise `--app`: an origin on localhost, so that the service's cookies reach it."""
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


@click.command()
@click.option("--port", default=4200, show_default=True, type=PORT, help="Port of the pages.")
@click.option("--api-port", default=3000, show_default=True, type=PORT, help="Port of the service.")
@click.option(
    "--simulator-port", default=4300, show_default=True, type=PORT, help="Port of the simulator."
)
@tokens_option
@click.option(
    "--app",
    default="",
    metavar="ORIGIN",
    callback=_app_origin,
    help="Origin of your own app, such as http://localhost:5173, to use instead of the pages. Its "
    "callback route is ORIGIN/auth-callback.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What the service logs: at info, each request.",
)
@click.pass_context
def demo(
    context: click.Context,
    port: int,
    api_port: int,
    simulator_port: int,
    tokens: str,
    app: str,
    log_level: str,
) -> None:
    """Run simulator, service and example pages. Needs no Airtable account and no database.

    With --app, your own single-page app replaces the pages.
    """
    if app:
        _refuse_page_options(context)
        _refuse_same_port(app, {"api-port": api_port, "simulator-port": simulator_port})
    spa, api = app or f"http://localhost:{port}", f"http://localhost:{api_port}"
    # A different site than localhost, as airtable.com is.
    airtable = f"http://127.0.0.1:{simulator_port}"
    client_secret = DEMO_SECRET if app else secrets.token_hex(32)
    parts = [
        _simulator_part(simulator_port, spa, client_secret),
        _service_part(api_port, spa, api, airtable, client_secret, log_level),
    ]
    if not app:
        parts.append(_pages_part(port, api, airtable, tokens))
    for part in parts:
        require_free_port("localhost", part.port, part.option)
    ready = _ready_for_app if app else _ready
    _supervise(parts, ready(spa, api, airtable))


def _refuse_page_options(context: click.Context) -> None:
    for option in ("port", "tokens"):
        if context.get_parameter_source(option) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{option} configures the pages, which --app replaces.")


def _refuse_same_port(app: str, ports: Mapping[str, int]) -> None:
    for option, port in ports.items():
        if app.endswith(f":{port}"):
            raise click.UsageError(f"--app and --{option} name the same port. Change one of them.")


@dataclass(frozen=True, slots=True)
class _Part:
    """A child process: the port that it listens on, its option, and the function that it runs."""

    port: int
    option: str
    run: Callable[[], None]


def _simulator_part(port: int, spa: str, client_secret: str) -> _Part:
    run = partial(
        run_simulator,
        host="127.0.0.1",
        port=port,
        client_id=DEMO_CLIENT_ID,
        client_secret=client_secret,
        redirect_uris=(_callback(spa),),
    )
    return _Part(port, "--simulator-port", run)


def _service_part(
    port: int, spa: str, api: str, airtable: str, client_secret: str, log_level: str
) -> _Part:
    environment = {
        "CLIENT_ID": DEMO_CLIENT_ID,
        "CLIENT_SECRET": client_secret,
        "REDIRECT_URI": _callback(spa),
        "SCOPES": DEMO_SCOPES,
        "ALLOWED_ORIGINS": spa,
        "PUBLIC_URL": api,
        "AIRTABLE_URL": airtable,
        "AIRTABLE_API_URL": airtable,
        "AIRTABLE_CONTENT_URL": airtable,
        "LOG_LEVEL": log_level,
    }
    return _Part(port, "--api-port", partial(_run_service, port, environment))


def _pages_part(port: int, api: str, airtable: str, tokens: str) -> _Part:
    run = partial(run_pages, port=port, api_url=api, airtable_api_url=airtable, tokens=tokens)
    return _Part(port, "--port", run)


def _callback(spa: str) -> str:
    return f"{spa}/auth-callback"


def _run_service(port: int, environment: dict[str, str]) -> None:
    """Run the service with only these settings. Ignores the environment and `.env`."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update({PREFIX + name: value for name, value in environment.items()})
    settings = Settings(_env_file=None)
    run_server(create_app(settings), host="localhost", port=port, log_level=settings.log_level)


def _ready(spa: str, api: str, airtable: str) -> str:
    return f"\n  Open {spa}\n\n{_addresses(api, airtable)}\n  Press Ctrl-C to stop all three.\n"


def _ready_for_app(app: str, api: str, airtable: str) -> str:
    return (
        f"\n  Start your app on {app}. Its callback route is {_callback(app)}\n\n"
        f"{_addresses(api, airtable)}\n"
        "  To run your own service instead, use the simulator's integration:\n"
        f"  client ID      {DEMO_CLIENT_ID}\n"
        f"  client secret  {DEMO_SECRET}  (valid only for this simulator)\n\n"
        "  Press Ctrl-C to stop both.\n"
    )


def _addresses(api: str, airtable: str) -> str:
    return (
        f"  service    {api}  (documentation: {api}/docs)\n"
        f"  simulator  {airtable}  (recent requests; can cause faults)\n"
    )


def _supervise(parts: Sequence[_Part], ready: str) -> None:
    """Run the parts as processes until one of them ends, or until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=part.run) for part in parts]
    try:
        for process in processes:
            process.start()
        _wait_for([part.port for part in parts], processes)
        click.echo(ready)
        multiprocessing.connection.wait([process.sentinel for process in processes])
    except KeyboardInterrupt:
        pass
    finally:
        _stop(processes)


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


def _stop(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.is_alive():
            process.terminate()
    for process in processes:
        process.join()
