"""Servers of the benchmark: an Airtable that answers at once, and bare routes."""

import asyncio
import json
import re
import sys

import uvicorn
import uvloop
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

ACCESS_TOKEN = "a" * 100
PAGE = json.dumps(
    {
        "records": [
            {
                "id": f"rec{number:014d}",
                "createdTime": "2025-07-28T14:46:11.000Z",
                "fields": {
                    "Name": f"Record {number}",
                    "Status": "In progress",
                    "Owner": {"id": f"usr{number:014d}", "email": f"owner.{number}@example.com"},
                    "Notes": "A line or two. " * 4,
                },
            }
            for number in range(100)
        ],
        "offset": "itrBench/rec00000000000099",
    }
).encode()
"""A page of a hundred records, about 26 KB."""

_URL = {"authorizationUrl": f"https://airtable.com/oauth2/v1/authorize?{'x' * 300}"}


def main() -> None:
    """`python -m tests.bench.servers airtable|airtable-brief|fastapi|starlette PORT`."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind.startswith("airtable"):
        uvloop.run(_serve_airtable(port, expires_in=3600 if kind == "airtable" else 1))
        return
    app: ASGIApp = _fastapi() if kind == "fastapi" else _starlette()
    uvicorn.run(
        app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="error"
    )


async def _serve_airtable(port: int, *, expires_in: int) -> None:
    tokens = _answer("200 OK", _tokens(expires_in))
    server = await asyncio.get_running_loop().create_server(
        lambda: _Airtable(tokens), "127.0.0.1", port
    )
    await server.serve_forever()


def _tokens(expires_in: int) -> bytes:
    """A token response, with the lifetime of the access token in seconds."""
    return json.dumps(
        {
            "access_token": ACCESS_TOKEN,
            "refresh_token": "r" * 100,
            "token_type": "Bearer",
            "scope": "data.records:read",
            "expires_in": expires_in,
            "refresh_expires_in": 5184000,
        }
    ).encode()


class _Airtable(asyncio.Protocol):
    """The token endpoint and two paths of the Web API, as fast as Python allows."""

    _received = b""

    def __init__(self, tokens: bytes) -> None:
        self._tokens = tokens

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvloop
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while head := self._next_request():
            self._transport.write(self._answer_to(head))

    def _next_request(self) -> bytes:
        """The head of the next request that has arrived with its body; empty if there is none."""
        head, _, rest = self._received.partition(b"\r\n\r\n")
        length = _CONTENT_LENGTH.search(head)
        body_size = int(length[1]) if length else 0
        if len(self._received) < len(head) + 4 + body_size:
            return b""
        self._received = rest[body_size:]
        return head

    def _answer_to(self, head: bytes) -> bytes:
        if head.startswith(b"POST /oauth2/v1/token "):
            return self._tokens
        if _BEARER not in head:
            return _UNAUTHORIZED
        if head.startswith(b"GET /v0/meta/whoami "):
            return _USER_ANSWER
        return _PAGE_ANSWER if _PAGE_REQUEST.match(head) else _NOT_FOUND


_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PAGE_REQUEST = re.compile(rb"GET /v0/app\w+/tbl\w+ ")


def _answer(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


_BEARER = f"Bearer {ACCESS_TOKEN}".encode()
_USER_ANSWER = _answer("200 OK", b'{"id":"usr00000000000001"}')
_PAGE_ANSWER = _answer("200 OK", PAGE)
_UNAUTHORIZED = _answer("401 Unauthorized", b"{}")
_NOT_FOUND = _answer("404 Not Found", b"{}")


def _fastapi() -> FastAPI:
    app = FastAPI()

    @app.get("/authorization-url")
    async def authorization_url() -> dict[str, str]:
        return _URL

    return app


def _starlette() -> Starlette:
    async def authorization_url(_request: Request) -> Response:
        return JSONResponse(_URL)

    return Starlette(routes=[Route("/authorization-url", authorization_url)])


if __name__ == "__main__":
    main()
