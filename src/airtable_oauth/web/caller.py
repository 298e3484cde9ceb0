"""What routes work with: the services of an integration, and what they ask of a request."""

import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request

from airtable_oauth.airtable_api.transport import WebApi
from airtable_oauth.errors import CrossSiteRefused, InvalidInput, NotConnected
from airtable_oauth.oauth.login import Logins, UnboundLogins
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.grants import Grants
from airtable_oauth.web.access_log import notes_of
from airtable_oauth.web.cookies import LoginCookies, SessionCookie
from airtable_oauth.web.readiness import Readiness
from airtable_oauth.web.sessions import Session, Sessions

HOST_ANSWERED = "airtable_oauth.host_answered"
"""In the scope of a request once the host's dependencies have returned. The host answers what they
raise."""

_MAX_DATA = 4096
_LONGEST_PATH = 2048

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


def owner_of(services: Services) -> Callable[..., Awaitable[str | None]]:
    """The dependency that says who sends a request: the host's user, or None."""
    if services.host is None:
        return _nobody

    async def owner(request: Request, owner: Annotated[Any, Depends(services.host.owner)]) -> str:
        if not isinstance(owner, str) or not owner:
            raise TypeError("the owner dependency must return a string that is not empty")
        request.scope[HOST_ANSWERED] = True
        return owner

    return owner


def login_data_of(services: Services) -> Callable[..., Awaitable[Any]]:
    """The dependency that says what a login is to carry along."""
    if services.host is None or services.host.login_data is None:
        return _nobody

    async def ask_host(
        request: Request, _owner: Annotated[str, Depends(owner_of(services))]
    ) -> None:
        """The owner comes first: a stranger gets no further. What follows is the host's again."""
        request.scope.pop(HOST_ANSWERED, None)

    async def login_data(
        request: Request,
        _asked: Annotated[None, Depends(ask_host)],
        data: Annotated[Any, Depends(services.host.login_data)],
    ) -> Any:
        if len(json.dumps(data)) > _MAX_DATA:
            raise ValueError(f"login data takes {_MAX_DATA} characters of JSON at most")
        request.scope[HOST_ANSWERED] = True
        return data

    return login_data


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
        owner: Annotated[str, Depends(owner_of(services))],
        connection: ConnectionHeader = None,
    ) -> str:
        notes = notes_of(request.scope)
        notes.connection = (await services.connections.owned(owner, connection)).id
        return notes.connection

    return of_owner


def refuse_cross_site(request: Request, origins: Collection[str]) -> None:
    """Absence is neutral: a same-origin GET has no `Origin`, a plain-http host no `Sec-Fetch-*`.

    No form can send `X-CSRF`, and no other origin without our leave.
    """
    headers = request.headers
    origin = headers.get("origin")
    if (
        (origin is not None and origin not in origins)
        or headers.get("sec-fetch-site") in ("cross-site", "none")
        or headers.get("sec-fetch-mode") in ("no-cors", "navigate")
    ):
        raise CrossSiteRefused
    if request.method not in ("GET", "HEAD") and headers.get("x-csrf") != "1":
        raise CrossSiteRefused("Send the header X-CSRF: 1.")


async def _nobody() -> None:
    return None


def return_to_of(request: Request) -> str | None:
    """The local path that shall come back when a login ends, if one was given.

    Read by hand: as a parameter of a route it would take a tenth of the time to answer.

    Raises:
        InvalidInput: it leads elsewhere, or makes no sense.
    """
    path = request.query_params.get("return_to") if request.scope["query_string"] else None
    if path is not None and not _is_local(path):
        raise InvalidInput("Missing or malformed: return_to.")
    return path


RETURN_TO = {
    "name": "return_to",
    "in": "query",
    "required": False,
    "description": "A local path that comes back when the login ends.",
    "schema": {"type": "string", "maxLength": _LONGEST_PATH, "pattern": "^/"},
    "example": "/bases?sort=name",
}
"""How the API's description shows it."""


def _is_local(path: str) -> bool:
    return (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and len(path) <= _LONGEST_PATH
        and not any(character <= " " or character == "\x7f" for character in path)
    )
