"""Who sends a request, and which connection it is about: the dependencies of the routes."""

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Query, Request

from airtable_oauth.airtable_api.transport import WebApi
from airtable_oauth.errors import NotConnected
from airtable_oauth.oauth.login import LoginContext, Logins, UnboundLogins
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.grants import Grants
from airtable_oauth.web.access_log import notes_of
from airtable_oauth.web.cookies import LoginCookies, SessionCookie
from airtable_oauth.web.csrf import refuse_cross_site
from airtable_oauth.web.readiness import Readiness
from airtable_oauth.web.sessions import Session, Sessions

HOST_ANSWERED = "airtable_oauth.host_answered"
"""In the scope of a request once the host's dependencies have returned. The host answers what they
raise."""

_MAX_DATA = 4096

ConnectionHeader = Annotated[
    str | None,
    Header(
        alias="X-Airtable-Connection",
        max_length=64,
        description="The connection that is meant; may be left out where there is only one.",
    ),
]


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need, made once per integration."""

    settings: Settings
    store: Store
    airtable: TokenEndpoint
    web_api: WebApi
    grants: Grants
    logins: Logins
    unbound_logins: UnboundLogins
    login_cookies: LoginCookies
    sessions: Sessions
    session_cookie: SessionCookie
    connections: Connections
    readiness: Readiness
    host: "Host | None" = None
    """Who says whose connections these are; None where users are sessions."""

    @property
    def origins(self) -> Collection[str]:
        """The origins whose pages may send what a cookie authenticates."""
        return (*self.settings.allowed_origins, self.settings.own_origin)

    async def session_of(self, request: Request) -> Session:
        """The session of the browser that sends this.

        Raises:
            NotConnected: it has none, or one that has ended.
        """
        notes = notes_of(request.scope)
        session_id = self.session_cookie.read(request.headers)
        session = None if session_id is None else await self.sessions.get(session_id)
        if session is None:
            raise NotConnected
        notes.connection = session.connection_id
        return session


@dataclass(frozen=True, slots=True)
class Host:
    """What a host app says about the people who use it, each by a FastAPI dependency."""

    owner: Callable[..., Any]
    """Returns the id of the user who sends a request, or raises what the host answers with."""
    login_data: Callable[..., Any] | None = None
    """Returns JSON that a connection carries from the beginning of its login."""


def login_context(services: Services) -> Callable[..., Awaitable[LoginContext]]:
    """The dependency that returns what a login is for: whose it is, and what it reconnects."""
    host = services.host
    if host is None:
        return _session_login

    async def ask_host(request: Request, _owner: Annotated[str, Depends(owner_of(host))]) -> None:
        """The owner comes first: a stranger gets no further. What follows is the host's again."""
        request.scope.pop(HOST_ANSWERED, None)

    async def login_data(
        request: Request,
        _asked: Annotated[None, Depends(ask_host)],
        data: Annotated[Any, Depends(host.login_data or _no_data)],
    ) -> Any:
        if len(json.dumps(data)) > _MAX_DATA:
            raise ValueError(f"login data has at most {_MAX_DATA} characters of JSON")
        request.scope[HOST_ANSWERED] = True
        return data

    async def owners_login(
        # Before the owner: the host answers whatever its dependencies raise.
        data: Annotated[Any, Depends(login_data)],
        owner: Annotated[str, Depends(owner_of(host))],
        connection: Annotated[
            str | None,
            Query(max_length=64, description="A connection of this owner, to reconnect it."),
        ] = None,
    ) -> LoginContext:
        if connection is not None:
            await services.connections.owned(owner, connection)
        return LoginContext(owner, connection, data)

    return owners_login


async def _session_login() -> LoginContext:
    return LoginContext()


async def _no_data() -> None:
    return None


def owner_of(host: Host | None) -> Callable[..., Awaitable[str | None]]:
    """The dependency that returns the id of the host's user who sends a request.

    It returns None where users are sessions.
    """
    if host is None:
        return _no_owner

    async def owner(request: Request, owner: Annotated[Any, Depends(host.owner)]) -> str:
        if not isinstance(owner, str) or not owner:
            raise TypeError("the owner dependency must return a string that is not empty")
        request.scope[HOST_ANSWERED] = True
        return owner

    return owner


async def _no_owner() -> None:
    return None


def connection_of(services: Services, *, foreign: bool = False) -> Callable[..., Awaitable[str]]:
    """The dependency that says which connection a request is about, by its id.

    In a `foreign` route, one that is not of ours, our cookie counts for nothing that changes
    something and that another site could have caused.
    """
    if services.host is None:

        async def of_session(request: Request) -> str:
            if foreign and request.method not in ("GET", "HEAD"):
                refuse_cross_site(request, services.origins)
            return (await services.session_of(request)).connection_id

        return of_session

    async def of_owner(
        request: Request,
        owner: Annotated[str, Depends(owner_of(services.host))],
        connection: ConnectionHeader = None,
    ) -> str:
        notes = notes_of(request.scope)
        notes.connection = (await services.connections.owned(owner, connection)).id
        return notes.connection

    return of_owner
