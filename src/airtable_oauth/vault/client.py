"""Calls Airtable's Web API with the access token of a connection."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx

from airtable_oauth.airtable_api.paths import refuse_dot_segments
from airtable_oauth.airtable_api.transport import CONNECTION, WebApi
from airtable_oauth.causes import cause_of
from airtable_oauth.errors import UpstreamError, UpstreamTimeout
from airtable_oauth.vault.access import AccessTokens


class ConnectionAuth(httpx.Auth):
    """Attaches the access token of a connection; if Airtable answers 401, retries with a newer one.

    A request that Airtable answers with 401 has had no effect, so a request of any method may be
    sent once more. A streamed body is read into memory first, so that it can be sent twice.
    """

    def __init__(self, access_tokens: AccessTokens, connection_id: str) -> None:
        self._access_tokens = access_tokens
        self._connection_id = connection_id

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See `httpx.Auth`.

        Raises:
            NotConnected, ReconnectRequired, Unavailable, ClientRefused: see
                `AccessTokens.ensure_fresh`.
        """
        await _read_body(request)
        request.extensions[CONNECTION] = self._connection_id
        used = await self._access_tokens.ensure_fresh(self._connection_id)
        request.headers["Authorization"] = f"Bearer {used.access_token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            newer = await self._access_tokens.ensure_fresh(self._connection_id, rejected=used)
            if newer.generation == used.generation:
                return
            used = newer
            request.headers["Authorization"] = f"Bearer {used.access_token}"
            response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            self._access_tokens.mark_accepted(used)


async def _read_body(request: httpx.Request) -> None:
    body = await request.aread()
    if "Transfer-Encoding" in request.headers:
        del request.headers["Transfer-Encoding"]
        request.headers["Content-Length"] = str(len(body))


def build_client(
    access_tokens: AccessTokens, web_api: WebApi, connection_id: str
) -> httpx.AsyncClient:
    """A client for a connection; paths are relative to Airtable's Web API.

    It follows no redirects and reads nothing from the environment.
    """
    return _Client(
        base_url=web_api.url,
        auth=ConnectionAuth(access_tokens, connection_id),
        transport=web_api,
        trust_env=False,
    )


class _Client(httpx.AsyncClient):
    """A client that raises the errors of this package instead of httpx's."""

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """See httpx.

        Raises:
            InvalidPath: a segment of the path is `.` or `..`.
        """
        if isinstance(url, str):  # httpx has resolved such segments of an `httpx.URL` already
            refuse_dot_segments(url)
        return super().build_request(method, url, **options)

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """See httpx. Reads the body too, unless the caller streams it.

        Raises:
            UpstreamError, UpstreamTimeout: the body breaks off, or takes too long.
        """
        try:
            return await super().send(request, **options)
        except httpx.ReadTimeout as error:
            raise UpstreamTimeout(cause=cause_of(error)) from None
        except httpx.RequestError as error:
            raise UpstreamError(cause=cause_of(error)) from None


async def send_as(
    access_tokens: AccessTokens, web_api: WebApi, connection_id: str, request: httpx.Request
) -> httpx.Response:
    """Send one request as a connection. The body of the response is not read yet.

    Raises:
        As `ConnectionAuth.async_auth_flow` and `WebApi.handle_async_request` do.
    """
    flow = ConnectionAuth(access_tokens, connection_id).async_auth_flow(request)
    try:
        request = await anext(flow)
        while True:
            response = await web_api.handle_async_request(request)
            try:
                request = await flow.asend(response)
            except StopAsyncIteration:
                return response
            except BaseException:
                await response.aclose()
                raise
            await response.aclose()
    finally:
        await flow.aclose()
