"""Callers that are users of a host app."""

import json
from collections.abc import Callable, Collection
from typing import Annotated, Any

from fastapi import Header, Query, Request, Response

from airtable_oauth.oauth.login import CompletedLogin
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.lifecycle import Lifecycle
from airtable_oauth.vault.model import Connection
from airtable_oauth.web.access_log import notes_of
from airtable_oauth.web.dependencies import Dependency, bind
from airtable_oauth.web.error_responses import is_ours
from airtable_oauth.web.route import CookieRoute, with_origins

_MAX_DATA = 4096
_HOST_ANSWERED = "airtable_oauth.host_answered"
"""In the scope of a request once the host's dependencies have returned. Until then exceptions are
the host's own, and the host answers them."""

_ConnectionHeader = Annotated[
    str | None,
    Header(
        alias="X-Airtable-Connection",
        max_length=64,
        description="The id of the connection that the request is for. "
        "Optional if the user has only one.",
    ),
]


class HostCallers:
    """Users of a host app. A dependency of the host says who sends a request.

    Each user may have several connections.
    """

    def __init__(
        self,
        *,
        owner: Callable[..., Any],
        login_data: Callable[..., Any] | None,
        connections: Connections,
        lifecycle: Lifecycle,
        origins: Collection[str],
    ) -> None:
        """`owner` and `login_data` are FastAPI dependencies, described at `AirtableOAuth`."""
        self._connections = connections
        self._lifecycle = lifecycle
        self.route_class = with_origins(_HostRoute, origins)
        self.owner: Dependency[str] = bind(self._owner, owner=owner)
        self.login_context: Dependency[LoginContext] = bind(
            self._login_context,
            data=bind(
                self._login_data,
                asked=bind(self._ask_host_again, owner=self.owner),
                data=login_data or _no_data,
            ),
            owner=self.owner,
        )
        self.connection_id: Dependency[str] = bind(self._connection_id, owner=self.owner)
        self.connection_id_in_host_route = self.connection_id

    async def log_in(
        self, login: CompletedLogin, request: Request, response: Response
    ) -> Connection:
        """Return the login's connection. The host has logged its user in already."""
        del request, response
        return await self._connections.get(login.connection_id)

    async def session_ends_at(self, request: Request) -> None:
        """None: a host's user has no session of ours."""
        del request

    async def disconnect(self, connection_id: str, request: Request, response: Response) -> None:
        """Erase the tokens. The host's user stays logged in to the host."""
        del request, response
        await self._lifecycle.disconnect(connection_id)

    async def _owner(self, request: Request, owner: Any) -> str:
        if not isinstance(owner, str) or not owner:
            raise TypeError("the owner dependency must return a string that is not empty")
        request.scope[_HOST_ANSWERED] = True
        return owner

    async def _login_context(
        self,
        data: Any,
        owner: str,
        connection: Annotated[
            str | None,
            Query(
                max_length=64,
                description="The id of one of the user's connections, to reconnect it.",
            ),
        ] = None,
    ) -> LoginContext:
        if connection is not None:
            await self._connections.owned(owner, connection)
        return LoginContext(owner, connection, data)

    async def _ask_host_again(self, request: Request, owner: str) -> None:
        """Let the host answer the exceptions of `login_data`, which runs next."""
        del owner
        request.scope.pop(_HOST_ANSWERED, None)

    async def _login_data(
        self,
        request: Request,
        # Before `data`, because FastAPI resolves dependencies in this order: the host is asked for
        # data only once the owner is known, and answers what its dependency raises.
        asked: None,
        data: Any,
    ) -> Any:
        del asked
        if len(json.dumps(data)) > _MAX_DATA:
            raise ValueError(f"login data must have at most {_MAX_DATA} characters of JSON")
        request.scope[_HOST_ANSWERED] = True
        return data

    async def _connection_id(
        self, request: Request, owner: str, connection: _ConnectionHeader = None
    ) -> str:
        notes = notes_of(request.scope)
        notes.connection = (await self._connections.owned(owner, connection)).id
        return notes.connection


class _HostRoute(CookieRoute):
    """A route that leaves to the host what the host's dependencies raise."""

    def leaves_to_host(self, request: Request, error: Exception) -> bool:
        is_hosts_turn = _HOST_ANSWERED not in request.scope
        return super().leaves_to_host(request, error) or (is_hosts_turn and not is_ours(error))


async def _no_data() -> None:
    return None
