"""Sends events to hosts that are not Python, as signed POST requests (Standard Webhooks).

Source: https://www.standardwebhooks.com, "Webhook headers" and "Signature scheme".
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from airtable_oauth.background import Background, Sleep
from airtable_oauth.causes import cause_of
from airtable_oauth.encoding import RandomBytes, base64url
from airtable_oauth.incidents import Incidents
from airtable_oauth.logs import logger
from airtable_oauth.request_notes import log_fields
from airtable_oauth.vault.events import Event
from airtable_oauth.vault.model import Connection

_DEADLINE_SECONDS = 5.0
_PAUSES = (1.0, 5.0, 15.0)
"""Seconds before each further attempt."""
_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """Sends each event until the receiver accepts it, four times at most.

    The receiver may get an event twice or, if every attempt fails or the process ends, not at all.
    Events arrive in no particular order. If one is missed, `GET /session` shows the connection's
    state.
    """

    url: str = field(repr=False)
    key: bytes = field(repr=False)
    transport: httpx.AsyncBaseTransport
    clock: Callable[[], float]
    sleep: Sleep
    random: RandomBytes
    background: Background = field(default_factory=Background)
    incidents: Incidents = field(default_factory=lambda: Incidents("the webhook"))
    """Logs when the webhook's server cannot be reached or refuses events."""
    close_seconds: float = _CLOSE_SECONDS
    """How long `aclose` waits for events that are being sent."""

    async def emit(self, event: Event, connection: Connection) -> None:
        """Send an event in the background, with retries. Does not wait for it."""
        message_id = f"msg_{base64url(self.random(16))}"
        body = json.dumps(_describe(event, connection, self.clock())).encode()
        self.background.start(self._deliver(message_id, body))

    async def aclose(self) -> None:
        """Wait a few seconds for events that are being sent, drop the undelivered ones, and close.

        A dropped event is logged.
        """
        await self.background.drain(self.close_seconds)
        self.background.cancel()
        await self.background.drain(1)
        await self.transport.aclose()

    async def _deliver(self, message_id: str, body: bytes) -> None:
        problem: str | None = "not sent"
        try:
            for pause in (0, *_PAUSES):
                await self.sleep(pause)
                problem = await self._send(message_id, body)
                if problem is None:
                    self.incidents.works()
                    return
                self.incidents.failed(problem)
        finally:
            if problem is not None:
                extra = log_fields(cause=problem)
                logger.error("the webhook missed event %s: %s", message_id, problem, extra=extra)

    async def _send(self, message_id: str, body: bytes) -> str | None:
        """Post the event once. Returns what went wrong, or None."""
        timestamp = str(int(self.clock()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{sign(self.key, message_id, timestamp, body)}",
        }
        request = httpx.Request("POST", self.url, headers=headers, content=body)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                response = await self.transport.handle_async_request(request)
                await response.aclose()
        except (TimeoutError, httpx.TransportError) as error:
            return cause_of(error)
        return None if response.is_success else f"HTTP {response.status_code}"


def sign(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature of a message: base64 of an HMAC-SHA256."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _describe(event: Event, connection: Connection, now: float) -> dict[str, Any]:
    user = connection.user
    return {
        "type": f"connection.{event}",
        "timestamp": _time(now),
        "data": {
            "id": connection.id,
            "owner": connection.owner,
            "status": connection.status,
            "reason": connection.reason,
            "user": None if user is None else {"id": user.id, "email": user.email},
            "scopes": list(connection.scopes),
            "reconnect_by": connection.reconnect_by and _time(connection.reconnect_by),
            "data": connection.data,
            "reconnected": connection.reconnected,
        },
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
