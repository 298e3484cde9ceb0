"""What the service is measured beside: a token endpoint that answers at once, and bare routes."""

import asyncio
import json
import sys

import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

_URL = {"authorizationUrl": f"https://airtable.com/oauth2/v1/authorize?{'x' * 300}"}
_TOKENS = json.dumps(
    {
        "access_token": "a" * 100,
        "refresh_token": "r" * 100,
        "token_type": "Bearer",
        "scope": "data.records:read",
        "expires_in": 3600,
        "refresh_expires_in": 5184000,
    }
).encode()
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % len(_TOKENS)
) + _TOKENS


class _TokenEndpoint(asyncio.Protocol):
    """Answers each POST with tokens, as fast as Python can."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if b"POST " in data:
            self._transport.write(_ANSWER)


async def _serve_tokens(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_TokenEndpoint, "127.0.0.1", port)
    await server.serve_forever()


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


def main() -> None:
    """`python -m tests.bench.servers token|fastapi|starlette PORT`."""
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "token":
        asyncio.run(_serve_tokens(port))
        return
    app: ASGIApp = _fastapi() if kind == "fastapi" else _starlette()
    uvicorn.run(
        app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="error"
    )


if __name__ == "__main__":
    main()
