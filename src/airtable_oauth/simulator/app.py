"""The simulator as one object: its ASGI app, its clock, and what it has seen."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airtable_oauth.simulator.attachments import Attachments
from airtable_oauth.simulator.control import Control
from airtable_oauth.simulator.faults import Droppable, Faults
from airtable_oauth.simulator.model import Clock, Integration, User, Vault
from airtable_oauth.simulator.oauth import AuthorizationServer
from airtable_oauth.simulator.sample import identifier, sample_bases
from airtable_oauth.simulator.web_api import WebApi

_LOG_SIZE = 10_000
DEMO_USER = User(identifier("usr", "demo"), "mina@example.com", "Mina Okafor")


def some_users(count: int) -> list[User]:
    """People with Airtable accounts, always the same."""
    others = (
        User(identifier("usr", "demo", number), f"user{number}@example.com", f"User {number}")
        for number in range(1, count)
    )
    return [DEMO_USER, *others]


@dataclass
class SeenRequest:
    """A request that the simulator saw, and how it answered."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    status: int = 0

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        return dict(parse_qsl(self.body))


class Simulator:
    """Airtable for a few integrations and users.

    `app` is an ASGI app for any server; `clock` can be moved; `requests` holds the last 10,000
    requests; `faults` makes things go wrong. Each base takes five requests a second, and each user
    `user_limit`, if it is given (Airtable: 50, for personal access tokens). `url` is where browsers
    find the files in cells, if not where the Web API is asked for them. `/_simulator/…` offers the
    same over HTTP: see `simulator.control`.
    """

    def __init__(
        self,
        integrations: Sequence[Integration],
        *,
        users: Sequence[User] = (DEMO_USER,),
        clock: Clock | None = None,
        user_limit: int | None = None,
        url: str | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.requests: deque[SeenRequest] = deque(maxlen=_LOG_SIZE)
        self.bases = sample_bases()
        self.vault = Vault(self.clock)
        self.authorization_server = AuthorizationServer(
            integrations={integration.client_id: integration for integration in integrations},
            vault=self.vault,
            users=users,
            bases=self.bases,
        )
        attachments = Attachments(self.clock, url)
        api = WebApi(self.vault, self.bases, attachments, user_limit)
        airtable = Starlette(
            routes=[*self.authorization_server.routes(), *attachments.routes(), api.mount()]
        )
        self.faults = Faults(airtable)
        control = Control(self.requests, self.faults, self.authorization_server)
        routes = [
            Mount("/_simulator", routes=control.routes()),
            Mount("/", app=_RequestLog(self.faults, self.requests)),
        ]
        self.app: ASGIApp = Droppable(Starlette(routes=routes))

    def token_requests(self) -> list[SeenRequest]:
        """The token requests seen, oldest first."""
        return [seen for seen in self.requests if seen.path == "/oauth2/v1/token"]


class _RequestLog:
    """Keeps every request."""

    def __init__(self, app: ASGIApp, log: deque[SeenRequest]) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = SeenRequest(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers={name.decode(): value.decode("latin-1") for name, value in scope["headers"]},
            body="",
        )
        self._log.append(seen)

        async def receive_and_note() -> Message:
            message = await receive()
            seen.body += message.get("body", b"").decode("utf-8", "replace")
            return message

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

        await self._app(scope, receive_and_note, send_and_note)
