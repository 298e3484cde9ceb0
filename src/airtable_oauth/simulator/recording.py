"""The simulator's log of requests. It is bounded, and masks secrets by default."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_REQUESTS = 10_000
MOST_BYTES = 32 * 1024 * 1024
"""The most bytes of all recorded requests together."""
_MOST_BODY = 16 * 1024
"""The most bytes that are recorded of a body."""
MASK = "***"
_HARMLESS = frozenset(
    (
        *("grant_type", "client_id", "redirect_uri", "scope", "response_type"),
        *("code_challenge_method", "decision", "user", "base", "error"),
    )
)
"""Parameters of OAuth requests that are recorded unmasked. All others are masked."""
_SECRET = re.compile(r"auth|cookie|token|secret|key|passw|code|state|session", re.IGNORECASE)
"""Matches the names of the headers and Web API parameters that are masked."""


@dataclass
class SeenRequest:
    """A request that the simulator received, and the status of its answer."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    """The first 16 KiB."""
    status: int = 0
    at: float = 0.0
    """When it arrived, in seconds since 1970 by the simulator's clock."""

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        return dict(parse_qsl(self.body))


class RequestLog(deque[SeenRequest]):
    """The last 10,000 requests, or fewer if they exceed 32 MiB together."""

    _bytes = 0

    def append(self, seen: SeenRequest) -> None:
        """Add a request. Drops the oldest ones if the log is full."""
        super().append(seen)
        self._bytes += _weight(seen)
        while len(self) > MOST_REQUESTS or self._bytes > MOST_BYTES:
            self._bytes -= _weight(self.popleft())

    def clear(self) -> None:
        """Remove all requests."""
        super().clear()
        self._bytes = 0


class Recorder:
    """ASGI middleware that records every request.

    It masks tokens, codes and other secrets, unless `secrets` is true.
    """

    def __init__(
        self, app: ASGIApp, log: RequestLog, clock: Callable[[], float], *, secrets: bool
    ) -> None:
        self._app = app
        self._log = log
        self._clock = clock
        self._mask = _Unmasked() if secrets else _Masked()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, mask = scope["path"], self._mask
        seen = SeenRequest(
            method=scope["method"],
            path=path,
            query=mask.query(path, scope["query_string"].decode("latin-1")),
            headers=mask.headers(dict(Headers(scope=scope))),
            body="",
            at=self._clock(),
        )
        self._log.append(seen)
        body = bytearray()

        async def receive_and_record() -> Message:
            message = await receive()
            body.extend(message.get("body", b"")[: _MOST_BODY - len(body)])
            seen.body = mask.body(path, body.decode("utf-8", "replace"))
            return message

        async def send_and_record(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        await self._app(scope, receive_and_record, send_and_record)


class _Unmasked:
    """Records everything, for tests that check where secrets go."""

    def headers(self, headers: dict[str, str]) -> dict[str, str]:
        return headers

    def query(self, _path: str, query: str) -> str:
        return query

    def body(self, _path: str, body: str) -> str:
        return body


class _Masked(_Unmasked):
    """Masks everything that an attacker could use."""

    def headers(self, headers: dict[str, str]) -> dict[str, str]:
        return {name: _header(name, value) for name, value in headers.items()}

    def query(self, path: str, query: str) -> str:
        return _parameters(query, _web_api if path.startswith("/v0/") else _oauth)

    def body(self, path: str, body: str) -> str:
        """Bodies of the Web API hold records and are not masked; all others are forms."""
        return body if path.startswith("/v0/") else _parameters(body, _oauth)


def _header(name: str, value: str) -> str:
    if name == "referer":
        return urlsplit(value)._replace(query="", fragment="").geturl()
    if name == "authorization":
        return f"{value.partition(' ')[0]} {MASK}" if " " in value else MASK
    return MASK if _SECRET.search(name) else value


def _parameters(text: str, shown: Callable[[str, str], tuple[str, str]]) -> str:
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([shown(*pair) for pair in pairs], safe=f"{MASK}[]:/")


def _oauth(name: str, value: str) -> tuple[str, str]:
    if name in _HARMLESS:
        return name, value
    return (name if re.fullmatch(r"\w{1,40}", name) else MASK), MASK


def _web_api(name: str, value: str) -> tuple[str, str]:
    return name, MASK if _SECRET.search(name) else value


def _weight(seen: SeenRequest) -> int:
    """Bytes of the path, query and headers, and of the body that the headers announce."""
    head = len(seen.path) + len(seen.query) + sum(map(len, seen.headers.values()))
    announced = seen.headers.get("content-length", "")[:9]
    chunked = "transfer-encoding" in seen.headers
    body = _MOST_BODY if chunked else int(announced) if announced.isdecimal() else 0
    return head + min(body, _MOST_BODY)
