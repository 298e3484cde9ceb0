"""How errors of Airtable's Web API reach a host's route."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from airtable_oauth import AirtableOAuth, raise_for_error
from airtable_oauth.errors import Action, UpstreamError, UpstreamTimeout, WebApiError
from airtable_oauth.testing import AirtableSimulator, Fault

SECRET = "patSecret.0123456789"
"""A secret that no answer may quote: Airtable's messages may repeat parts of the request."""


@pytest.fixture
async def host(airtable_simulator: AirtableSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """A user of a host app whose route calls Airtable over a real socket."""
    airtable = AirtableOAuth(airtable_simulator.settings(), owner=lambda: "ann")
    app = FastAPI(lifespan=airtable.lifespan)

    @app.get("/bases")
    async def bases(client: Annotated[httpx.AsyncClient, Depends(airtable.current_client)]) -> Any:
        return raise_for_error(await client.get("/v0/meta/bases")).json()

    @app.get("/stream")
    async def stream(client: Annotated[httpx.AsyncClient, Depends(airtable.current_client)]) -> str:
        async with client.stream("GET", "/v0/meta/bases") as response:
            return str(raise_for_error(response).status_code)

    transport = httpx.ASGITransport(app)
    async with (
        airtable.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://localhost:3000") as client,
    ):
        await airtable.adopt("ann", airtable_simulator.tokens())
        yield client


async def test_success_passes(host: httpx.AsyncClient) -> None:
    """The caller can read the response body afterwards."""
    assert len((await host.get("/bases")).json()["bases"]) == 3


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, 400, "INVALID_REQUEST_BODY"),
        (403, 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
        (404, 404, "NOT_FOUND"),
        (422, 422, "INVALID_REQUEST_UNKNOWN"),
        (429, 429, "RATE_LIMIT_REACHED"),
        (500, 502, "SERVER_ERROR"),
        (503, 502, "RETRIABLE_ERROR"),
    ],
)
async def test_error_of_airtable_is_the_routes_answer(
    host: httpx.AsyncClient,
    airtable_simulator: AirtableSimulator,
    status: int,
    answer: int,
    kind: str,
) -> None:
    """A 4xx keeps its status, a 5xx becomes 502, and Airtable's message is not quoted."""
    body = json.dumps({"error": {"type": kind, "message": f"Invalid value: {SECRET}"}})
    airtable_simulator.faults.add(
        Fault("/v0/meta/bases", status=status, body=body, headers=(("Retry-After", "7"),))
    )
    got = await host.get("/bases")
    assert got.status_code == answer
    assert got.headers["Retry-After"] == "7"
    assert got.json()["detail"].startswith(f"Airtable answered {status} {kind}.")
    assert SECRET not in got.text + repr(got.headers)


async def test_token_that_airtable_still_refuses_is_401(
    host: httpx.AsyncClient, airtable_simulator: AirtableSimulator
) -> None:
    """This happens after one forced refresh. The user may reconnect."""
    body = '{"error": {"type": "AUTHENTICATION_REQUIRED", "message": "Authentication required"}}'
    airtable_simulator.faults.add(Fault("/v0/meta/bases", status=401, body=body, times=2))
    got = await host.get("/bases")
    assert got.status_code == 401
    assert "AUTHENTICATION_REQUIRED" in got.json()["detail"]
    assert len(airtable_simulator.token_requests()) == 1


async def test_status_decides_where_the_body_was_not_read(
    host: httpx.AsyncClient, airtable_simulator: AirtableSimulator
) -> None:
    """The body of a streamed response is not read to find the error code."""
    airtable_simulator.faults.add(Fault("/v0/meta/bases", status=404, body='{"error": "X"}'))
    got = await host.get("/stream")
    assert (got.status_code, got.json()["detail"][:22]) == (404, "Airtable answered 404.")


