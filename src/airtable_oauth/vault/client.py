"""Calls Airtable's Web API as a connection, and sends its token nowhere else."""

from collections.abc import AsyncGenerator
from typing import Any

import httpx

from airtable_oauth.airtable_api.transport import CONNECTION, WebApi
from airtable_oauth.causes import cause_of
from airtable_oauth.errors import UpstreamError, UpstreamTimeout
from airtable_oauth.vault.connections import Connections


class ConnectionAuth(httpx.Auth):
    """Attaches the access token of a connection, and a newer one if Airtable rejects it.

    Airtable answers 401 before it carries anything out, so a request of any method may be sent
    again, once. For that a streamed body is read first, whole, into memory.
    """

    def __init__(self, connections: Connections, connection_id: str) -> None:
        self._connections = connections
        self._connection_id = connection_id

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See `httpx.Auth`.

        Raises:
            NotConnected, ReconnectRequired, Unavailable, ClientRefused: see `Connections.access`.
        """
        await _read_body(request)
        request.extensions[CONNECTION] = self._connection_id
        used = await self._connections.access(self._connection_id)
        request.headers["Authorization"] = f"Bearer {used.access_token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            newer = await self._connections.access(self._connection_id, rejected=used)
            if newer.generation == used.generation:
                return
            used = newer
            request.headers["Authorization"] = f"Bearer {used.access_token}"
            response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            self._connections.mark_accepted(used)


async def _read_body(request: httpx.Request) -> None:
    body = await request.aread()
    if "Transfer-Encoding" in request.headers:
        del request.headers["Transfer-Encoding"]
        request.headers["Content-Length"] = str(len(body))


def client_of(connections: Connections, web_api: WebApi, connection_id: str) -> httpx.AsyncClient:
    """A client for a connection; paths are relative to Airtable's Web API.

    It follows no redirects, keeps no cookies and reads nothing from the environment.
    """
    return _Client(
        base_url=web_api.url,
        auth=ConnectionAuth(connections, connection_id),
        transport=web_api,
        trust_env=False,
    )


class _Client(httpx.AsyncClient):
    """A client whose callers need to catch errors of this package only."""

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
    connections: Connections, web_api: WebApi, connection_id: str, request: httpx.Request
) -> httpx.Response:
    """Send one request as a connection, without a client around it; the body is still to be read.

    Raises:
        As `ConnectionAuth.async_auth_flow` and `WebApi.handle_async_request` do.
    """
    flow = ConnectionAuth(connections, connection_id).async_auth_flow(request)
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
