"""A pytest plugin for apps that embed this package.

It simulates Airtable, without an account or a network.

The plugin needs the extra `simulator`. Load it in the app's `conftest.py`:

```python
pytest_plugins = ["airtable_oauth.testing"]
```

(The word PYTEST_DONT_REWRITE in this docstring is for pytest: without it, pytest warns if a
`conftest.py` imports this module before the plugin is loaded.)
"""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import uvicorn
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from starlette.types import Receive, Scope, Send

from airtable_oauth.integration import AirtableOAuth
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.settings import PREFIX, Settings
from airtable_oauth.simulator import Fault, Integration, Simulator, User, some_users

__all__ = ["AirtableSimulator", "Fault", "airtable_simulator", "connected_client"]

T = TypeVar("T")

CLIENT_ID = "simulated-client"
CLIENT_SECRET = "simulated-secret"  # noqa: S105 (not a real secret)
REDIRECT_URI = "http://localhost:4200/auth-callback"
SCOPES = (
    "data.records:read",
    "data.records:write",
    "schema.bases:read",
    "user.email:read",
)
_START_SECONDS = 10.0


class _GivenSettings(Settings):
    """Settings from arguments alone."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See pydantic-settings. Only arguments count, no environment and no files."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


class AirtableSimulator(Simulator):
    """Simulates Airtable with three sample bases and one registered integration, for one test.

    Besides the attributes of `Simulator` (`clock.advance(seconds)`, `faults.add(Fault(…))`,
    `requests`, `vault.revoke_all()`), it has `grant`, which acts as the person at the browser.
    """

    def __init__(self, server: "_Server") -> None:
        integration = Integration(CLIENT_ID, (REDIRECT_URI,), SCOPES, CLIENT_SECRET)
        super().__init__([integration], users=some_users(3), record_secrets=True)
        self._server = server

    @property
    def url(self) -> str:
        """The simulator's origin on this machine. It is the same for the whole test run."""
        return self._server.url

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point an app at the simulator.

        They are for `monkeypatch.setenv`, or for a process that the test starts.
        """
        return {PREFIX + name.upper(): value for name, value in self._values().items()}

    def settings(self, **overrides: Any) -> Settings:
        """Settings that point an integration at the simulator. They ignore the environment."""
        return _GivenSettings(**(self._values() | overrides))

    @property
    def users(self) -> Sequence[User]:
        """The three users with Airtable accounts."""
        return self.authorization_server.users

    def grant(self, authorization_url: str, *, user: int = 0, deny: bool = False) -> dict[str, str]:
        """Open the consent page and grant everything as one of `users`, or deny it.

        `user` is an index of `users`. Returns the parameters of Airtable's redirect, for
        `POST /session`. This is not a coroutine, so any test can call it.
        """
        return _run_in_thread(self._decide(authorization_url, user, "deny" if deny else "grant"))

    def tokens(self, *, user: int = 0) -> TokenSet:
        """Issue tokens as a login of `users[user]` does, for `AirtableOAuth.adopt`."""
        grant = self.authorization_server.new_grant(CLIENT_ID, SCOPES, user)
        answer: Any = self.vault.issue_tokens(grant, SCOPES)
        return TokenSet(**answer)

    def _values(self) -> dict[str, str]:
        return {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uri": REDIRECT_URI,
            "scopes": " ".join(SCOPES),
            "airtable_url": self.url,
            "airtable_api_url": self.url,
            "airtable_content_url": self.url,
        }

    async def _decide(self, authorization_url: str, user: int, decision: str) -> dict[str, str]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as person:
            page = await person.get(authorization_url)
            assert page.status_code == httpx.codes.OK, page.text  # noqa: S101 (fails the test)
            fields = {
                "consent": page.text.partition('name="consent" value="')[2].partition('"')[0],
                "decision": decision,
                "user": self.users[user].id,
                "base": [base.id for base in self.bases],
            }
            answer = await person.post(str(page.url.join("/oauth2/v1/authorize")), data=fields)
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@dataclass
class _Server:
    """Serves the simulator of the current test. It starts when its `url` is first read."""

    current: AirtableSimulator | None = None
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        with self._lock:
            if self._server is None:
                self._server = self._start()
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """Stop the server, if it was started."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if self.current is not None:
            await self.current.app(scope, receive, send)

    def _start(self) -> uvicorn.Server:
        config = uvicorn.Config(
            self, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, daemon=True, name="airtable-simulator")
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError("the Airtable simulator did not start")
            time.sleep(0.01)
        return server


@pytest.fixture(scope="session")
def _airtable_server() -> Iterator[_Server]:
    server = _Server()
    yield server
    server.stop()


@pytest.fixture
def airtable_simulator(_airtable_server: _Server) -> AirtableSimulator:
    """A new simulator of Airtable for this test."""
    simulator = _airtable_server.current = AirtableSimulator(_airtable_server)
    return simulator


@pytest.fixture
def connected_client(airtable_simulator: AirtableSimulator) -> httpx.AsyncClient:
    """A client for the Web API, as `AirtableOAuth.client` returns it, for a connected user."""
    airtable = AirtableOAuth(
        airtable_simulator.settings(), transport=httpx.ASGITransport(airtable_simulator.app)
    )
    connection = _run_in_thread(airtable.adopt("test-user", airtable_simulator.tokens()))
    return airtable.client(connection.id)


def _run_in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in another thread, because this thread may already run an event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
