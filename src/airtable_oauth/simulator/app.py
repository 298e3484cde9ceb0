"""The simulator as one object: its ASGI app, its clock and its log of requests."""

from collections.abc import Collection, Sequence

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from airtable_oauth.simulator.attachments import Attachments
from airtable_oauth.simulator.bodies import Capped
from airtable_oauth.simulator.control import Control
from airtable_oauth.simulator.faults import Droppable, Faults
from airtable_oauth.simulator.guard import Guard
from airtable_oauth.simulator.model import Clock, Integration, User, Vault
from airtable_oauth.simulator.oauth import AuthorizationServer, templates
from airtable_oauth.simulator.page import Page
from airtable_oauth.simulator.recording import Recorder, RequestLog, SeenRequest
from airtable_oauth.simulator.sample import identifier, sample_bases
from airtable_oauth.simulator.web_api import WebApi

_MOST_BODY = 8 * 1024 * 1024
"""Bytes of a request body to Airtable, enough for an upload of 5 MB in base64."""
_MOST_CONTROL = 64 * 1024
"""Bytes of a request body to the control API."""
DEMO_USER = User(identifier("usr", "demo"), "mina@example.com", "Mina Okafor")


def some_users(count: int) -> list[User]:
    """Make `count` Airtable users. They are the same in every run."""
    others = (
        User(identifier("usr", "demo", number), f"user{number}@example.com", f"User {number}")
        for number in range(1, count)
    )
    return [DEMO_USER, *others]


class Simulator:
    """Simulates Airtable for some integrations and users.

    `app` is an ASGI app for any server. `clock` can be moved. `requests` holds the last requests:
    10,000, or fewer if they exceed 32 MiB together. `faults` plans failures.

    Each base accepts five requests a second. If `user_limit` is set, each user may send that many
    a second (Airtable's own limit is 50, for personal access tokens). The URLs of files in cells
    begin with `url`, by default with the origin of the Web API request.

    `/` is a page for people, and `/_simulator/…` is the control API for programs: see
    `simulator.control`. Both answer a request only if it comes from this machine, or if its
    `Host` is one of `control_hosts`: see `simulator.guard`. The log masks tokens, codes and
    secrets, unless `record_secrets` is set.
    """

    def __init__(
        self,
        integrations: Sequence[Integration],
        *,
        users: Sequence[User] = (DEMO_USER,),
        clock: Clock | None = None,
        user_limit: int | None = None,
        url: str | None = None,
        control_hosts: Collection[str] = (),
        record_secrets: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self.requests = RequestLog()
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
        recorded = Recorder(
            Capped(self.faults, _MOST_BODY), self.requests, self.clock, secrets=record_secrets
        )
        control = Control(self.requests, self.faults, self.authorization_server)
        page = Page(self.authorization_server, self.faults, self.requests, templates)
        own = Starlette(routes=[*page.routes(), Mount("/_simulator", routes=control.routes())])
        guarded = Guard(Capped(own, _MOST_CONTROL), control_hosts)
        self.app: ASGIApp = Droppable(_Split(own=guarded, airtable=recorded))

    def token_requests(self) -> list[SeenRequest]:
        """The token requests seen, oldest first."""
        return [seen for seen in self.requests if seen.path == "/oauth2/v1/token"]


class _Split:
    """Sends a request to the simulator's page and control API, or to the simulated Airtable."""

    def __init__(self, own: ASGIApp, airtable: ASGIApp) -> None:
        self._own = own
        self._airtable = airtable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        path = scope.get("path", "")
        is_own = path == "/" or path.startswith("/_simulator/")
        await (self._own if is_own else self._airtable)(scope, receive, send)
