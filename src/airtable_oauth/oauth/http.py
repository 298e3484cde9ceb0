"""HTTP transport. Sends each request once, and reports if it was not sent."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from functools import lru_cache

import aiohttp
import httpx
from yarl import URL

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import NotSent, UpstreamError

_MAX_ANSWER_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200
_LAST_STATUS = 599
_PIECE_BYTES = 64 * 1024
_ZLIB_OR_GZIP = 47  # the `wbits` with which zlib accepts either header
_KEEP_ALIVE_SECONDS = 4.0
"""Shorter than any server's, so that we close an idle connection first. A POST that meets a closing
connection may or may not arrive, and is not sent again."""
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""Errors before a request is sent."""


def new_transport(*, connections: int = 100) -> httpx.AsyncBaseTransport:
    """Return a transport with its own connection pool and without a cookie jar.

    Under concurrency, httpx's pool handles a few hundred requests per second, and aiohttp's ten
    times as many. With `connections=0` the pool is unlimited.
    """
    return _Transport(connections)


class _Transport(httpx.AsyncBaseTransport):
    """httpx's interface to aiohttp's client. Sends each request once.

    Reopens if used after `aclose`, even in another event loop.
    """

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.

        Raises:
            httpx.ConnectError: the request was not sent.
            httpx.TransportError: the server did not answer, or the answer is not valid HTTP.
        """
        if self._session is None:
            self._session = self._open()
        timeout = request.extensions.get("timeout", {})
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers,
                data=_body(request),
                allow_redirects=False,
                timeout=_client_timeout(timeout.get("connect"), timeout.get("read")),
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _as_httpx_error(error) from error
        if not _FIRST_FINAL_STATUS <= response.status <= _LAST_STATUS:
            response.close()
            raise httpx.RemoteProtocolError("not a final status code")
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Answer(response),
            request=request,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=_KEEP_ALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            middlewares=(_send_once,),
        )


class _Answer(httpx.AsyncByteStream):
    """The body of an answer, in pieces as they arrive."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _as_httpx_error(error) from error

    async def aclose(self) -> None:
        """Give the connection back if the body has been read, or else close it."""
        self._response.release()


@lru_cache(maxsize=16)
def _client_timeout(connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    """Timeouts for connecting and for each read. A deadline for the whole is up to the caller."""
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def _as_httpx_error(error: Exception) -> httpx.TransportError:
    name = type(error).__name__
    if isinstance(error, _NOT_SENT):
        return httpx.ConnectError(name)
    return httpx.ReadTimeout(name) if isinstance(error, TimeoutError) else httpx.ReadError(name)


def _body(request: httpx.Request) -> bytes | AsyncIterable[bytes] | None:
    """The body as aiohttp expects it.

    A large one is split: aiohttp would copy it in one step, which blocks the event loop.
    """
    try:
        body = request.content
    except httpx.RequestNotRead:
        request.headers.pop("Transfer-Encoding", None)  # aiohttp sets it
        return _require_async(request.stream)
    return _pieces(body) if len(body) > _PIECE_BYTES else body or None


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


class _ConnectionDropped(aiohttp.ClientConnectionError):
    """The connection broke after it was used for a request. The request's outcome is unknown."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stop aiohttp from repeating requests, which it does for `GET`, `PUT` and `DELETE`.

    aiohttp repeats a request after two types of errors. This raises them as another type, except
    for errors while connecting, after which aiohttp repeats nothing.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionDropped(type(error).__name__) from error


async def read_capped(response: httpx.Response) -> bytes:
    """Read the raw body of at most 64 KiB.

    Raises:
        UpstreamError: The body is larger.
    """
    body = bytearray()
    async for chunk in _require_async(response.stream):
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise UpstreamError(cause="answer too large")
    return bytes(body)


def _require_async(
    stream: httpx.AsyncByteStream | httpx.SyncByteStream | AsyncIterable[bytes],
) -> AsyncIterable[bytes]:
    """For the type checker: asynchronous transports and clients have asynchronous streams."""
    if not isinstance(stream, AsyncIterable):
        raise TypeError("the transport is not asynchronous")
    return stream


def decompress(body: bytes, encoding: str | None, most: int = _MAX_ANSWER_BYTES) -> bytes:
    """Return a body, decompressed if its encoding is gzip or deflate.

    Of a compressed body, only the first `most` bytes are returned; nothing if it is corrupt. Token
    requests ask for no compression. If tokens arrive compressed anyway, they are not lost.
    """
    if encoding is None or encoding.lower() not in ("gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, most)
    except zlib.error:
        return b""


def as_upstream_error(error: httpx.TransportError) -> UpstreamError:
    """Distinguish a request that was certainly not sent from one with an unknown outcome."""
    cause = error.__cause__
    if isinstance(error, httpx.ConnectError) and (cause is None or isinstance(cause, _NOT_SENT)):
        return NotSent(cause=cause_of(error))
    return UpstreamError(cause=cause_of(error))
