"""`airtable-oauth serve` as a process: its log, its shutdown and its limit of connections."""

import asyncio
import json
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from airtable_oauth.settings import PREFIX
from tests.cli.helpers import VALID
from tests.helpers import CSRF, begin, decide, free_port
from tests.processes import listens, process, stack, wait_for, wait_until

pytestmark = pytest.mark.integration

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("allowed", "client"),
    [("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")],
)
async def test_log_shows_the_client_that_a_known_proxy_names(
    tmp_path: Path, allowed: str, client: str
) -> None:
    """Any client can send `X-Forwarded-For`, so it counts only from a known proxy."""
    with stack(tmp_path, FORWARDED_ALLOW_IPS=allowed, LOG_FORMAT="json") as service:
        address = service.api.replace("localhost", "127.0.0.1")
        async with httpx.AsyncClient(base_url=address, headers=FORWARDED) as browser:
            answer = await browser.get("/authorization-url")
    assert "Secure" not in answer.headers["set-cookie"]
    lines = [json.loads(line) for line in (tmp_path / "serve.log").read_text().splitlines()]
    (line,) = [line for line in lines if line.get("path") == "/authorization-url"]
    assert line["client"] == client
    assert line["request_id"] == answer.headers["x-request-id"]


async def test_sigterm_lets_a_request_in_flight_end(tmp_path: Path) -> None:
    """A deployment must not lose a code that is being exchanged. New connections are refused."""
    with stack(tmp_path) as service:
        port = urlsplit(service.api).port
        assert port is not None
        async with (
            httpx.AsyncClient(base_url=service.api, timeout=20) as browser,
            httpx.AsyncClient(base_url=service.airtable) as airtable,
        ):
            parameters = await decide(airtable, await begin(browser))
            await airtable.post("/_simulator/faults", json={"delay": 1.5})
            exchange = asyncio.ensure_future(
                browser.post("/token-exchange", json=parameters, headers=CSRF)
            )
            while service.token_requests() == 0:
                await asyncio.sleep(0.05)
            service.process.send_signal(signal.SIGTERM)
            while listens(port):
                assert not exchange.done()
                await asyncio.sleep(0.02)
            answer = await exchange
            assert answer.status_code == 200, answer.text
            assert "access_token" in answer.json()
        wait_until(lambda: service.process.poll() is not None)
        assert service.process.poll() == -signal.SIGTERM  # uvicorn raises it again at the end


def test_more_connections_than_allowed_do_not_keep_others_out(tmp_path: Path) -> None:
    """The service raises the limit of open files, and new connections replace silent ones."""
    port = free_port()
    serve = f"{sys.executable} -m airtable_oauth serve --port {port} --max-connections 300"
    settings = {name.removeprefix(PREFIX): value for name, value in VALID.items()}
    words = ["sh", "-c", f"ulimit -S -n 200; exec {serve}"]
    with process(words, tmp_path, settings) as running, ExitStack() as sockets:
        wait_for(f"http://127.0.0.1:{port}")
        silent = [
            sockets.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            for _ in range(400)
        ]
        assert httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 200
        assert silent[0].recv(1) == b""
        files = len(list(Path(f"/proc/{running.pid}/fd").iterdir()))
        assert 300 < files < 350
