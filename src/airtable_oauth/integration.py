"""The object to mount: everything this package does, for one Airtable integration."""

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from fastapi import APIRouter

from airtable_oauth.airtable import Airtable, new_transport
from airtable_oauth.cookies import LoginCookies
from airtable_oauth.dependencies import Services
from airtable_oauth.login import Logins, UnboundLogins
from airtable_oauth.pkce import RandomBytes
from airtable_oauth.protocol import Client
from airtable_oauth.routers.authorization import authorization_router
from airtable_oauth.routers.health import health_router
from airtable_oauth.routers.node_compat import node_compat_router
from airtable_oauth.routers.tokens import exchange_router, refresh_router
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store
from airtable_oauth.stores.connect import open_store, sealed


class AirtableOAuth:
    """One Airtable integration.

    ```python
    airtable = AirtableOAuth(Settings())
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router, prefix="/integrations/airtable")
    ```

    `store` replaces what `STORE_URL` names (it is sealed all the same where there are keys),
    `transport` what reaches Airtable. Nothing connects before it is used, and nothing global is
    touched: an app may hold several.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.time,
        random: RandomBytes = secrets.token_bytes,
    ) -> None:
        self.settings = settings
        self._store = sealed(store or open_store(settings), settings)
        self._airtable = airtable_of(settings, transport or new_transport())
        logins = Logins(
            store=self._store,
            airtable=self._airtable,
            name=settings.name,
            ttl=settings.login_ttl,
            random=random,
        )
        unbound_logins = UnboundLogins(
            store=self._store,
            airtable=self._airtable,
            name=settings.name,
            ttl=settings.login_ttl,
            random=random,
        )
        services = Services(
            settings=settings,
            store=self._store,
            airtable=self._airtable,
            logins=logins,
            unbound_logins=unbound_logins,
            login_cookies=LoginCookies(
                name=settings.name,
                secure=settings.secure,
                max_age=settings.login_ttl,
                clock=clock,
            ),
        )
        self.router = APIRouter(
            routes=[
                *authorization_router(services).routes,
                *exchange_router(services).routes,
                *refresh_router(services).routes,
                *health_router(services).routes,
                *(node_compat_router(services).routes if settings.node_compat else ()),
            ]
        )
        """All endpoints, for `app.include_router`, under any prefix."""

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=…)`, or within a lifespan of the host's own."""
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to Airtable and to the store."""
        await self._airtable.aclose()
        await self._store.close()


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
