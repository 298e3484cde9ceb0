"""Who sends a request, and which connection it is about."""

from typing import Protocol

from fastapi import Request, Response

from airtable_oauth.oauth.login import CompletedLogin
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.vault.model import Connection
from airtable_oauth.web.dependencies import Dependency
from airtable_oauth.web.route import CookieRoute


class Callers(Protocol):
    """What the routes know of those who call them.

    There are two kinds: `SessionCallers` are browsers, each with a session of ours. `HostCallers`
    are users of a host app, which says who sends a request.
    """

    @property
    def route_class(self) -> type[CookieRoute]:
        """The class of all routes that a cookie authenticates."""

    @property
    def owner(self) -> Dependency[str | None]:
        """The id of the host's user who sends a request; None where browsers have sessions."""

    @property
    def login_context(self) -> Dependency[LoginContext]:
        """What a login that begins now is for."""

    @property
    def connection_id(self) -> Dependency[str]:
        """The connection that a request is about."""

    @property
    def connection_id_in_host_route(self) -> Dependency[str]:
        """The same in a route of the host, which is not a `route_class`."""

    async def log_in(
        self, login: CompletedLogin, request: Request, response: Response
    ) -> Connection:
        """The connection of a login that is complete; the caller may use it from now on."""

    async def session_ends_at(self, request: Request) -> float | None:
        """When the browser's session ends if it is not used, in seconds since 1970.

        None if the caller has no session of ours.
        """

    async def disconnect(self, connection_id: str, request: Request, response: Response) -> None:
        """Erase the tokens of the caller's connection.

        A session of ours ends with it. A host's user stays logged in to the host.
        """
