"""Helpers that many tests share."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from airtable_oauth.settings import PREFIX, Settings
from airtable_oauth.simulator import Integration, Simulator, some_users

SCOPES = ("data.records:read", "schema.bases:read", "user.email:read")
REDIRECT_URI = "http://localhost:4200/auth-callback"
ORIGIN = "http://localhost:4200"
AIRTABLE = "https://airtable.com"
CONTROL = "http://localhost:4300/_simulator"
"""The control API of a simulator in this process, which accepts only its own host name."""
CSRF = {"X-CSRF": "1"}


class FakeClock:
    """A clock that moves only when a test advances it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += seconds


def make_settings(**overrides: Any) -> Settings:
    """Valid settings. The environment cannot change those that tests rely on."""
    values: dict[str, Any] = {
        "client_id": "test-client",
        "client_secret": "test-secret",
        "redirect_uri": REDIRECT_URI,
        "scopes": " ".join(SCOPES),
        "allowed_origins": ORIGIN,
        "airtable_url": AIRTABLE,
    }
    return Settings(_env_file=None, **(values | overrides))


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings of a process that has these variables and no others."""
    values: Any = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items()}
    return Settings(_env_file=None, **values)


def make_simulator(*, user_limit: int | None = None, users: int = 1, **overrides: Any) -> Simulator:
    """A simulator with the client of `make_settings`."""
    values: dict[str, Any] = {
        "client_id": "test-client",
        "client_secret": "test-secret",
        "redirect_uris": (REDIRECT_URI,),
        "scopes": SCOPES,
    }
    return Simulator(
        [Integration(**(values | overrides))],
        users=some_users(users),
        user_limit=user_limit,
        record_secrets=True,
    )


_PORTS_OF_A_WORKER = 2000
_next_port = count(os.getpid())


def free_port() -> int:
    """A port that no process listens on.

    Each worker of a parallel run uses its own range, below the ports that the system assigns. It
    counts upwards, so that two servers never get the same port.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 12_000 + worker * _PORTS_OF_A_WORKER + next(_next_port) % _PORTS_OF_A_WORKER
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def query_of(url: str) -> dict[str, str]:
    """The query parameters of a URL. Each must occur once."""
    parameters = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in parameters.values()), "a parameter is repeated"
    return {name: values[0] for name, values in parameters.items()}


async def begin(browser: httpx.AsyncClient, **parameters: str) -> str:
    """Begin a login and return the authorization URL."""
    response = await browser.get("/authorization-url", params=parameters)
    assert response.status_code == 200, response.text
    url: str = response.json()["authorizationUrl"]
    return url


async def consent(
    simulator: Simulator, authorization_url: str, *, decision: str = "grant", user: str = ""
) -> dict[str, str]:
    """Open the consent page, decide, and return the parameters of the redirect."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE
    ) as person:
        return await decide(person, authorization_url, decision=decision, user=user)


async def decide(
    person: httpx.AsyncClient,
    authorization_url: str,
    *,
    decision: str = "grant",
    user: str = "",
    without: str = "",
) -> dict[str, str]:
    """Decide on the consent page of any simulator that `person` reaches.

    `user`: the id of the signed-in user, if there are several. `without`: the id of a base to which
    no access is granted.
    """
    page = await person.get(authorization_url)
    assert page.status_code == 200, page.text
    fields = {"consent": _attribute(page.text, 'name="consent" value="'), "decision": decision}
    bases = [part.partition('"')[0] for part in page.text.split('name="base" value="')[1:]]
    answer = await person.post(
        str(page.url.join("/oauth2/v1/authorize")),
        data=fields | {"base": [base for base in bases if base != without], "user": user},
    )
    assert answer.status_code == 302, answer.text
    return query_of(answer.headers["location"])


def _attribute(html: str, before: str) -> str:
    return html.partition(before)[2].partition('"')[0]
