"""`airtable-oauth demo`: one process that runs three others."""

import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.helpers import CSRF, decide, free_port
from tests.processes import command, wait_until

pytestmark = pytest.mark.integration


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("--port", "--api-port", "--simulator-port")}


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_demo_connects_and_leaves_nothing_behind(
    tmp_path: Path, ports: dict[str, str], ending: signal.Signals
) -> None:
    """It prints the URL to open, ignores the service's settings, and ends all of its processes."""
    pages, api = (f"http://localhost:{ports[name]}" for name in ("--port", "--api-port"))
    arguments = [part for option in ports.items() for part in option]
    with command(["demo", *arguments], tmp_path, {"STORE_URL": "redis://127.0.0.1:1"}) as process:
        wait_until(lambda: f"Open {pages}" in (tmp_path / "demo.log").read_text())
        async with httpx.AsyncClient(base_url=api) as browser, httpx.AsyncClient() as person:
            url = (await browser.get("/authorization-url")).json()["authorizationUrl"]
            answer = await browser.post(
                "/token-exchange", json=await decide(person, url), headers=CSRF
            )
            assert answer.status_code == 200, answer.text
        process.send_signal(ending)
        process.wait(timeout=30)
    assert [port for port in ports.values() if listens(int(port))] == []


def test_demo_logs_requests_if_asked(tmp_path: Path, ports: dict[str, str]) -> None:
    """An error's `request_id` is then found in the log."""
    arguments = [part for option in ports.items() for part in option]
    log = tmp_path / "demo.log"
    with command(["demo", *arguments, "--log-level", "info"], tmp_path):
        wait_until(lambda: "Open http" in log.read_text())
        answer = httpx.get(f"http://localhost:{ports['--api-port']}/session")
        wait_until(lambda: answer.json()["request_id"] in log.read_text())


def test_demo_ends_when_a_part_does(tmp_path: Path, ports: dict[str, str]) -> None:
    """A demo without its service would only confuse."""
    arguments = [part for option in ports.items() for part in option]
    with command(["demo", *arguments], tmp_path) as process:
        wait_until(lambda: "Open http" in (tmp_path / "demo.log").read_text())
        children = subprocess.run(
            ["pgrep", "-P", str(process.pid), "-f", "spawn_main"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert len(children) == 3
        subprocess.run(["kill", children[1]], check=True)
        process.wait(timeout=30)
    assert [port for port in ports.values() if listens(int(port))] == []
