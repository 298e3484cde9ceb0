"""The simulator's control API. `docs/simulator.md` documents it; `guard` decides who may use it.

| request | what it does |
|---|---|
| `GET /_simulator/requests` | the recorded requests, oldest first; `DELETE` clears them |
| `POST /_simulator/clock` `{"advance": 3600}` | moves the clock by this number of seconds |
| `POST /_simulator/faults` | plans a fault: the fields of `simulator.faults.Fault` |
| `GET /_simulator/faults` | the planned faults, and how often each fired; `DELETE` clears them |
| `POST /_simulator/faults/release` | ends the wait of requests that a fault with `held` stopped |
| `POST /_simulator/refusal` `{"error": "access_denied"}` | refuses logins until `DELETE` |
| `POST /_simulator/revocation` | revokes every grant, as when the user removes the integration |
| `DELETE /_simulator/access` | ends every access token; the refresh tokens still work |
| `POST /_simulator/lifetimes` `{"access_token": 5}` | sets how many seconds new tokens live |
| `POST /_simulator/grants` `{"count": 100}` | makes grants; returns the token answer of each |
| `GET /_simulator/grants/{code}` | the refresh tokens of the grant with this authorization code |
| `DELETE /_simulator/grants/{code}/access` | ends that grant's access tokens, as a refresh would |
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airtable_oauth.simulator.faults import Fault, Faults
from airtable_oauth.simulator.model import Lifetimes
from airtable_oauth.simulator.oauth import AuthorizationServer, Refusal
from airtable_oauth.simulator.recording import RequestLog

_NOTHING = 204
_MOST_GRANTS = 10_000
_UNPROCESSABLE = 422

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Control:
    """The routes below `/_simulator`."""

    log: RequestLog
    faults: Faults
    server: AuthorizationServer

    def routes(self) -> list[Route]:
        """The routes for a Starlette app."""
        return [
            Route("/requests", _answered(self._requests), methods=["GET", "DELETE"]),
            Route("/clock", _answered(self._clock), methods=["POST"]),
            Route("/faults", _answered(self._faults), methods=["GET", "POST", "DELETE"]),
            Route("/faults/release", _answered(self._release), methods=["POST"]),
            Route("/refusal", _answered(self._refusal), methods=["POST", "DELETE"]),
            Route("/revocation", _answered(self._revocation), methods=["POST"]),
            Route("/access", _answered(self._all_access), methods=["DELETE"]),
            Route("/lifetimes", _answered(self._lifetimes), methods=["POST"]),
            Route("/grants", _answered(self._new_grants), methods=["POST"]),
            Route("/grants/{code}", _answered(self._grant), methods=["GET"]),
            Route("/grants/{code}/access", _answered(self._access), methods=["DELETE"]),
        ]

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.log.clear()
            return Response(status_code=_NOTHING)
        return JSONResponse([asdict(seen) for seen in self.log])

    async def _clock(self, request: Request) -> Response:
        clock = self.server.vault.clock
        seconds = float((await request.json())["advance"])
        if not math.isfinite(seconds):
            raise ValueError("advance must be a number of seconds")
        clock.advance(seconds)
        return JSONResponse({"now": clock()})

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            self.faults.add(_parse(Fault, await request.json()))
        return JSONResponse([asdict(fault) for fault in self.faults.planned])

    async def _release(self, _request: Request) -> Response:
        self.faults.release()
        return Response(status_code=_NOTHING)

    async def _refusal(self, request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else None
        self.server.refusal = _parse(Refusal, wanted) if wanted else None
        return Response(status_code=_NOTHING)

    async def _revocation(self, _request: Request) -> Response:
        self.server.vault.revoke_all()
        return Response(status_code=_NOTHING)

    async def _all_access(self, _request: Request) -> Response:
        self.server.vault.expire_all()
        return Response(status_code=_NOTHING)

    async def _lifetimes(self, request: Request) -> Response:
        vault = self.server.vault
        vault.lifetimes = _parse(Lifetimes, asdict(vault.lifetimes) | await request.json())
        return JSONResponse(asdict(vault.lifetimes))

    async def _new_grants(self, request: Request) -> Response:
        server, count = self.server, int((await request.json())["count"])
        if not 1 <= count <= _MOST_GRANTS:
            raise ValueError(f"count must be 1 to {_MOST_GRANTS}")
        client_id, integration = next(iter(server.integrations.items()))
        scopes = integration.scopes
        grants = [server.new_grant(client_id, scopes) for _ in range(count)]
        return JSONResponse([server.vault.issue_tokens(grant, scopes) for grant in grants])

    async def _grant(self, request: Request) -> Response:
        tokens = self.server.vault.tokens_of(request.path_params["code"])
        return JSONResponse({"refresh_tokens": tokens})

    async def _access(self, request: Request) -> Response:
        self.server.vault.expire(request.path_params["code"])
        return Response(status_code=_NOTHING)


def _parse(kind: type[T], body: Any) -> T:
    """Parse JSON into a dataclass.

    Raises:
        ValueError: a field is unknown or has the wrong type.
    """
    try:
        return TypeAdapter(kind).validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def _answered(endpoint: Endpoint) -> Endpoint:
    """Wrap an endpoint, so that it answers a malformed request with 422 and the reason."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            body = {"error": f"{type(error).__name__}: {error}"}
            return JSONResponse(body, _UNPROCESSABLE)

    return answered
