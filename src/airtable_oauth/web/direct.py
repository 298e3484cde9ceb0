"""A shorter way into routes that need nothing of FastAPI but their description.

FastAPI's handler is made for everything: it solves dependencies, opens exit stacks and serialises
by a schema of its own, which takes a sixth of the time of a request. A route that takes the
request, the response, parts of the path and a JSON body at most, and returns a model or a response,
is called here as FastAPI would call it. In a host app, which may add to routes what it likes,
FastAPI does it.
"""

from collections.abc import Callable
from inspect import isclass, iscoroutinefunction
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from airtable_oauth.errors import InvalidInput
from airtable_oauth.web.route import Handler, OAuthRoute, named

_JSON = "application/json"


def shorten(route: OAuthRoute) -> None:
    """Call its endpoint without detour, if that is all that it needs."""
    if _is_plain(route):
        route.app = _app(route.guard(_handler(route)))


def _is_plain(route: OAuthRoute) -> bool:
    takes = route.dependant
    return (
        iscoroutinefunction(route.endpoint)
        and not (takes.dependencies or takes.query_params or takes.header_params)
        and not (takes.cookie_params or takes.background_tasks_param_name)
        and all(_type_of(field) is str for field in takes.path_params)
        and len(takes.body_params) <= 1
        and all(_is_model(_type_of(field)) for field in takes.body_params)
        and (route.response_model is None or _is_model(route.response_model))
    )


def _handler(route: OAuthRoute) -> Handler:
    takes, endpoint = route.dependant, route.endpoint
    parts = [field.name for field in takes.path_params]
    bodies: list[tuple[str, Any]] = [(field.name, _type_of(field)) for field in takes.body_params]
    status = route.status_code or 200

    async def handle(request: Request) -> Response:
        response = Response(media_type=_JSON, status_code=status)
        arguments: dict[str, Any] = {name: request.path_params[name] for name in parts}
        if takes.request_param_name is not None:
            arguments[takes.request_param_name] = request
        if takes.response_param_name is not None:
            arguments[takes.response_param_name] = response
        for name, model in bodies:
            arguments[name] = _parsed(model, await request.body())
        found = await endpoint(**arguments)
        if isinstance(found, Response):
            return found
        exclude_unset = route.response_model_exclude_unset
        response.body = found.model_dump_json(exclude_unset=exclude_unset).encode()
        response.headers["Content-Length"] = str(len(response.body))
        return response

    return handle


def _app(handle: Callable[[Request], Any]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


def _parsed(model: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        places = [fault["loc"] for fault in error.errors(include_input=False, include_url=False)]
        raise InvalidInput(named(place[0] for place in places if place)) from None


def _type_of(field: Any) -> Any:
    return field.field_info.annotation


def _is_model(kind: Any) -> bool:
    return isclass(kind) and issubclass(kind, BaseModel)
