"""uvicorn's HTTP protocol with limits, so that one client cannot harm the others.

uvicorn with httptools accepts heads, trailers and queues of any size, and any byte stops its only
timer. Here each connection has one timer, for the next thing that its client has to do:

| `Wait` | the client has to                              | seconds | else                         |
|--------|------------------------------------------------|---------|------------------------------|
| `HEAD` | send the whole head of a request               | 10      | the connection is closed     |
| `BODY` | send the whole body of a request               | 90      | closed, and the app is told  |
| `REST` | send the rest of a body, after the answer      | 10      | closed                       |
| `NEXT` | begin another request                          | 75      | closed                       |
| `READ` | read what was written to it, or 64 KiB of that | 30      | aborted, and the app is told |

No timer runs while the client only waits for the app. `BODY` backs up the routes' own deadlines.
`NEXT` is longer than the 60 seconds for which nginx, by default, keeps an idle connection to the
service, so that nginx closes first and sends no request into a connection that is being closed.
"""

import asyncio
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from airtable_oauth.errors import (
    AirtableOAuthError,
    ContentTooLarge,
    HeadersTooLarge,
    InvalidRequest,
    Unavailable,
    UriTooLong,
)
from airtable_oauth.logs import logger
from airtable_oauth.request_notes import new_request_id

MAX_CONNECTIONS = 1000
"""Open connections of one process, if `limit_concurrency` is not set."""
MAX_HEAD_BYTES = 64 * 1024
"""The largest head. With the framing of the body (chunk sizes, extensions, trailers), it may have
this size plus the size of the body."""
MAX_TARGET_BYTES = 16 * 1024
"""The longest path and query together. Airtable's own limit is 16,000 characters."""
MAX_HEADERS = 200
MAX_QUEUED = 8
"""Requests of one connection that may wait for the answer to an earlier one."""
_MAX_IGNORED_BYTES = 1024 * 1024
"""How much of a refused request may still arrive."""
_PIECE_BYTES = 16 * 1024
"""How much is parsed before the limits are checked again."""


class Wait(StrEnum):
    """What the client has to do next. The value is part of a log line."""

    HEAD = "did not send the head of a request"
    BODY = "did not send the body of a request"
    REST = "did not send the rest of a body"
    NEXT = "did not send another request"
    READ = "did not read an answer"


