"""The real commands as real processes, each on its own port."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from airtable_oauth.cli.main import main
from airtable_oauth.settings import PREFIX
from tests.helpers import SCOPES, free_port

_START_SECONDS = 30
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["airtable_oauth.simulator", __name__])


@dataclass
class Stack:
    """Service, pages and simulator."""

    api: str
    pages: str
    airtable: str
    """On 127.0.0.1, which is another site than localhost, as airtable.com is."""
    tokens: str
    """Where the pages store tokens."""
    environment: dict[str, str] = field(default_factory=dict)
    """The service's environment variables."""
    process: subprocess.Popen[bytes] = field(init=False)
    """The service."""
    command: Sequence[str] = (sys.executable, "-m", "airtable_oauth")

    @property
    def redirect_uri(self) -> str:
        return f"{self.pages}/auth-callback"

    def token_requests(self) -> int:
        """How many token requests the simulator received."""
        return sum(request["path"] == "/oauth2/v1/token" for request in self.seen())

    def seen(self) -> list[dict[str, Any]]:
        """The requests that the simulator received, oldest first."""
        requests: list[dict[str, Any]] = httpx.get(f"{self.airtable}/_simulator/requests").json()
        return requests

    def advance_clock(self, seconds: float) -> None:
        """Advance Airtable's clock."""
        httpx.post(f"{self.airtable}/_simulator/clock", json={"advance": seconds})


@contextmanager
def stack(
    directory: Path,
    *,
    workers: int = 1,
    users: int = 1,
    tokens: str = "server",
    **settings: str,
) -> Iterator[Stack]:
    """Start all three. They log to files in `directory`."""
    api_port, pages_port, airtable_port = free_port(), free_port(), free_port()
    made = Stack(
        api=f"http://localhost:{api_port}",
        pages=f"http://localhost:{pages_port}",
        airtable=f"http://127.0.0.1:{airtable_port}",
        tokens=tokens,
    )
    environment = {
        "CLIENT_ID": "test-client",
        "CLIENT_SECRET": "test-secret",
        "REDIRECT_URI": made.redirect_uri,
        "SCOPES": " ".join(SCOPES),
        "ALLOWED_ORIGINS": made.pages,
        "PUBLIC_URL": made.api,
        "AIRTABLE_URL": made.airtable,
        # By name, because a cookie jar ignores IP addresses.
        "AIRTABLE_API_URL": made.airtable.replace("127.0.0.1", "localhost"),
        "AIRTABLE_CONTENT_URL": made.airtable.replace("127.0.0.1", "localhost"),
    } | settings
    made.environment = {PREFIX + name: value for name, value in environment.items()}
    simulator = [
        *("simulator", "--port", str(airtable_port)),
        *("--client-id", "test-client", "--client-secret", "test-secret"),
        *("--redirect-uri", environment["REDIRECT_URI"], "--users", str(users)),
        "--record-secrets",
    ]
    serve = ["serve", "--host", "localhost", "--port", str(api_port), "--workers", str(workers)]
    pages = [
        *("pages", "--port", str(pages_port)),
        *("--api-url", made.api, "--airtable-api-url", made.airtable, "--tokens", tokens),
    ]
    with ExitStack() as processes:
        made.process = processes.enter_context(command(serve, directory, environment))
        for arguments in (simulator, pages):
            processes.enter_context(peer(arguments, directory))
        for url in (made.airtable, made.api, made.pages):
            wait_for(url)
        yield made


@contextmanager
def command(
    arguments: list[str], directory: Path, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `airtable-oauth …` as a process. It logs to a file and is ended with SIGTERM."""
    with process([*Stack.command, *arguments], directory, settings) as running:
        yield running


@contextmanager
def process(
    words: list[str],
    directory: Path,
    settings: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process with these settings of the service and these other variables.

    SIGINT ends the process even if the tests run in the background, where a shell makes its
    commands ignore that signal.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= {PREFIX + name: value for name, value in (settings or {}).items()}
    environment |= variables or {}
    name = next(word for word in words if word.isalpha())
    with (directory / f"{name}.log").open("ab") as log:
        running = subprocess.Popen(
            words,
            env=environment,
            cwd=directory,
            stdout=log,
            stderr=log,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        try:
            yield running
        finally:
            running.send_signal(signal.SIGCONT)
            running.terminate()
            running.wait(timeout=40)


@contextmanager
def peer(arguments: list[str], directory: Path) -> Iterator[None]:
    """Run `airtable-oauth …` beside the process under test. It logs to a file.

    It is forked from a process that has imported everything, which saves a second of CPU time. With
    coverage it is started as a command instead.
    """
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        with command(arguments, directory):
            yield
        return
    running = _FORKS.Process(target=_run_peer, args=(arguments, directory))
    running.start()
    try:
        yield
    finally:
        running.terminate()
        running.join(timeout=40)


def _run_peer(arguments: list[str], directory: Path) -> None:
    os.chdir(directory)
    with Path(f"{arguments[0]}.log").open("ab") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    main(arguments)


def wait_for(url: str) -> None:
    """Wait until a server answers at a URL."""
    parts = urlsplit(url)
    assert parts.port is not None
    wait_until(partial(listens, parts.port))
    wait_until(lambda: _answers(url))


def listens(port: int) -> bool:
    """Whether a server accepts connections at a port of this machine."""
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until another process has made a condition true."""
    deadline = time.monotonic() + _START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.01)


def _answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True
