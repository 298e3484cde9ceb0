"""Airtable's Web API for whoami, bases, tables, records and uploads of attachments."""

import json
import secrets
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from airtable_oauth.simulator.attachments import Attachment, Attachments
from airtable_oauth.simulator.bounded import Bounded, bounded
from airtable_oauth.simulator.listing import (
    ListError,
    is_number,
    listed,
    page_size,
    shown_fields,
)
from airtable_oauth.simulator.model import AccessToken, Vault
from airtable_oauth.simulator.sample import Base, Record, Table
from airtable_oauth.simulator.writing import WriteError, create, delete, update, uploaded

_A_SECOND = 5
_PAUSE_SECONDS = 30
_MOST_ITERATIONS = 1000
"""How many listings the simulator remembers, so that an offset can continue them."""
_MOST_COUNTED = 10_000
"""For how many bases and users the simulator counts requests."""


class ApiError(Exception):
    """An error answer of the Web API."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


@dataclass(frozen=True)
class WebApi:
    """`/v0`, with CORS for every origin and a cookie on every answer, as at Airtable."""

    vault: Vault
    bases: Sequence[Base]
    attachments: Attachments
    user_limit: int | None = None
    """Requests a second for each user; None for no limit."""
    _iterations: Bounded[list[Record]] = field(default_factory=bounded(_MOST_ITERATIONS))
    _recent: Bounded[deque[float]] = field(default_factory=bounded(_MOST_COUNTED))
    _paused: Bounded[float] = field(default_factory=bounded(_MOST_COUNTED))

    def mount(self) -> Mount:
        """The routes for a Starlette app."""
        routes = [
            Route("/meta/whoami", self._answered(self._whoami)),
            Route("/meta/bases", self._answered(self._list_bases)),
            Route("/meta/bases/{base}/tables", self._answered(self._list_tables)),
            Route("/{base}/{table}", self._answered(self._list_records)),
            Route("/{base}/{table}", self._answered(self._create), methods=["POST"]),
            Route("/{base}/{table}", self._answered(self._update), methods=["PATCH", "PUT"]),
            Route("/{base}/{table}", self._answered(self._delete), methods=["DELETE"]),
            Route(
                "/{base}/{table}/listRecords",
                self._answered(self._list_records),
                methods=["POST"],
            ),
            Route(
                "/{base}/{record}/{field}/uploadAttachment",
                self._answered(self._upload),
                methods=["POST"],
            ),
            Route("/{base}/{table}/{record}", self._answered(self._get_record)),
            Route(
                "/{base}/{table}/{record}", self._answered(self._update), methods=["PATCH", "PUT"]
            ),
            Route("/{base}/{table}/{record}", self._answered(self._delete), methods=["DELETE"]),
        ]
        cors = Middleware(
            CORSMiddleware,
            allow_origins=["*"],
            allow_methods=["DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"],
            allow_headers=["authorization", "content-type", "user-agent", "x-airtable-user-agent"],
        )
        return Mount("/v0", routes=routes, middleware=[cors])

    def _answered(self, operation: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            try:
                token = self._token(request)
                self._pace(request, token)
                request.state.body = await _json(request)
                request.state.parameters = _parameters(request)
                response = JSONResponse(operation(request, token))
            except ApiError as error:
                body = {"error": {"type": error.kind, "message": error.message}}
                response = JSONResponse(body, error.status)
            except (ListError, WriteError) as error:
                body = {"error": {"type": error.kind, "message": str(error)}}
                response = JSONResponse(body, 422)
            response.set_cookie("brw", f"brw{secrets.token_hex(7)}", httponly=True, path="/")
            return response

        return endpoint

    def _token(self, request: Request) -> AccessToken:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        token = self.vault.live_access_token(value) if scheme.lower() == "bearer" else None
        if token is None:
            raise ApiError(401, "AUTHENTICATION_REQUIRED", "Authentication required")
        return token

    def _pace(self, request: Request, token: AccessToken) -> None:
        """Count the request for its base and its user. Above a limit, answer 429 for 30 seconds."""
        if self.user_limit is not None:
            self._count(token.grant.user.id, self.user_limit)
        if (base := request.path_params.get("base")) is not None:
            self._count(base, _A_SECOND)

    def _count(self, base_or_user: str, limit: int) -> None:
        now = self.vault.clock()
        recent = self._recent.setdefault(base_or_user, deque(maxlen=limit))
        if len(recent) == limit and now - recent[0] < 1:
            self._paused[base_or_user] = now + _PAUSE_SECONDS
        if now < self._paused.get(base_or_user, 0):
            raise ApiError(429, "RATE_LIMIT_REACHED", "Wait 30 seconds before the next request.")
        recent.append(now)

    def _whoami(self, _request: Request, token: AccessToken) -> dict[str, Any]:
        who = {"id": token.grant.user.id, "scopes": list(token.scopes)}
        if "user.email:read" in token.scopes:
            who["email"] = token.grant.user.email
        return who

    def _list_bases(self, _request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "schema.bases:read")
        return {
            "bases": [
                {"id": base.id, "name": base.name, "permissionLevel": "create"}
                for base in self.bases
                if base.id in token.grant.base_ids
            ]
        }

    def _list_tables(self, request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "schema.bases:read")
        return {"tables": [table.schema() for table in self._base(request, token).tables]}

    def _list_records(self, request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "data.records:read")
        table = self._table(request, token)
        start, iteration, records = self._iteration(request, table)
        end = start + page_size(request.state.parameters)
        names = shown_fields(table, request.state.parameters)
        page: dict[str, Any] = {
            "records": [self._shown(record, request, names) for record in records[start:end]]
        }
        if end < len(records):
            page["offset"] = f"{iteration}/{end}"
        return page

    def _get_record(self, request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "data.records:read")
        wanted = request.path_params["record"]
        for record in self._table(request, token).records:
            if record.id == wanted:
                return self._shown(record, request)
        raise _not_found()

    def _create(self, request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "data.records:write")
        made = create(self._table(request, token), request.state.body)
        return self._written(request, made)

    def _update(self, request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "data.records:write")
        changed = update(
            self._table(request, token),
            request.state.body,
            record_id=request.path_params.get("record"),
            clears=request.method == "PUT",
        )
        return self._written(request, changed)

    def _delete(self, request: Request, token: AccessToken) -> dict[str, Any]:
        _need(token, "data.records:write")
        one = request.path_params.get("record")
        wanted = [one] if one else request.query_params.getlist("records[]")
        ids = delete(self._table(request, token), wanted)
        gone = [{"id": each, "deleted": True} for each in ids]
        return gone[0] if one else {"records": gone}

    def _upload(self, request: Request, token: AccessToken) -> dict[str, Any]:
        """Add a file to a cell. Returns the record with its cells by field id."""
        _need(token, "data.records:write")
        table, record = self._record(request, token)
        attachment = uploaded(table, record, request.path_params["field"], request.state.body)
        self.attachments.add(attachment)
        ids = {column.name: column.id for column in table.fields}
        cells = {ids[name]: self._cell(cell, request) for name, cell in record.cells.items()}
        return {"id": record.id, "createdTime": record.created_time, "fields": cells}

    def _record(self, request: Request, token: AccessToken) -> tuple[Table, Record]:
        for table in self._base(request, token).tables:
            for record in table.records:
                if record.id == request.path_params["record"]:
                    return table, record
        raise _not_found()

    def _iteration(self, request: Request, table: Table) -> tuple[int, str, list[Record]]:
        """Begin a listing, or continue one at its offset. Returns its position, id and records."""
        if offset := request.state.parameters.get("offset"):
            iteration, _, position = offset.partition("/")
            if iteration not in self._iterations or not is_number(position):
                raise ApiError(
                    422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "The offset is unknown or expired."
                )
            return int(position), iteration, self._iterations[iteration]
        iteration = f"itr{secrets.token_hex(7)}"
        self._iterations[iteration] = listed(table, request.state.parameters)
        return 0, iteration, self._iterations[iteration]

    def _written(self, request: Request, records: Sequence[Record]) -> dict[str, Any]:
        """The answer to a write: a list of records if the request had a list, else one record."""
        shown = [self._shown(record, request) for record in records]
        return {"records": shown} if "records" in request.state.body else shown[0]

    def _shown(
        self, record: Record, request: Request, names: Container[str] | None = None
    ) -> dict[str, Any]:
        """The record as JSON, with the cells of these fields, or with all."""
        cells = {
            title: self._cell(cell, request)
            for title, cell in record.cells.items()
            if names is None or title in names
        }
        return {"id": record.id, "createdTime": record.created_time, "fields": cells}

    def _cell(self, cell: Any, request: Request) -> Any:
        if isinstance(cell, list):
            return [self._cell(each, request) for each in cell]
        if isinstance(cell, Attachment):
            return self.attachments.described(cell, request)
        return cell

    def _base(self, request: Request, token: AccessToken) -> Base:
        wanted = request.path_params["base"]
        for base in self.bases:
            if base.id == wanted and base.id in token.grant.base_ids:
                return base
        raise _not_found()

    def _table(self, request: Request, token: AccessToken) -> Table:
        wanted = request.path_params["table"]
        for table in self._base(request, token).tables:
            if wanted in (table.id, table.name):
                return table
        raise _not_found()


async def _json(request: Request) -> Any:
    """The JSON body, or None if it is empty. Refuses values that an answer could not encode."""
    body = await request.body()
    try:
        parsed = json.loads(body) if body else None
        json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise ApiError(422, "INVALID_REQUEST_BODY", "Could not parse request body") from None
    return parsed


def _parameters(request: Request) -> QueryParams:
    """The parameters of a listing, from the query, or from the body of `listRecords`."""
    body = request.state.body
    if not request.url.path.endswith("/listRecords") or not isinstance(body, dict):
        return request.query_params
    pairs: list[tuple[str, str]] = []
    for name, value in body.items():
        if name == "fields" and isinstance(value, list):
            pairs += (("fields[]", str(each)) for each in value)
        elif name == "sort" and isinstance(value, list):
            pairs += _sort_parameters(value)
        else:
            pairs.append((name, str(value)))
    return QueryParams(pairs)


def _sort_parameters(sort: list[Any]) -> Iterator[tuple[str, str]]:
    for number, each in enumerate(sort):
        if isinstance(each, dict):
            for name, value in each.items():
                yield f"sort[{number}][{name}]", str(value)


def _need(token: AccessToken, scope: str) -> None:
    if scope not in token.scopes:
        raise _not_found()


def _not_found() -> ApiError:
    return ApiError(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user and "
        "your token have the required permissions, and that the model names and/or ids are right.",
    )
