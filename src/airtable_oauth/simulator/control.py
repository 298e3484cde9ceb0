"""The simulator's strings to pull, over HTTP.

| request | what it does |
|---|---|
| `GET /_simulator/requests` | what was seen, oldest first; `DELETE` forgets it |
| `POST /_simulator/clock` `{"advance": 3600}` | lets seconds pass |
| `POST /_simulator/faults` | plans a fault: the fields of `simulator.faults.Fault` |
| `GET /_simulator/faults` | the planned ones, and how often each fired; `DELETE` forgets them |
| `POST /_simulator/refusal` | authorization requests bring this `error` back; `DELETE` ends it |
| `POST /_simulator/revocation` | ends every grant, as when the user removes the integration |
"""

import dataclasses
from collections.abc import MutableSequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airtable_oauth.simulator.faults import Fault, Faults
from airtable_oauth.simulator.oauth import AuthorizationServer, Refusal

_NOTHING = 204


def control_routes(
    *, log: MutableSequence[Any], faults: Faults, server: AuthorizationServer
) -> list[Route]:
    """The routes below `/_simulator`; `log` holds dataclasses."""
    clock = server.vault.clock

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            log.clear()
            return Response(status_code=_NOTHING)
        return JSONResponse([dataclasses.asdict(seen) for seen in log])

    async def advance(request: Request) -> Response:
        clock.advance(float((await request.json())["advance"]))
        return JSONResponse({"now": clock()})

    async def plan(request: Request) -> Response:
        if request.method == "DELETE":
            faults.clear()
        elif request.method == "POST":
            try:
                faults.add(Fault(**await request.json()))
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 422)
        return JSONResponse([dataclasses.asdict(fault) for fault in faults.planned])

    async def refusal(request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else None
        server.refusal = Refusal(**wanted) if wanted else None
        return Response(status_code=_NOTHING)

    async def revocation(_request: Request) -> Response:
        server.vault.revoke_all()
        return Response(status_code=_NOTHING)

    return [
        Route("/requests", requests, methods=["GET", "DELETE"]),
        Route("/clock", advance, methods=["POST"]),
        Route("/faults", plan, methods=["GET", "POST", "DELETE"]),
        Route("/refusal", refusal, methods=["POST", "DELETE"]),
        Route("/revocation", revocation, methods=["POST"]),
    ]
