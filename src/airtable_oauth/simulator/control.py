"""The simulator's strings to pull, over HTTP.

| request | what it does |
|---|---|
| `GET /_simulator/requests` | what was seen, oldest first; `DELETE` forgets it |
| `POST /_simulator/clock` `{"advance": 3600}` | lets seconds pass |
| `POST /_simulator/faults` | plans a fault: the fields of `simulator.faults.Fault` |
| `GET /_simulator/faults` | the planned ones, and how often each fired; `DELETE` forgets them |
| `POST /_simulator/faults/release` | lets requests go on that faults with `held` have stopped |
| `POST /_simulator/refusal` | authorization requests bring this `error` back; `DELETE` ends it |
| `POST /_simulator/revocation` | ends every grant, as when the user removes the integration |
| `POST /_simulator/lifetimes` `{"access_token": 5}` | how long new tokens live |
| `POST /_simulator/grants` `{"count": 100}` | makes so many grants; the token answer of each |
| `GET /_simulator/grants/{code}` | the refresh tokens of the grant that began with this code |
| `DELETE /_simulator/grants/{code}/access` | ends its access tokens, as a refresh elsewhere does |
"""

from collections.abc import Awaitable, Callable, MutableSequence
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airtable_oauth.simulator.faults import Fault, Faults
from airtable_oauth.simulator.oauth import AuthorizationServer, Refusal

_NOTHING = 204
_MOST_GRANTS = 10_000

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Control:
    """The routes below `/_simulator`."""

    log: MutableSequence[Any]
    """The requests that were seen, as dataclasses."""
    faults: Faults
    server: AuthorizationServer

    def routes(self) -> list[Route]:
        """For a Starlette app."""
        return [
            Route("/requests", _told(self._requests), methods=["GET", "DELETE"]),
            Route("/clock", _told(self._clock), methods=["POST"]),
            Route("/faults", _told(self._faults), methods=["GET", "POST", "DELETE"]),
            Route("/faults/release", _told(self._release), methods=["POST"]),
            Route("/refusal", _told(self._refusal), methods=["POST", "DELETE"]),
            Route("/revocation", _told(self._revocation), methods=["POST"]),
            Route("/lifetimes", _told(self._lifetimes), methods=["POST"]),
            Route("/grants", _told(self._new_grants), methods=["POST"]),
            Route("/grants/{code}", _told(self._grant), methods=["GET"]),
            Route("/grants/{code}/access", _told(self._access), methods=["DELETE"]),
        ]

    async def _requests(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.log.clear()
            return Response(status_code=_NOTHING)
        return JSONResponse([asdict(seen) for seen in self.log])

    async def _clock(self, request: Request) -> Response:
        clock = self.server.vault.clock
        clock.advance(float((await request.json())["advance"]))
        return JSONResponse({"now": clock()})

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
        elif request.method == "POST":
            self.faults.add(Fault(**await request.json()))
        return JSONResponse([asdict(fault) for fault in self.faults.planned])

    async def _release(self, _request: Request) -> Response:
        self.faults.release()
        return Response(status_code=_NOTHING)

    async def _refusal(self, request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else None
        self.server.refusal = Refusal(**wanted) if wanted else None
        return Response(status_code=_NOTHING)

    async def _revocation(self, _request: Request) -> Response:
        self.server.vault.revoke_all()
        return Response(status_code=_NOTHING)

    async def _lifetimes(self, request: Request) -> Response:
        lifetimes = self.server.vault.lifetimes
        for name, seconds in (await request.json()).items():
            getattr(lifetimes, name)  # raises on what there is not
            setattr(lifetimes, name, seconds)
        return JSONResponse(asdict(lifetimes))

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


def _told(endpoint: Endpoint) -> Endpoint:
    """Says what is wrong with what it was told, instead of failing."""

    async def told(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 422)

    return told
