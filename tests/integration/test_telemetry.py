"""OpenTelemetry as a collector receives it: spans and metrics without secrets."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.helpers import CSRF, begin, decide
from tests.processes import stack, wait_until

pytestmark = pytest.mark.integration


class Collector:
    """Stores exported data by path."""

    def __init__(self) -> None:
        self.received: dict[str, bytes] = {"/v1/traces": b"", "/v1/metrics": b"", "/v1/logs": b""}
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received[self.path] += self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Do not log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def test_spans_and_metrics_hold_no_secret(tmp_path: Path, collector: Collector) -> None:
    """FastAPI's telemetry would export a code in a URL."""
    with stack(tmp_path, TELEMETRY="true") as service:
        async with httpx.AsyncClient(base_url=service.api) as browser:
            secrets = await finished(browser)
            await refreshed(browser, service.airtable)
            await browser.get("/token-exchange?state=CANARY-state&code=CANARY-code")
            await browser.get("/nowhere?code=CANARY-code")
        wait_until(lambda: collector.received["/v1/traces"].count(b"/nowhere") > 0)
        wait_until(lambda: b"/token-exchange" in collector.received["/v1/metrics"])
        wait_until(lambda: b"airtable_oauth.refreshes" in collector.received["/v1/metrics"])
    spans = collector.received["/v1/traces"]
    assert b"GET /token-exchange" in spans
    assert b"http.response.status_code" in spans
    assert b"GET /airtable/{path}" in spans
    assert b"renewed" in collector.received["/v1/metrics"]
    assert collector.received["/v1/logs"] == b""
    exported = b"".join(collector.received.values())
    assert b"CANARY" not in exported
    assert not [secret for secret in secrets if secret.encode() in exported]


async def finished(browser: httpx.AsyncClient) -> set[str]:
    """Finish one login by GET and one by POST. Returns their secrets."""
    secrets: set[str] = set()
    async with httpx.AsyncClient() as person:
        parameters = [await decide(person, await begin(browser)) for _ in range(2)]
    for answer in (
        await browser.get("/token-exchange", params=parameters[0]),
        await browser.post("/token-exchange", json=parameters[1], headers=CSRF),
    ):
        assert answer.status_code == 200, answer.text
        secrets |= {answer.json()["access_token"], answer.json()["refresh_token"]}
    return secrets.union(*(each.values() for each in parameters))


async def refreshed(browser: httpx.AsyncClient, airtable: str) -> None:
    """Refresh the tokens of a session once."""
    async with httpx.AsyncClient(base_url=airtable) as person:
        parameters = await decide(person, await begin(browser))
        answer = await browser.post("/session", json=parameters, headers=CSRF)
        assert answer.status_code == 201, answer.text
        await person.delete(f"/_simulator/grants/{parameters['code']}/access")
    assert (await browser.get("/airtable/v0/meta/whoami")).status_code == 200


async def test_nothing_is_exported_unless_it_is_asked_for(
    tmp_path: Path, collector: Collector
) -> None:
    """This holds even if the environment names a collector."""
    with stack(tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.api) as browser:
            await begin(browser)
    assert b"".join(collector.received.values()) == b""
