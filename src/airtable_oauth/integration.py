"""The object to mount: everything this package does, for one Airtable integration."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict, Unpack

import httpx
from fastapi import APIRouter
from starlette.routing import BaseRoute

from airtable_oauth.airtable import Airtable, new_transport
from airtable_oauth.background import Background, Sleep
from airtable_oauth.client import client_of
from airtable_oauth.connections import Connection, Connections, Owners
from airtable_oauth.cookies import LoginCookies, SessionCookie
from airtable_oauth.dependencies import Services
from airtable_oauth.login import Logins, UnboundLogins
from airtable_oauth.pkce import RandomBytes
from airtable_oauth.protocol import Client
from airtable_oauth.records import ConnectionRecord, Records
from airtable_oauth.rotation import Rotation
from airtable_oauth.routers.authorization import authorization_router
from airtable_oauth.routers.health import health_router
from airtable_oauth.routers.node_compat import node_compat_router
from airtable_oauth.routers.proxy import proxy_router
from airtable_oauth.routers.session import session_router
from airtable_oauth.routers.tokens import exchange_router, refresh_router
from airtable_oauth.sessions import Sessions
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.connect import open_store, sealed
from airtable_oauth.web_api import Pauses, WebApi

_DRAIN_SECONDS = 30.0


class Parts(TypedDict, total=False):
    """What may be passed in, in the place of what the settings name or the machine has."""

    store: Store
    """In place of what `STORE_URL` names. It is sealed all the same where there are keys."""
    transport: httpx.AsyncBaseTransport
    """What reaches Airtable."""
    clock: Callable[[], float]
    """Seconds since 1970."""
    monotonic: Callable[[], float]
    """Seconds that nobody sets."""
    sleep: Sleep
    random: RandomBytes
    """That many cryptographically random bytes."""


class AirtableOAuth:
    """One Airtable integration.

    ```python
    airtable = AirtableOAuth(Settings())
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router, prefix="/integrations/airtable")
    ```

    Nothing connects before it is used, and nothing global is touched: an app may hold several.
    """

    def __init__(self, settings: Settings, **parts: Unpack[Parts]) -> None:
        store, transport = parts.get("store"), parts.get("transport")
        clock = parts.get("clock", time.time)
        monotonic = parts.get("monotonic", time.monotonic)
        sleep = parts.get("sleep", asyncio.sleep)
        random = parts.get("random", secrets.token_bytes)
        self.settings = settings
        self._store = sealed(store or open_store(settings), settings)
        self._airtable = airtable_of(settings, transport or new_transport())
        self._background = Background()
        store_clock = StoreClock(self._store, monotonic)
        self._web_api = WebApi(
            url=settings.airtable_api_url,
            transport=transport or new_transport(),
            deadline=settings.upstream_timeout,
            pauses=Pauses(self._store, settings.name, store_clock, monotonic, sleep),
        )
        self._connections = self._vault(store_clock, sleep, random)
        services = Services(
            settings=settings,
            store=self._store,
            airtable=self._airtable,
            web_api=self._web_api,
            logins=Logins(
                store=self._store,
                airtable=self._airtable,
                name=settings.name,
                ttl=settings.login_ttl,
                random=random,
                background=self._background,
                sleep=sleep,
            ),
            unbound_logins=UnboundLogins(
                store=self._store,
                airtable=self._airtable,
                name=settings.name,
                ttl=settings.login_ttl,
                random=random,
            ),
            login_cookies=LoginCookies(
                name=settings.name,
                secure=settings.secure,
                max_age=settings.login_ttl,
                clock=clock,
            ),
            sessions=Sessions(
                store=self._store,
                name=settings.name,
                clock=store_clock,
                idle_ttl=settings.session_idle_ttl,
                max_ttl=settings.session_max_ttl,
                random=random,
            ),
            session_cookie=SessionCookie(
                name=settings.name, secure=settings.secure, max_age=settings.session_max_ttl
            ),
            connections=self._connections,
            random=random,
        )
        self.router = APIRouter(routes=[*_routes(services)])
        """All endpoints, for `app.include_router`, under any prefix."""

    async def connections(self, owner: str) -> list[Connection]:
        """The connections of an owner, oldest first.

        Raises:
            errors.Unavailable: the store does not answer.
        """
        return await self._connections.of(owner)

    async def disconnect(self, connection_id: str) -> None:
        """Erase the tokens of a connection; Airtable itself has no revocation.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.Unavailable: the store does not answer; nothing is certain.
        """
        await self._connections.disconnect(connection_id)

    async def access_token(self, connection_id: str) -> str:
        """An access token that is good for a minute at least, for libraries of others.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.ReconnectRequired: it has ended; only its user can begin a new one.
            errors.Unavailable: it could not be renewed yet.
            errors.ClientRefused: Airtable does not accept this service.
        """
        return (await self._connections.access(connection_id)).access_token

    def client(self, connection_id: str) -> httpx.AsyncClient:
        """An `httpx.AsyncClient` for Airtable's Web API, as this connection.

        Its token is always fresh; it refuses every origin but `AIRTABLE_API_URL`. Use it as a
        context manager or not, as you like: closing it closes nothing that others use. Calls
        raise what `access_token` raises, and `errors.RateLimited`.
        """
        return client_of(self._connections, self._web_api, connection_id)

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=…)`, or within a lifespan of the host's own."""
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Let refreshes come to their end, and close the connections to Airtable and the store."""
        await self._background.drain(_DRAIN_SECONDS)
        await self._airtable.aclose()
        await self._web_api.close()
        await self._store.close()

    def _vault(self, clock: StoreClock, sleep: Sleep, random: RandomBytes) -> Connections:
        records = Records(self._store, self.settings.name)
        owners = Owners(self._store, self.settings.name)

        async def prolong(record: ConnectionRecord) -> None:
            if record.keep_until is None:
                await owners.add(record.owner, record.id)

        rotation = Rotation(
            records=records,
            airtable=self._airtable,
            clock=clock,
            background=self._background,
            on_renewed=prolong,
            sleep=sleep,
        )
        return Connections(
            records=records, rotation=rotation, owners=owners, clock=clock, random=random
        )


def airtable_of(settings: Settings, transport: httpx.AsyncBaseTransport) -> Airtable:
    """The authorization server that the settings name, for the client that they name."""
    return Airtable(
        client=Client(
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            redirect_uri=settings.redirect_uri,
            scopes=settings.scopes,
        ),
        url=settings.airtable_url,
        transport=transport,
        deadline=settings.upstream_timeout,
    )


def _routes(services: Services) -> Iterator[BaseRoute]:
    settings = services.settings
    yield from authorization_router(services).routes
    yield from session_router(services).routes
    yield from proxy_router(services).routes
    if settings.expose_tokens:
        yield from exchange_router(services).routes
        yield from refresh_router(services).routes
    if settings.node_compat:
        yield from node_compat_router(services).routes
    yield from health_router(services).routes
