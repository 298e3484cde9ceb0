"""HTTP transport for Airtable's Web API. Rate-limited per base; refuses every other origin."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from airtable_oauth.airtable import as_upstream_error, decompress, read_capped
from airtable_oauth.background import Sleep
from airtable_oauth.causes import cause_of
from airtable_oauth.errors import (
    AirtableError,
    ForeignOrigin,
    RateLimited,
    Unavailable,
    UpstreamTimeout,
)
from airtable_oauth.paths import is_upload_path, require_plain_path
from airtable_oauth.records import User
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.keys import storage_key

_REQUESTS = 5
_WINDOW_SECONDS = 1.05
"""Airtable counts by arrival: a little more than its second, for requests that catch up."""
_PAUSE_SECONDS = 30.0
_ASK_SECONDS = 1.0
"""How often a process asks whether another one was told to pause."""
_PATIENCE_SECONDS = 2.0
"""How long a request waits for its turn before it is refused."""
_BASES = 1000
_UPLOAD_SECONDS = 60.0


class WebApi(httpx.AsyncBaseTransport):
    """A transport to Airtable's two origins, for the proxy and for `httpx.AsyncClient`.

    Five requests a second go to each base; when Airtable answers 429 all processes let the base
    alone for thirty seconds. A request that would wait too long is refused.
    """

    def __init__(
        self,
        *,
        url: str,
        content_url: str,
        transport: httpx.AsyncBaseTransport,
        deadline: float,
        pauses: "Pauses",
    ) -> None:
        """`url`: the origin of the Web API; `content_url`: the one that accepts uploads."""
        self._api = httpx.URL(url)
        self._content = httpx.URL(content_url)
        self.url = url
        self._transport = transport
        self._deadline = deadline
        self._pauses = pauses
        self._pace = Pace(pauses.monotonic, pauses.sleep)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request when its turn comes; the answer's body is still to be read.

        Raises:
            ForeignOrigin: The URL has an origin that must not see the token.
            InvalidPath: The path could lead out of `v0/`.
            RateLimited: its turn is too far off.
            UpstreamError, UpstreamTimeout: there is no answer.
        """
        self._direct(request)
        base = base_of(request.url.path)
        if base is not None:
            await self._pauses.heed(base)
            await self._pace.turn(base)
        response = await self._send(request)
        if response.status_code == 429 and base is not None:  # noqa: PLR2004
            response = await self._pauses.note(base, response)
        return response

    async def whoami(self, access_token: str) -> User | None:
        """Who granted this token; None where the server does not say.

        Source: Airtable's reference, "Get user ID & scopes".
        """
        request = httpx.Request(
            "GET",
            f"{self.url}/v0/meta/whoami",
            headers={"Authorization": f"Bearer {access_token}", "Accept-Encoding": "identity"},
        )
        try:
            async with asyncio.timeout(self._deadline):
                response = await self.handle_async_request(request)
                try:
                    body = await read_capped(response)
                finally:
                    await response.aclose()
            if response.status_code != 200:  # noqa: PLR2004
                return None
            answer = _WhoAmI.model_validate_json(body)
        except (AirtableError, httpx.TransportError, TimeoutError, ValidationError):
            return None
        return User(answer.id, answer.email)

    async def aclose(self) -> None:
        """Leave the connections open: clients come and go, `close` ends them all."""

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    def _direct(self, request: httpx.Request) -> None:
        """Check the URL of a request, and send an upload to the origin that accepts uploads.

        A caller may name either origin for an upload. On a repeat after a 401 it names the second.
        """
        upload = _is_upload(request)
        if _origin(request.url) == _origin(self._api):
            path = _path_below(self._api, request.url)
        elif upload and _origin(request.url) == _origin(self._content):
            path = _path_below(self._content, request.url)
        else:
            raise ForeignOrigin
        require_plain_path(path)
        if upload:
            prefix = self._content.path.rstrip("/")
            query = request.url.raw_path[len(_raw_path(request.url)) :]
            request.url = self._content.copy_with(raw_path=f"{prefix}/{path}".encode() + query)
            request.headers["Host"] = self._content.netloc.decode("ascii")

    async def _send(self, request: httpx.Request) -> httpx.Response:
        deadline = _UPLOAD_SECONDS if _is_upload(request) else self._deadline
        request.extensions["timeout"] = {"connect": self._deadline / 2, "read": deadline}
        try:
            async with asyncio.timeout(deadline):
                return await self._transport.handle_async_request(request)
        except TimeoutError as error:
            raise UpstreamTimeout(cause=cause_of(error)) from None
        except httpx.TransportError as error:
            raise as_upstream_error(error) from None