@asynccontextmanager
async def api_that_sends(answer: bytes, *, hang: bool = False) -> AsyncIterator[str]:
    """The URL of a Web API that sends these bytes, then closes the connection or hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if hang:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
    ],
    ids=["cut", "chunk", "not gzip"],
)
async def test_body_that_breaks_off_is_our_error(
    airtable_simulator: AirtableSimulator, answer: bytes
) -> None:
    """A route then answers 502. An exception of httpx would become a 500."""
    async with api_that_sends(answer) as url:
        airtable = AirtableOAuth(airtable_simulator.settings(airtable_api_url=url))
        async with airtable.lifespan():
            connection = await airtable.adopt("ann", airtable_simulator.tokens())
            async with airtable.client(connection.id) as client:
                with pytest.raises(UpstreamError):
                    await client.get("/v0/meta/bases")


async def test_body_that_stops_is_504(airtable_simulator: AirtableSimulator) -> None:
    """The timeout is `UPSTREAM_TIMEOUT` seconds without a byte."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with api_that_sends(answer, hang=True) as url:
        settings = airtable_simulator.settings(airtable_api_url=url, upstream_timeout=0.2)
        airtable = AirtableOAuth(settings)
        async with airtable.lifespan():
            connection = await airtable.adopt("ann", airtable_simulator.tokens())
            async with airtable.client(connection.id) as client:
                with pytest.raises(UpstreamTimeout):
                    await client.get("/v0/meta/bases")


def error_of(status: int, body: str | bytes = b"", **headers: str) -> WebApiError:
    with pytest.raises(WebApiError) as raised:
        raise_for_error(httpx.Response(status, content=body, headers=headers))
    return raised.value


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('{"error": {"type": "INVALID_PERMISSIONS", "message": "…"}}', "INVALID_PERMISSIONS"),
        ('{"error": "NOT_FOUND"}', "NOT_FOUND"),
        ('{"errors": [{"error": "RATE_LIMIT_REACHED", "message": "…"}]}', "RATE_LIMIT_REACHED"),
        ('{"errors": []}', "HTTP_422"),
        ('{"error": {"type": ["X"]}}', "HTTP_422"),
        ('{"error": "<script>alert(1)</script>"}', "HTTP_422"),
        (f'{{"error": "{SECRET}"}}', "HTTP_422"),
        ('{"error": "patSecret"}', "HTTP_422"),
        ("[]", "HTTP_422"),
        ("", "HTTP_422"),
        (b"\xff\xfe\x00", "HTTP_422"),
        ("[" * 100_000, "HTTP_422"),
    ],
)
def test_error_code_is_airtables_type(body: str | bytes, kind: str) -> None:
    """Airtable uses several shapes of error body. Anything else is named after its status."""
    error = error_of(422, body)
    assert error.error == kind
    assert SECRET not in error.description


@pytest.mark.parametrize(
    ("status", "kind", "action"),
    [
        (401, "AUTHENTICATION_REQUIRED", Action.RECONNECT),
        (403, "INVALID_PERMISSIONS", Action.FIX_REQUEST),
        (422, "INVALID_REQUEST_UNKNOWN", Action.FIX_REQUEST),
        (429, "RATE_LIMIT_REACHED", Action.RETRY),
        (429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED", Action.FIX_CONFIG),
        (302, "FOUND", Action.RETRY),
        (503, "RETRIABLE_ERROR", Action.RETRY),
    ],
)
def test_action_says_what_to_do(status: int, kind: str, action: Action) -> None:
    """Retrying helps against a rate limit, but not against a used-up monthly allowance."""
    assert error_of(status, json.dumps({"error": {"type": kind}})).action is action


def test_airtables_sentence_is_for_the_host_alone() -> None:
    """The message may quote data, so no answer and no log line contains it."""
    error = error_of(422, json.dumps({"error": {"type": "X", "message": f"Unknown: {SECRET}"}}))
    assert error.message == f"Unknown: {SECRET}"
    assert SECRET not in f"{error} {error!r} {error.detail} {error.headers}"


@pytest.mark.parametrize("value", ["", "soon", "-1", "9" * 5000, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_that_is_no_number_of_seconds_is_left_out(value: str) -> None:
    """`retry_after` is a number of seconds or None."""
    assert error_of(503, **{"Retry-After": value}).retry_after is None
