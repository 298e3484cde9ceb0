"""HTTP transport for calls to Airtable. Sends each request once, and reports if it was not sent."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import NotSent, UpstreamError, UpstreamTimeout

_MAX_ANSWER_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200
_LAST_STATUS = 599
_PIECE_BYTES = 64 * 1024
_ZLIB_OR_GZIP = 47  # the `wbits` with which zlib accepts either header
_KEEP_ALIVE_SECONDS = 4.0
"""Shorter than any server's. If the server has just closed the connection, it is unknown whether a
POST arrived, so it is not sent again."""


def new_transport(*, connections: int = 100) -> httpx.AsyncBaseTransport:
    """Return a transport with its own connection pool and without a cookie jar.

    Under concurrency, httpx's pool handles a few hundred requests per second, and aiohttp's ten
    times as many. With `connections=0` the pool is unlimited.
    """
    return _Transport(connections)


class _Transport(AiohttpTransport):
    """Sends each request once. Reopens if used after `aclose`, even in another event loop."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        super().__init__(client=self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.

        Raises:
            httpx.TransportError: Airtable did not answer, or the answer is not valid HTTP.
        """
        try:
            response = await super().handle_async_request(_in_pieces(request))
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(type(error).__name__) from None
        if not _FIRST_FINAL_STATUS <= response.status_code <= _LAST_STATUS:
            await response.aclose()
            raise httpx.RemoteProtocolError("not a final status code")
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await super().aclose()
        self.client = self._session

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=_KEEP_ALIVE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=(_send_once,),
        )


def _in_pieces(request: httpx.Request) -> httpx.Request:
    """Split the body of a request if it is large, because aiohttp copies bytes in one go."""
    try:
        body = request.content
    except httpx.RequestNotRead:
        return request
    if len(body) <= _PIECE_BYTES:
        return request
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        stream=_Pieces(body),
        extensions=request.extensions,
    )


class _Pieces(httpx.AsyncByteStream):
    """A body that is sent piece by piece, so that other requests can run in between."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE_BYTES):
            yield self._body[start : start + _PIECE_BYTES]


class _ConnectionDropped(aiohttp.ClientConnectionError):
    """The connection broke after it was used for a request. The request's outcome is unknown."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stop aiohttp from repeating requests, which it does for `GET`, `PUT` and `DELETE`.

    aiohttp repeats a request after two types of errors. This raises them as another type, except
    for errors while connecting, after which aiohttp repeats nothing. It also drops the reason
    phrase: the transport cannot encode one that is not UTF-8.
    """
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionDropped(type(error).__name__) from error
    response.reason = None
    return response


async def read_capped(response: httpx.Response) -> bytes:
    """Read the raw body of at most 64 KiB.

    Raises:
        UpstreamError: The body is larger.
    """
    body = bytearray()
    stream = response.stream
    if not isinstance(stream, AsyncIterable):  # for the type checker; async transports return one
        raise TypeError("the transport is not asynchronous")
    async for chunk in stream:
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise UpstreamError(cause="answer too large")
    return bytes(body)


def decompress(body: bytes, encoding: str | None, most: int = _MAX_ANSWER_BYTES) -> bytes:
    """Return the first `most` bytes of a body, decompressed if needed; empty if it is corrupt.

    Requests ask for no compression. If tokens arrive compressed anyway, they are not lost.
    """
    if encoding is None or encoding.lower() not in ("gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, most)
    except zlib.error:
        return b""


def as_upstream_error(error: httpx.TransportError) -> UpstreamError | UpstreamTimeout:
    """Distinguish a request that was certainly not sent from one with an unknown outcome.

    The aiohttp transport maps nearly every error to `httpx.ConnectTimeout`; the cause is exact.
    """
    not_sent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
    if isinstance(error.__cause__, not_sent):
        return NotSent(cause=cause_of(error))
    if isinstance(error, httpx.ConnectError) and error.__cause__ is None:  # other transports
        return NotSent(cause=cause_of(error))
    return UpstreamError(cause=cause_of(error))