@dataclass(slots=True)
class Pace:
    """Five requests in any second to each base, in the order they came."""

    monotonic: Callable[[], float]
    sleep: Sleep
    _turns: dict[str, deque[float]] = field(default_factory=dict, init=False)
    _swept: float = field(default=0.0, init=False)

    async def turn(self, base: str) -> None:
        """Wait for a turn.

        Raises:
            RateLimited: it is too far off.
        """
        now = self.monotonic()
        turns = self._turns.get(base)
        if turns is None:
            self._forget(now)
            turns = self._turns[base] = deque(maxlen=_REQUESTS)
        full = len(turns) == _REQUESTS
        wait = max(0.0, turns[0] + _WINDOW_SECONDS - now) if full else 0.0
        if wait > _PATIENCE_SECONDS:
            raise RateLimited(wait)
        turns.append(now + wait)
        if wait:
            await self.sleep(wait)

    def _forget(self, now: float) -> None:
        """Keep the table small, looking through it once in a while."""
        past = now - _WINDOW_SECONDS
        if len(self._turns) >= _BASES and self._swept <= past:
            self._swept = now
            self._turns = {base: turns for base, turns in self._turns.items() if turns[-1] > past}


@dataclass(slots=True)
class Pauses:
    """The thirty seconds after a 429, which all processes keep."""

    store: Store
    name: str
    clock: StoreClock
    monotonic: Callable[[], float] = time.monotonic
    sleep: Sleep = asyncio.sleep
    _until: dict[str, tuple[float, float]] = field(default_factory=dict, init=False)
    """By base, by this process's clock: when its pause ends, and when to ask again."""
    _swept: float = field(default=0.0, init=False)

    async def heed(self, base: str) -> None:
        """Wait for the end of a pause, if there is one and it is near.

        Raises:
            RateLimited: it is not.
        """
        left = await self._left(base)
        if left > _PATIENCE_SECONDS:
            raise RateLimited(left)
        if left > 0:
            await self.sleep(left)

    async def note(self, base: str, response: httpx.Response) -> httpx.Response:
        """Begin a pause, unless the 429 is about the month's allowance. The answer, whole."""
        try:
            body = await read_capped(response)
        finally:
            await response.aclose()
        if b"BILLING_LIMIT" not in decompress(body, response.headers.get("Content-Encoding")):
            await self._begin(base)
            response.headers.setdefault("Retry-After", str(int(_PAUSE_SECONDS)))
        return httpx.Response(429, headers=response.headers, stream=_Whole(body))

    async def _begin(self, base: str) -> None:
        here = self.monotonic()
        self._until[base] = (here + _PAUSE_SECONDS, here + _PAUSE_SECONDS)
        try:
            until = await self.clock.now() + _PAUSE_SECONDS
            await self.store.put(self._key(base), json.dumps(until).encode(), _PAUSE_SECONDS)
        except Unavailable:
            return  # the other processes will find out by themselves

    async def _left(self, base: str) -> float:
        here = self.monotonic()
        until, ask_at = self._until.get(base, (0.0, 0.0))
        if here >= ask_at:
            until = here + await self._asked(base)
            if len(self._until) >= _BASES and self._swept + _ASK_SECONDS <= here:
                self._swept = here
                self._until = {each: kept for each, kept in self._until.items() if kept[1] > here}
            self._until[base] = (until, max(until, here + _ASK_SECONDS))
        return until - here

    async def _asked(self, base: str) -> float:
        try:
            entry = await self.store.get(self._key(base))
            return 0.0 if entry is None else float(entry.value) - await self.clock.now()
        except Unavailable:
            return 0.0

    def _key(self, base: str) -> str:
        return storage_key(self.name, "pause", base)


class _Whole(httpx.AsyncByteStream):
    """A body that was read already."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class _WhoAmI(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    id: str
    email: str | None = None


def base_of(path: str) -> str | None:
    """The base that a path is about: what Airtable counts requests by."""
    parts = path.split("/")
    if parts[2:4] == ["meta", "bases"]:
        return parts[4] if len(parts) > 4 and parts[4] else None  # noqa: PLR2004
    return parts[2] if len(parts) > 2 and parts[2].startswith("app") else None  # noqa: PLR2004


def _is_upload(request: httpx.Request) -> bool:
    parts = _raw_path(request.url).rsplit("/", 5)
    return request.method == "POST" and is_upload_path("/".join(parts[1:]))


def _path_below(base: httpx.URL, url: httpx.URL) -> str:
    """The path of a URL without that of its server's base URL, and without a leading slash."""
    return _raw_path(url).removeprefix(base.path.rstrip("/") + "/")


def _raw_path(url: httpx.URL) -> str:
    """The path as it is sent: percent-encoded and without the query."""
    return url.raw_path.partition(b"?")[0].decode("ascii")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
