"""Webhooks, which deliver events to hosts that are not written in Python."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from airtable_oauth import AirtableOAuth, ReconnectRequired, TokenSet
from airtable_oauth.simulator import Simulator
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.events import Event
from airtable_oauth.vault.webhook import Webhook
from tests.helpers import SCOPES, FakeClock, make_settings

URL = "https://host.example/hooks/airtable"
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass
class Receiver:
    """The host's endpoint. It returns prepared answers."""

    answers: list[httpx.Response | Exception] = field(default_factory=list)
    seen: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(204)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.seen]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def airtable(
    simulator: Simulator, store: MemoryStore, clock: FakeClock, receiver: Receiver
) -> AsyncIterator[AirtableOAuth]:
    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    made = AirtableOAuth(
        make_settings(webhook_url=URL, webhook_secret=SECRET),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        webhook_transport=httpx.MockTransport(receiver),
        clock=clock,
        monotonic=clock,
        sleep=sleep,
    )
    async with made.lifespan():
        yield made


async def connect(airtable: AirtableOAuth, simulator: Simulator) -> str:
    server = simulator.authorization_server
    answer: Any = server.vault.issue_tokens(server.new_grant("test-client", SCOPES), SCOPES)
    return (await airtable.adopt("ann", TokenSet(**answer), {"plan": 7})).id


async def test_event_is_signed_and_has_no_token(
    airtable: AirtableOAuth, simulator: Simulator, receiver: Receiver, clock: FakeClock
) -> None:
    """The signature follows Standard Webhooks, so existing libraries can verify it."""
    connection_id = await connect(airtable, simulator)
    await airtable.disconnect(connection_id)
    await airtable.aclose()
    connected, disconnected = receiver.events()
    assert connected["type"] == "connection.connected"
    assert disconnected["type"] == "connection.disconnected"
    assert connected["data"] == {
        "id": connection_id,
        "owner": "ann",
        "status": "connected",
        "reason": None,
        "user": {"id": connected["data"]["user"]["id"], "email": "mina@example.com"},
        "scopes": list(SCOPES),
        "reconnect_by": connected["data"]["reconnect_by"],
        "data": {"plan": 7},
        "reconnected": False,
    }
    request = receiver.seen[0]
    assert str(request.url) == URL
    message_id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert int(timestamp) == int(clock())
    signed = f"{message_id}.{timestamp}.".encode() + request.content
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    tokens = {*simulator.vault.access_tokens, *simulator.vault.refresh_tokens}
    sent = b"".join(seen.content + repr(seen.headers).encode() for seen in receiver.seen)
    assert not [token for token in tokens if token.encode() in sent]
    assert SECRET.encode() not in sent


@pytest.fixture
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver on a real socket: its URL and the events that it received."""
    events: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", events
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_event_carries_the_status_that_it_reports(
    simulator: Simulator,
    store: MemoryStore,
    clock: FakeClock,
    listener: tuple[str, list[dict[str, Any]]],
) -> None:
    """A receiver may copy the status into its own table."""
    url, events = listener
    airtable = AirtableOAuth(
        make_settings(webhook_url=url, webhook_secret=SECRET),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        clock=clock,
        monotonic=clock,
    )
    async with airtable.lifespan():
        connection_id = await connect(airtable, simulator)
        simulator.vault.revoke_all()
        clock.advance(3600)
        with pytest.raises(ReconnectRequired):
            await airtable.access_token(connection_id)
        await airtable.disconnect(connection_id)
    received = {each["type"]: (each["data"]["status"], each["data"]["reason"]) for each in events}
    assert received == {
        "connection.connected": ("connected", None),
        "connection.reconnect_required": ("reconnect_required", "revoked"),
        "connection.disconnected": ("disconnected", None),
    }


async def test_event_says_whether_access_was_granted_again(
    airtable: AirtableOAuth, simulator: Simulator, receiver: Receiver
) -> None:
    """A receiver can tell a reconnection from a first connection without a table of its own."""
    first = await connect(airtable, simulator)
    assert await connect(airtable, simulator) == first
    await airtable.aclose()
    assert [(each["data"]["id"], each["data"]["reconnected"]) for each in receiver.events()] == [
        (first, False),
        (first, True),
    ]


async def test_event_is_sent_again_until_it_is_accepted(
    airtable: AirtableOAuth, simulator: Simulator, receiver: Receiver
) -> None:
    """Every attempt has the same id. A redirect counts as a failure and is not followed."""
    receiver.answers = [
        httpx.Response(500),
        httpx.ConnectError("refused"),
        httpx.Response(307, headers={"Location": "https://evil.example"}),
    ]
    await connect(airtable, simulator)
    await airtable.aclose()
    assert len(receiver.seen) == 4
    assert len({request.headers["webhook-id"] for request in receiver.seen}) == 1
    assert {request.url.host for request in receiver.seen} == {"host.example"}


async def test_event_that_cannot_be_delivered_is_dropped(
    airtable: AirtableOAuth,
    simulator: Simulator,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After four attempts the event is dropped. The log line does not contain its data."""
    receiver.answers = [httpx.Response(500) for _ in range(9)]
    connection_id = await connect(airtable, simulator)
    assert await airtable.access_token(connection_id)
    await airtable.aclose()
    assert len(receiver.seen) == 4
    assert caplog.text.count("the webhook does not work: HTTP 500") == 1
    assert "the webhook missed event" in caplog.text
    assert "mina@example.com" not in caplog.text


async def test_end_of_a_connection_is_reported_once(
    airtable: AirtableOAuth, simulator: Simulator, receiver: Receiver, clock: FakeClock
) -> None:
    """The event has the reason."""
    connection_id = await connect(airtable, simulator)
    simulator.vault.revoke_all()
    clock.advance(3600)
    for _ in range(2):
        with pytest.raises(Exception, match="Reconnect to continue"):
            await airtable.access_token(connection_id)
    await airtable.aclose()
    received = [event for event in receiver.events() if event["type"] != "connection.connected"]
    assert [(event["type"], event["data"]["reason"]) for event in received] == [
        ("connection.reconnect_required", "revoked")
    ]


async def test_event_under_way_does_not_hold_up_the_end(
    simulator: Simulator,
    store: MemoryStore,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The event is dropped, and the log says so."""
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds:
            waiting.set()
            await asyncio.Event().wait()

    receiver.answers = [httpx.Response(500)]
    webhook = Webhook(
        url=URL,
        key=KEY,
        transport=httpx.MockTransport(receiver),
        clock=time.time,
        sleep=sleep,
        random=secrets.token_bytes,
        close_seconds=0.05,
    )
    airtable = AirtableOAuth(
        make_settings(), store=store, transport=httpx.ASGITransport(simulator.app)
    )
    airtable.on_connected(partial(webhook.emit, Event.CONNECTED))
    await connect(airtable, simulator)
    await waiting.wait()
    async with asyncio.timeout(4):
        await webhook.aclose()
    await airtable.aclose()
    assert "the webhook missed event" in caplog.text
    assert URL not in repr(webhook)
    assert URL not in repr(make_settings(webhook_url=URL, webhook_secret=SECRET))
