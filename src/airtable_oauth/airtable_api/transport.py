"""HTTP transport for Airtable's Web API. Rate-limited per base; refuses every other origin."""

import asyncio
from collections.abc import AsyncIterator

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from airtable_oauth.airtable_api.paths import is_upload_path, require_plain_path
from airtable_oauth.airtable_api.rate_limit import PAUSE_SECONDS, RateLimiter
from airtable_oauth.airtable_api.user import User
from airtable_oauth.background import Background
from airtable_oauth.causes import cause_of
from airtable_oauth.errors import (
    AirtableError,
    ForeignOrigin,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.incidents import Incidents
from airtable_oauth.oauth.http import as_upstream_error, decompress, read_capped

_UPLOAD_SECONDS = 60.0
CONNECTION = "airtable_oauth.connection"
"""The request extension that names the connection. Connections share a base's limit fairly."""
_LIMITED_BODY_SECONDS = 2.0
"""Seconds to read the body of a 429. It only shows whether waiting helps."""


class WebApi(httpx.AsyncBaseTransport):
    """A transport to Airtable's two origins, for the proxy and for `httpx.AsyncClient`.

    All processes together send at most five requests per second to each base, and none for thirty
    seconds after a 429 from Airtable, unless that is about the monthly limit. A request that would
    wait too long is refused.
    """

    def __init__(
        self,
        *,
        url: str,
        content_url: str,
        transport: httpx.AsyncBaseTransport,
        deadline: float,
        rate_limiter: RateLimiter,
        background: Background,
        incidents: Incidents | None = None,
    ) -> None:
        """`url`: the origin of the Web API; `content_url`: the origin that accepts uploads."""
        self._api = httpx.URL(url)
        self._content = httpx.URL(content_url)
        self.url = url
        self._transport = transport
        self._deadline = deadline
        self._rate_limiter = rate_limiter
        self._background = background
        self._incidents = incidents or Incidents("Airtable's Web API")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request when its turn comes. The caller reads the body of the answer.

        Raises:
            ForeignOrigin: The URL has an origin that must not see the token.
            InvalidPath: The path could lead out of `v0/`.
            RateLimited: The next turn is too far away, or the body of Airtable's 429 cannot be
                read.
            UpstreamError, UpstreamTimeout: Airtable did not answer.
        """
        self._direct(request)
        base = base_of(request.url.path)
        if base is None:
            return await self._send(request)
        connection = request.extensions.get(CONNECTION, "")
        async with self._rate_limiter.turn(base, connection):
            response = await self._send(request)
            self._rate_limiter.record_answer(base, connection, response.status_code)
        if response.status_code == 429:  # noqa: PLR2004
            pause = self._background.start(self._pause(base, response))
            return await asyncio.shield(pause)  # goes on if the caller is cancelled
        return response

    async def whoami(self, access_token: str) -> User | None:
        """Return the user who granted this token, or None if Airtable does not say.

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
        """Do nothing. The connections outlive each `httpx.AsyncClient`; `close` closes them."""

    async def close(self) -> None:
        """Close the connections, and refuse the requests that wait for their turn."""
        await self._rate_limiter.close()
        await self._transport.aclose()

    def _direct(self, request: httpx.Request) -> None:
        """Check the URL of a request, and direct uploads to the origin that accepts them.

        A caller may name either origin for an upload. A repeat after a 401 names the upload origin.
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

    async def _pause(self, base: str, response: httpx.Response) -> httpx.Response:
        """Begin a pause, unless the 429 is about the monthly limit. Returns the whole answer.

        Raises:
            RateLimited: The body cannot be read.
        """
        body = await _read_body(response)
        text = decompress(body or b"", response.headers.get("Content-Encoding"))
        if b"BILLING_LIMIT" not in text:
            await self._rate_limiter.record_429(base)
            response.headers.setdefault("Retry-After", str(int(PAUSE_SECONDS)))
        if body is None:
            raise RateLimited(PAUSE_SECONDS)
        return httpx.Response(429, headers=response.headers, stream=_BufferedBody(body))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._answer(request)
        except (UpstreamError, UpstreamTimeout) as error:
            self._incidents.failed(cause_of(error))
            raise
        self._incidents.answered(response.status_code)
        return response

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        deadline = _UPLOAD_SECONDS if _is_upload(request) else self._deadline
        request.extensions["timeout"] = {"connect": self._deadline / 2, "read": deadline}
        try:
            async with asyncio.timeout(deadline):
                return await self._transport.handle_async_request(request)
        except TimeoutError as error:
            raise UpstreamTimeout(cause=cause_of(error)) from None
        except httpx.TransportError as error:
            raise as_upstream_error(error) from None


async def _read_body(response: httpx.Response) -> bytes | None:
    """Read the body; None if it breaks off, takes too long or is too large."""
    try:
        async with asyncio.timeout(_LIMITED_BODY_SECONDS):
            return await read_capped(response)
    except (AirtableError, TimeoutError, httpx.TransportError):
        return None
    finally:
        await response.aclose()


class _BufferedBody(httpx.AsyncByteStream):
    """A body that has already been read."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class _WhoAmI(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    id: str
    email: str | None = None


def base_of(path: str) -> str | None:
    """Return the id of the base that a path belongs to, or None. Airtable limits each base's rate.

    Source: Airtable's reference. The paths of a base are `/v0/{baseId}/…`,
    `/v0/meta/bases/{baseId}/…` and `/v0/bases/{baseId}/webhooks…`.
    """
    match path.split("/")[2:]:
        case ["meta", "bases", base, *_] | ["bases", base, *_] | [base, *_]:
            return base if base.startswith("app") else None
        case _:
            return None


def _is_upload(request: httpx.Request) -> bool:
    parts = _raw_path(request.url).rsplit("/", 5)
    return request.method == "POST" and is_upload_path("/".join(parts[1:]))


def _path_below(base: httpx.URL, url: httpx.URL) -> str:
    """The path of `url` relative to `base`, without a leading slash."""
    return _raw_path(url).removeprefix(base.path.rstrip("/") + "/")


def _raw_path(url: httpx.URL) -> str:
    """The path as it is sent: percent-encoded and without the query."""
    return url.raw_path.partition(b"?")[0].decode("ascii")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