class LimitedProtocol(HttpToolsProtocol):
    """For `uvicorn.run(http=LimitedProtocol)`.

    uvicorn's option `limit_concurrency` limits the open connections. If a client opens one more,
    the connection that has waited longest for its client is closed. If the app is working on a
    request of every connection, the new one is answered with 503.
    """

    seconds: ClassVar[Mapping[Wait, float]] = {
        Wait.HEAD: 10.0,
        Wait.BODY: 90.0,
        Wait.REST: 10.0,
        Wait.NEXT: 75.0,
        Wait.READ: 30.0,
    }

    _waiting: ClassVar[dict["LimitedProtocol", None]] = {}
    """The connections of this process whose timer is running. The longest wait comes first."""
    _wait: Wait | None = None
    """What the timer is for; None while the client has nothing to do."""
    _unread = 0
    """Bytes that were not read yet when the wait for `READ` began."""
    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _in_body = False
    _refused = False
    _ignored_bytes = 0
    _framing_bytes = 0
    """Bytes of the current request that are not body. Too high by at most one piece."""
    _body_bytes = 0
    _answering: RequestResponseCycle | None = None
    """The request that the app is working on, or the last one. `cycle` is the newest request."""

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        # uvicorn itself would answer in plain text, and would not close idle connections.
        self._max_connections = self.limit_concurrency or MAX_CONNECTIONS
        self.limit_concurrency = None

    # What happens to the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the base class has it
        """Wait for the first head, unless too many connections are open."""
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            self._make_room()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app."""
        self._stop_timer()
        self._drop_requests()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrives, a piece at a time."""
        if self._refused:
            self._ignore(len(data))
        for start in range(0, len(data), _PIECE_BYTES):
            if self._refused or self.transport.is_closing():
                break
            self._parse(data[start : start + _PIECE_BYTES])
        self._watch()

    def pause_writing(self) -> None:
        """The client reads more slowly than the app writes."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._watch()

    def shutdown(self) -> None:
        """Close the connection, after the answer under way if there is one."""
        super().shutdown()
        self._watch()

    # What the parser finds

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True
        self._framing_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A piece of path and query.

        Raises:
            UriTooLong: there is too much of it.
        """
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            raise UriTooLong

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped: the app has the headers by then.

        Raises:
            HeadersTooLarge: there are too many.
        """
        if self._in_body:
            return
        if len(self.headers) >= MAX_HEADERS:
            raise HeadersTooLarge
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here.

        Raises:
            InvalidRequest: too many requests wait for their answer.
        """
        if len(self.pipeline) >= MAX_QUEUED:
            raise InvalidRequest("Too many requests are waiting on this connection.")
        super().on_headers_complete()
        self._in_head, self._in_body = False, True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._framing_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._in_body = False
        super().on_message_complete()

    # What the app does

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for it."""
        if self._answering is not None:
            self._answering.body.clear()
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's timer, which any byte would stop
        self.loop.call_soon(self._watch)  # after the kernel has accepted what fits

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Like uvicorn, but remember which request it is, and notice the end of the task."""
        self._answering = cycle
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self._end_task)
        self.tasks.add(task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._watch()

    # The limits

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            # The client offers an upgrade, to HTTP/2 for example. It gets HTTP/1.1.
            self._parse(piece[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            known = cause if isinstance(cause, AirtableOAuthError) else None
            self._refuse(known or InvalidRequest("The request is not valid HTTP/1.1."))
            return
        self._framing_bytes += len(piece)
        if self._framing_bytes > MAX_HEAD_BYTES + self._body_bytes:
            self._refuse(HeadersTooLarge() if self._in_head else ContentTooLarge())

    def _ignore(self, count: int) -> None:
        """Let a refused client send a little more, so that it gets to read the answer."""
        self._ignored_bytes += count
        if self._ignored_bytes > _MAX_IGNORED_BYTES:
            self.transport.close()

    def _make_room(self) -> None:
        longest = next(iter(self._waiting), self)
        if longest is self:
            self._refuse(Unavailable())
            self.transport.close()
        else:
            longest._make_way()  # noqa: SLF001 (of this class)

    def _make_way(self) -> None:
        self._log_end("too many connections are open")
        self._stop_timer()
        self.connections.discard(self)
        self.transport.abort()

    def _owed(self) -> Wait | None:
        if self.transport.is_closing() or self.flow.write_paused:
            return Wait.READ
        if self._refused:
            return Wait.REST
        if self._is_answering():
            return Wait.BODY if self._in_body and not self.pipeline else None
        if self._in_body:
            return Wait.REST
        if self._in_head:
            return Wait.HEAD
        return Wait.READ if self.transport.get_write_buffer_size() else Wait.NEXT

    def _is_answering(self) -> bool:
        return self._answering is not None and not self._answering.response_complete

    def _watch(self) -> None:
        """Restart the timer if the client now has something else to do."""
        lost = self.parser is None
        owed = None if lost else self._owed()
        if owed is self._wait:
            return
        self._stop_timer()
        self._wait = owed
        if owed is not None:
            self._waiting[self] = None
            self._unread = self.transport.get_write_buffer_size()
            self._timer = self.loop.call_later(self.seconds[owed], self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._wait = None
        self._waiting.pop(self, None)

    def _expire(self) -> None:
        wait = self._wait
        self._stop_timer()
        if wait is Wait.NEXT:
            self.transport.close()
        elif wait is not Wait.READ:
            self._log_end(f"the client {wait}")
            self.transport.close()
        elif not self._reads():
            self._log_end(f"the client {wait}")
            self.transport.abort()
        self._watch()

    def _reads(self) -> bool:
        left = self.transport.get_write_buffer_size()
        return left == 0 or self._unread - left >= HIGH_WATER_LIMIT

    def _log_end(self, reason: str) -> None:
        logger.info("closed a connection: %s", reason, extra={"client": (self.client or ("",))[0]})

    def _refuse(self, error: AirtableOAuthError) -> None:
        """Answer instead of the app, if it is this request's turn, and stop reading the request."""
        answerable = self._is_answerable()
        self._refused = True
        self._drop_requests()
        request_id = new_request_id()
        logger.info(
            "the server refused a request: %d %s",
            error.status,
            error.error,
            extra={"request_id": request_id, "status": error.status},
        )
        if answerable and not self.transport.is_closing():
            self.transport.write(_answer(error, request_id))
            self.transport.write_eof()  # closing now could destroy the answer before it is read
        else:
            self.transport.close()

    def _is_answerable(self) -> bool:
        if not self._is_answering():
            return not self._in_body  # the app has answered the request already
        cycle = self._answering
        return self._in_body and cycle is self.cycle and not cycle.response_started

    def _drop_requests(self) -> None:
        """Tell the app that the client has disconnected. Queued requests are dropped."""
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.waiting_for_100_continue = False
            self._answering.message_event.set()


def _answer(error: AirtableOAuthError, request_id: str) -> bytes:
    body = json.dumps(
        {
            "error": error.error,
            "error_description": error.description,
            "action": error.action,
            "request_id": request_id,
        }
    ).encode()
    retry_after = b"" if error.retry_after is None else b"retry-after: %d\r\n" % error.retry_after
    return (
        STATUS_LINE[error.status]
        + b"content-type: application/json\r\ncache-control: no-store\r\n"
        + b"x-content-type-options: nosniff\r\nconnection: close\r\n"
        + retry_after
        + b"content-length: %d\r\n\r\n" % len(body)
        + body
    )
