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
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from airtable_oauth.simulator.faults import Fault
from airtable_oauth.simulator.oauth import Refusal

if TYPE_CHECKING:
    from airtable_oauth.simulator.app import Simulator

_NOTHING = 204


def control_routes(simulator: "Simulator") -> list[Route]:
    """The routes below `/_simulator`."""

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            simulator.requests.clear()
            return Response(status_code=_NOTHING)
        return JSONResponse([dataclasses.asdict(seen) for seen in simulator.requests])

    async def clock(request: Request) -> Response:
        simulator.clock.advance(float((await request.json())["advance"]))
        return JSONResponse({"now": simulator.clock()})

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            simulator.faults.clear()
        elif request.method == "POST":
            try:
                simulator.faults.add(Fault(**await request.json()))
            except (TypeError, ValueError) as error:
                return JSONResponse({"error": str(error)}, 422)
        return JSONResponse([dataclasses.asdict(fault) for fault in simulator.faults.planned])

    async def refusal(request: Request) -> Response:
        wanted = await request.json() if request.method == "POST" else None
        simulator.authorization_server.refusal = Refusal(**wanted) if wanted else None
        return Response(status_code=_NOTHING)

    async def revocation(_request: Request) -> Response:
        simulator.vault.revoke_all()
        return Response(status_code=_NOTHING)

    return [
        Route("/requests", requests, methods=["GET", "DELETE"]),
        Route("/clock", clock, methods=["POST"]),
        Route("/faults", faults, methods=["GET", "POST", "DELETE"]),
        Route("/refusal", refusal, methods=["POST", "DELETE"]),
        Route("/revocation", revocation, methods=["POST"]),
    ]
