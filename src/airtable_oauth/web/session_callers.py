"""Callers that are browsers, each with a session of ours."""

from collections.abc import Collection
from contextlib import suppress

from fastapi import Request, Response

from airtable_oauth.errors import DamagedRecord, LoginNotFound, NotConnected
from airtable_oauth.oauth.login import CompletedLogin, Logins
from airtable_oauth.oauth.login_record import LoginContext
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.lifecycle import Lifecycle
from airtable_oauth.vault.model import Connection, Status
from airtable_oauth.web.access_log import notes_of
from airtable_oauth.web.cookies import SessionCookie
from airtable_oauth.web.csrf import refuse_cross_site
from airtable_oauth.web.route import CookieRoute, with_origins
from airtable_oauth.web.sessions import Session, Sessions


class SessionCallers:
    """Browsers. The session of a browser has one connection."""

    def __init__(
        self,
        *,
        cookie: SessionCookie,
        sessions: Sessions,
        logins: Logins,
        connections: Connections,
        lifecycle: Lifecycle,
        origins: Collection[str],
    ) -> None:
        """`origins`: those whose pages may send requests with the session's cookie."""
        self._cookie = cookie
        # The key contains the cookie's name, because a host's route may use several integrations.
        self._known = f"airtable_oauth.session.{cookie.name}"
        self._sessions = sessions
        self._logins = logins
        self._connections = connections
        self._lifecycle = lifecycle
        self._origins = origins
        self.route_class = with_origins(CookieRoute, origins)

    async def owner(self) -> None:
        """Sessions have no owner."""

    async def login_context(self, request: Request) -> LoginContext:
        """A login may reconnect the connection of the browser's session; see `LoginContext`."""
        session = await self._previous_session(request)
        return LoginContext(connection_id=None if session is None else session.connection_id)

    async def connection_id(self, request: Request) -> str:
        """The connection of the browser's session.

        Raises:
            NotConnected: the browser has no session, or its session has ended.
        """
        return (await self._session(request)).connection_id

    async def connection_id_in_host_route(self, request: Request) -> str:
        """The same. It also makes the CSRF check, for unsafe methods.

        In our own routes, the route class has made that check before.

        Raises:
            CrossSiteRefused: another site may have caused the request.
            NotConnected: as `connection_id` does.
        """
        if request.method not in ("GET", "HEAD"):
            refuse_cross_site(request, self._origins)
        return await self.connection_id(request)

    async def log_in(
        self, login: CompletedLogin, request: Request, response: Response
    ) -> Connection:
        """Begin a session on a login's connection, unless this login began the browser's session.

        The browser's previous session ends. If it had another connection, that is disconnected:
        nothing else refers to it.

        Raises:
            LoginNotFound: the connection has ended since (such a login must not replace a session
                that works), or five sessions have begun with this login.
        """
        connection = await self._require_alive(login)
        previous = await self._previous_session(request)
        if previous is not None and previous.login_key == login.key:
            return connection
        await self._logins.count_session(login)
        session_id = await self._sessions.create(
            connection_id=login.connection_id, login_key=login.key
        )
        if previous is not None:
            await self._end_previous(previous, login, request)
        self._cookie.set(response, session_id)
        return connection

    async def session_ends_at(self, request: Request) -> float:
        """When the browser's session ends if it is not used, in seconds since 1970.

        Raises:
            NotConnected: the browser has no session, or its session has ended.
        """
        return self._sessions.ends_at(await self._session(request))

    async def disconnect(self, connection_id: str, request: Request, response: Response) -> None:
        """Erase the tokens, end the session, and forget its login: its callback no longer works.

        The session is ended last: if the store fails before, the browser can try again.
        """
        session = await self._session(request)
        await self._logins.discard(session.login_key)
        await self._lifecycle.disconnect(connection_id)
        await self._end(request)
        self._cookie.clear(response)

    async def _require_alive(self, login: CompletedLogin) -> Connection:
        try:
            connection = await self._connections.get(login.connection_id)
        except NotConnected:
            connection = None
        if connection is None or connection.status is Status.RECONNECT_REQUIRED:
            raise LoginNotFound().ending_login(login.return_to)
        return connection

    async def _previous_session(self, request: Request) -> Session | None:
        """The session that the browser has already. A damaged one counts as none."""
        with suppress(NotConnected, DamagedRecord):
            return await self._session(request)
        return None

    async def _end_previous(
        self, previous: Session, login: CompletedLogin, request: Request
    ) -> None:
        """End the session that the browser had before this login, and its connection.

        A damaged connection cannot be disconnected, and is left to expire. The session is ended
        last: if the store fails before, a repeated callback finds it.
        """
        if previous.connection_id != login.connection_id:
            with suppress(NotConnected, DamagedRecord):
                await self._lifecycle.disconnect(previous.connection_id)
        await self._end(request)

    async def _end(self, request: Request) -> None:
        await self._sessions.end(self._cookie.read(request.headers) or "")

    async def _session(self, request: Request) -> Session:
        """The browser's session. A request reads it once."""
        known: Session | None = request.scope.get(self._known)
        if known is not None:
            return known
        notes = notes_of(request.scope)
        session_id = self._cookie.read(request.headers)
        session = None if session_id is None else await self._sessions.get(session_id)
        if session is None:
            raise NotConnected
        notes.connection = session.connection_id
        request.scope[self._known] = session
        return session
