"""uvicorn's HTTP protocol with limits of our own, which it lacks with httptools."""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from airtable_oauth.errors import AirtableOAuthError, HeadersTooLarge, InvalidRequest
from airtable_oauth.logs import logger, new_request_id

MAX_HEAD_BYTES = 64 * 1024


class LimitedProtocol(HttpToolsProtocol):
    """For `uvicorn.run(http=LimitedProtocol)`."""

    patience = 10.0
    """Seconds for a whole head, and for the rest of a body whose request is answered already."""

    _in_head = True
    _head_bytes = 0
    """What came of the current head, counted by reads, each of which the event loop bounds."""
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        """Wait for the rest of the head that begins here."""
        super().on_message_begin()
        self._in_head = True
        if self._patience is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """The head is here."""
        self._in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Nobody reads what is still to come of the body: do not take it in for ever."""
        super().on_response_complete()
        if self.cycle.more_body:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn's answer, in our body."""
        self._refuse(InvalidRequest(msg))

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(self.patience, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, error: AirtableOAuthError) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        request_id = new_request_id()
        logger.info("%d before a request", error.status, extra={"request_id": request_id})
        body = json.dumps(
            {
                "error": error.error,
                "error_description": error.description,
                "action": error.action,
                "request_id": request_id,
            }
        ).encode()
        self.transport.write(
            STATUS_LINE[error.status]
            + b"content-type: application/json\r\ncache-control: no-store\r\n"
            + b"x-content-type-options: nosniff\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()
