"""What the log says about a request. `integration/test_incidents.py` uses real stores that fail."""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider

from airtable_oauth.app import create_app
from airtable_oauth.logs import LineHandler
from airtable_oauth.simulator import Fault, Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, FakeClock, begin, consent, make_settings
from tests.log_lines import line_formatter, log_lines
from tests.world import FaultyStore

CANARY = "canary-5e3f9a"


@asynccontextmanager
async def service(
    simulator: Simulator, clock: FakeClock, store: FaultyStore | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(
        make_settings(),
        store=store or MemoryStore(clock=clock),
        unencrypted=True,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as client:
        yield client


async def connect(browser: httpx.AsyncClient, simulator: Simulator) -> str:
    """Connect, and return the connection's id as the log shows it."""
    callback = await consent(simulator, await begin(browser))
    answer = await browser.post("/session", json=callback, headers=CSRF)
    assert answer.status_code == 201, answer.text
    with log_lines() as lines:
        await browser.get("/session")
    connection: str = lines.access()[0]["connection"]
    return connection


async def test_access_line_has_fields_and_no_sentence(
    simulator: Simulator, clock: FakeClock
) -> None:
    """Operators can search the log by any field."""
    with log_lines() as lines:
        async with service(simulator, clock) as browser:
            answer = await browser.get("/airtable/v0/meta/bases?secret=" + CANARY)
    [line] = lines.access()
    assert line.pop("timestamp").endswith("Z")
    assert isinstance(line.pop("duration_ms"), float)
    assert line == {
        "level": "info",
        "logger": "airtable_oauth",
        "event": "request",
        "method": "GET",
        "path": "/airtable/v0/meta/bases",
        "route": "/airtable/{path:path}",
        "status": 401,
        "client": "127.0.0.1",
        "error": "not_connected",
        "request_id": answer.headers["x-request-id"],
    }
    assert CANARY not in lines.text


async def test_failed_request_names_error_cause_and_connection(
    simulator: Simulator, clock: FakeClock
) -> None:
    """The request id in the error body also finds the incident."""
    async with service(simulator, clock) as browser:
        connection = await connect(browser, simulator)
        simulator.faults.add(Fault(path="/v0/meta/bases", drop=True))
        with log_lines() as lines:
            answer = await browser.get("/airtable/v0/meta/bases")
    request_id = answer.json()["request_id"]
    [access] = lines.access()
    assert (access["level"], access["status"]) == ("warning", 502)
    assert (access["error"], access["connection"]) == ("airtable_error", connection)
    [incident] = lines.incidents()
    assert incident["event"] == f"Airtable's Web API does not work: {access['cause']}"
    assert {access["request_id"], incident["request_id"]} == {request_id}


async def test_relayed_5xx_is_at_warning_and_an_incident(
    simulator: Simulator, clock: FakeClock
) -> None:
    """The answer is Airtable's, so the line has no error code of the service."""
    async with service(simulator, clock) as browser:
        await connect(browser, simulator)
        simulator.faults.add(Fault(path="/v0/meta/bases", status=500, body="{}", times=2))
        with log_lines() as lines:
            for _ in range(2):
                assert (await browser.get("/airtable/v0/meta/bases")).status_code == 500
    assert [(line["level"], line["cause"]) for line in lines.access()] == [
        ("warning", "HTTP 500")
    ] * 2
    assert "error" not in lines.access()[0]
    assert [line["cause"] for line in lines.incidents()] == ["HTTP 500"]


async def test_crash_is_at_error_with_its_type(
    simulator: Simulator, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_self: object, _key: str) -> None:
        raise RuntimeError(CANARY)

    store = FaultyStore(MemoryStore(clock=clock))
    monkeypatch.setattr(FaultyStore, "get", fail)
    with log_lines() as lines:
        async with service(simulator, clock, store) as browser:
            browser.cookies.set("airtable_session", "x" * 43)
            answer = await browser.get("/session")
    assert answer.status_code == 500
    [access] = lines.access()
    assert (access["level"], access["error"], access["cause"]) == (
        *("error", "server_error"),
        "RuntimeError",
    )
    assert CANARY not in lines.text


async def test_refresh_of_a_request_is_named_in_its_line(
    simulator: Simulator, clock: FakeClock
) -> None:
    """The refresh also has its own line, with the same request id."""
    async with service(simulator, clock) as browser:
        connection = await connect(browser, simulator)
        for outcome, status, fault in (
            ("unknown", 503, Fault(status=503, body="{}")),
            ("renewed", 200, None),
        ):
            clock.advance(3600)
            simulator.clock.advance(3600)
            if fault is not None:
                simulator.faults.add(fault)
            with log_lines() as lines:
                answer = await browser.get("/airtable/v0/meta/bases")
            assert answer.status_code == status, answer.text
            [access] = lines.access()
            [refresh] = [line for line in lines if line["event"].startswith("refresh of")]
            for line in (access, refresh):
                assert (line["outcome"], line["connection"]) == (outcome, connection)
                assert line.get("cause") == (None if fault is None else "HTTP 503")
                assert line["request_id"] == answer.headers["x-request-id"]


async def test_every_request_that_waited_for_a_refresh_names_its_outcome(
    simulator: Simulator, clock: FakeClock
) -> None:
    """One request starts the refresh, and the others wait for it."""
    async with service(simulator, clock) as browser:
        await connect(browser, simulator)
        clock.advance(3600)
        simulator.clock.advance(3600)
        fault = simulator.faults.add(Fault(status=503, body="{}", held=True))
        with log_lines() as lines:
            waiting = [
                asyncio.create_task(browser.get("/airtable/v0/meta/bases")) for _ in range(3)
            ]
            while not fault.fired:
                await asyncio.sleep(0.01)
            simulator.faults.release()
            answers = await asyncio.gather(*waiting)
    assert {answer.status_code for answer in answers} == {503}
    assert {(line["outcome"], line["cause"]) for line in lines.access()} == {
        ("unknown", "HTTP 503")
    }
    assert len({line["request_id"] for line in lines.access()}) == 3


async def test_access_line_names_the_trace(simulator: Simulator, clock: FakeClock) -> None:
    tracer = TracerProvider().get_tracer("test")
    async with service(simulator, clock) as browser:
        with log_lines() as lines, tracer.start_as_current_span("outer") as span:
            await browser.get("/health/live")
    [access] = lines.access()
    assert access["trace_id"] == f"{span.get_span_context().trace_id:032x}"


async def test_console_line_reads_as_a_sentence(simulator: Simulator, clock: FakeClock) -> None:
    store = FaultyStore(MemoryStore(clock=clock), down=True)
    with log_lines("console") as lines:
        async with service(simulator, clock, store) as browser:
            answer = await browser.get("/authorization-url?secret=" + CANARY)
    line = lines.text.splitlines()[-1]
    assert "[warning  ] GET /authorization-url 503 " in line
    assert "error=store_unavailable cause=store_unavailable" in line
    assert f"request_id={answer.json()['request_id']}" in line
    assert CANARY not in lines.text


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_client_cannot_write_lines_of_its_own(
    simulator: Simulator, clock: FakeClock, log_format: str
) -> None:
    with log_lines(log_format) as lines:
        async with service(simulator, clock) as browser:
            await browser.get('/a%0a{"event": "forged"}%1b[31m%22%c3%a9')
    assert len(lines.text.splitlines()) == 1
    assert lines.text.isascii()
    assert "\x1b" not in lines.text


def test_handler_writes_each_line_at_once() -> None:
    """Unbuffered: what was logged is there even if the process is killed at the next moment."""
    reader, writer = os.pipe()
    handler = LineHandler(writer)
    handler.setFormatter(line_formatter("console"))
    for word in ("one", "tw\udcffo"):  # the second cannot be encoded
        handler.handle(logging.LogRecord("other", logging.INFO, "", 0, word, None, None))
    lines = os.read(reader, 1000).splitlines()
    os.close(reader)
    os.close(writer)
    assert [b"one" in lines[0], rb"tw\udcffo" in lines[1], len(lines)] == [True, True, 2]


def test_handler_writes_all_of_a_line_that_the_pipe_accepts_in_parts() -> None:
    """Another process that has the same pipe may have made it non-blocking."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handler = LineHandler(writer)
    handler.setFormatter(logging.Formatter())
    line = "x" * 300_000  # more than a pipe holds
    record = logging.LogRecord("other", logging.INFO, "", 0, line, None, None)
    thread = threading.Thread(target=handler.handle, args=(record,))
    thread.start()
    received = b""
    while not received.endswith(b"\n"):
        received += os.read(reader, 70_000)
    thread.join()
    os.close(reader)
    os.close(writer)
    assert received.decode() == f"{line}\n"


def test_line_that_cannot_be_written_fails_no_request(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    handler = LineHandler(writer)
    handler.handle(logging.LogRecord("other", logging.INFO, "", 0, "hello", None, None))
    assert "OSError" in capsys.readouterr().err


def test_record_of_another_package_is_left_to_structlog() -> None:
    """It may have a field that the access line has too, such as `method`."""
    record = logging.LogRecord("other", logging.INFO, "", 0, "hello", None, None)
    record.method = "GET"
    assert '"event": "hello"' in line_formatter("json").format(record)
