"""What routes work with: the services of an integration, and the parameters they share."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request
from pydantic import AfterValidator

from airtable_oauth.airtable import Airtable
from airtable_oauth.connections import Connections
from airtable_oauth.cookies import LoginCookies, SessionCookie
from airtable_oauth.errors import NotConnected
from airtable_oauth.login import Logins, UnboundLogins
from airtable_oauth.pkce import RandomBytes
from airtable_oauth.sessions import Session, Sessions
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.web_api import WebApi


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need, made once per integration."""

    settings: Settings
    store: Store
    airtable: Airtable
    web_api: WebApi
    logins: Logins
    unbound_logins: UnboundLogins
    login_cookies: LoginCookies
    sessions: Sessions
    session_cookie: SessionCookie
    connections: Connections
    random: RandomBytes

    async def session_of(self, request: Request) -> Session:
        """The session of the browser that sends this.

        Raises:
            NotConnected: it has none, or one that has ended.
        """
        session_id = self.session_cookie.read(request.cookies)
        session = None if session_id is None else await self.sessions.get(session_id)
        if session is None:
            raise NotConnected
        return session


def _local_path(text: str) -> str:
    if (
        not text.startswith("/")
        or text.startswith("//")
        or "\\" in text
        or any(character <= " " or character == "\x7f" for character in text)
    ):
        raise ValueError("not a local path")
    return text


ReturnTo = Annotated[
    Annotated[str, AfterValidator(_local_path)] | None,
    Query(
        max_length=2048,
        description="A local path that comes back when the login ends.",
        examples=["/bases?sort=name"],
    ),
]
