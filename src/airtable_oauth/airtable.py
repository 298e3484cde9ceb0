"""The only code that talks to Airtable: sends what `protocol` wrote and hands it the answer."""

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from airtable_oauth.background import Slots, within
from airtable_oauth.causes import cause_of
from airtable_oauth.errors import NotSent, UpstreamError, UpstreamTimeout
from airtable_oauth.incidents import Incidents
from airtable_oauth.protocol import (
    TOKEN_PATH,
    Client,
    TokenSet,
    form_body,
    parse_token_response,
)

_MAX_ANSWER_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200
_LAST_STATUS = 599
_PIECE_BYTES = 64 * 1024
_ZLIB_OR_GZIP = 47  # zlib's `wbits` that recognise either header
_KEEP_ALIVE_SECONDS = 4.0
"""Shorter than any server's: a POST on a connection that the server just closed cannot be told
from one that was lost after it arrived, and is not sent again."""


@dataclass(frozen=True, slots=True)
class Airtable:
    """Airtable's authorization server.

    The transport is used directly, without an `httpx.AsyncClient` around it: no redirects, no
    retries, no cookies, nothing read from the environment.

    The slots bound how many token requests are under way in this process. Callers take one before
    they spend anything, so that waiting never counts against `deadline`. Refreshes of stored
    connections have slots of their own: requests that strangers can cause cannot delay them.
    """

    client: Client
    url: str
    transport: httpx.AsyncBaseTransport
    deadline: float
    """Seconds for a whole call, from connecting to the last byte of the answer."""
    refresh_slots: Slots = field(default_factory=lambda: Slots(100, patience=60))
    """For refreshes of stored connections."""
    login_slots: Slots = field(default_factory=lambda: Slots(50, patience=5))
    """For the codes of logins, which anybody who begins a login can make up."""
    relay_slots: Slots = field(default_factory=lambda: Slots(20, patience=2))
    """For `POST /token-refresh`, which anybody can call."""
    incidents: Incidents = field(default_factory=lambda: Incidents("Airtable's token endpoint"))
    """Logs that the endpoint fails or refuses this client."""
    _authorization_url: str = field(init=False, repr=False)
    _headers: dict[str, str] = field(init=False, repr=False)
    _token_url: httpx.URL = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_authorization_url", self.client.authorization_url(self.url))
        object.__setattr__(self, "_headers", self.client.token_headers())
        object.__setattr__(self, "_token_url", httpx.URL(f"{self.url}{TOKEN_PATH}"))

    def authorization_url(self, *, state: str, code_challenge: str) -> str:
        """Where the browser goes to ask for access; see `protocol.Client.authorization_url`."""
        return f"{self._authorization_url}&state={state}&code_challenge={code_challenge}"

    async def exchange(self, *, code: str, code_verifier: str) -> TokenSet:
        """Spend an authorization code. One request, never repeated.

        Raises:
            AirtableError: see `protocol.parse_token_response`; also `NotSent` and
                `UpstreamTimeout`.
        """
        return await self._tokens(self.client.exchange_form(code=code, code_verifier=code_verifier))

    async def refresh(self, *, refresh_token: str) -> TokenSet:
        """Spend a refresh token. One request, never repeated.

        Raises:
            AirtableError: see `protocol.parse_token_response`; also `NotSent` and
                `UpstreamTimeout`.
        """
        form = self.client.refresh_form(refresh_token=refresh_token)
        return await self._tokens(form, sent_refresh_token=refresh_token)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.transport.aclose()

    async def token_request(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of one token request, as Airtable gave them, unjudged.

        Raises:
            UpstreamError, NotSent, UpstreamTimeout: there is no such answer.
        """
        try:
            return await within(self.deadline, self._post(form))
        except TimeoutError as error:
            raise UpstreamTimeout(cause=cause_of(error)) from None

    async def _tokens(
        self, form: Mapping[str, str], sent_refresh_token: str | None = None
    ) -> TokenSet:
        with self.incidents:
            status, body = await self.token_request(form)
            return parse_token_response(
                status,
                body,
                grant_type=form["grant_type"],
                requested_scope=" ".join(self.client.scopes),
                sent_refresh_token=sent_refresh_token,
            )

    async def _post(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        request = httpx.Request(
            "POST",
            self._token_url,
            headers=self._headers,
            content=form_body(form),
            extensions={"timeout": {"connect": self.deadline / 2}},
        )
        try:
            response = await self.transport.handle_async_request(request)
            try:
                body = await read_capped(response)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise as_upstream_error(error) from None  # the cause may quote what was sent
        return response.status_code, decompress(body, response.headers.get("Content-Encoding"))


def new_transport(*, connections: int = 100) -> httpx.AsyncBaseTransport:
    """A transport with a pool of its own and without a cookie jar.

    httpx's own pool answers a few hundred requests a second under concurrency; aiohttp's, ten
    times that. With `connections=0` the pool has no limit of its own.
    """
    return _Transport(connections)


class _Transport(AiohttpTransport):
    """Sends each request once. Opens again when used after `aclose`, also in another event loop."""

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
            raise httpx.RemoteProtocolError("the status is not that of a final answer")
        return response

    async def aclose(self) -> None:
        """Close what is open."""
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
    """The same request, in pieces if its body is large: aiohttp copies bytes in one go."""
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
    """A body that is sent piece by piece, so that other requests get their turns."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _PIECE_BYTES):
            yield self._body[start : start + _PIECE_BYTES]


class _ConnectionDropped(aiohttp.ClientConnectionError):
    """The connection broke after it was used for a request, whose outcome is unknown."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again, which it does for `GET`, `PUT` and `DELETE`.

    aiohttp repeats a request after two types of errors. They leave here as another type, except
    for errors of connecting, after which it repeats nothing. The reason phrase is left out: the
    transport cannot encode one that is not UTF-8.
    """
    try:
        response = await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionDropped(type(error).__name__) from error
    response.reason = None
    return response


def decompress(body: bytes, encoding: str | None, most: int = _MAX_ANSWER_BYTES) -> bytes:
    """The first `most` bytes of a body that may be compressed; empty if it cannot be read.

    No answer is asked for in compressed form. Tokens that come so all the same are kept.
    """
    if encoding is None or encoding.lower() not in ("gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, most)
    except zlib.error:
        return b""


async def read_capped(response: httpx.Response) -> bytes:
    """The raw body.

    Raises:
        UpstreamError: it is larger than any answer.
    """
    body = bytearray()
    stream = response.stream
    if not isinstance(stream, AsyncIterable):  # a transport's contract, told to the type checker
        raise TypeError("the transport is not an asynchronous one")
    async for chunk in stream:
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise UpstreamError(cause="answer too large")
    return bytes(body)


def as_upstream_error(error: httpx.TransportError) -> UpstreamError | UpstreamTimeout:
    """Tell a request that was certainly not sent from one whose fate is unknown.

    The aiohttp transport maps nearly everything to `httpx.ConnectTimeout`; its cause is exact.
    """
    not_sent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
    if isinstance(error.__cause__, not_sent):
        return NotSent(cause=cause_of(error))
    if isinstance(error, httpx.ConnectError) and error.__cause__ is None:  # other transports
        return NotSent(cause=cause_of(error))
    return UpstreamError(cause=cause_of(error))
