"""`AirtableOAuth`: one Airtable integration, to mount in an app."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypedDict, Unpack

import httpx
from fastapi import Depends

from airtable_oauth.airtable_api.rate_limit import RateLimiter
from airtable_oauth.airtable_api.transport import WebApi
from airtable_oauth.background import Sleep
from airtable_oauth.causes import cause_of
from airtable_oauth.encoding import RandomBytes
from airtable_oauth.factories import build_token_endpoint, encrypted_store, open_store
from airtable_oauth.incidents import Incidents
from airtable_oauth.logs import logger
from airtable_oauth.oauth.http import new_transport
from airtable_oauth.oauth.protocol import TokenSet
from airtable_oauth.runtime import Runtime
from airtable_oauth.settings import Settings, decode_webhook_secret
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.watched import WatchedStore
from airtable_oauth.vault.assembly import build_vault
from airtable_oauth.vault.client import build_client
from airtable_oauth.vault.events import Event, Hook, Hooks
from airtable_oauth.vault.idle import IdleOutcome, renew_idle
from airtable_oauth.vault.model import Connection
from airtable_oauth.vault.webhook import Webhook
from airtable_oauth.web.assembly import RouteBuilder
from airtable_oauth.web.sessions import CONNECTION_GRACE

_DRAIN_SECONDS = 30.0
_PROMISED_SECONDS = 60.0
"""How long a token from `AirtableOAuth.access_token` stays valid."""


class Parts(TypedDict, total=False):
    """What may be passed in, instead of what the settings or the process would provide."""

    store: Store
    """Instead of the store that `STORE_URL` names. `ENCRYPTION_KEYS` encrypt this one, too."""
    unencrypted: bool
    """Whether `ENCRYPTION_KEYS` may be empty, because `store` encrypts the records."""
    transport: httpx.AsyncBaseTransport
    """Sends requests to Airtable."""
    webhook_transport: httpx.AsyncBaseTransport
    """Sends requests to `WEBHOOK_URL`."""
    clock: Callable[[], float]
    """Seconds since 1970."""
    monotonic: Callable[[], float]
    """A monotonic clock, in seconds."""
    sleep: Sleep
    random: RandomBytes
    """Returns the given number of cryptographically random bytes."""


class AirtableOAuth:
    """One Airtable integration.

    ```python
    airtable = AirtableOAuth(Settings(), owner=current_user_id)
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router, prefix="/integrations/airtable")
    ```

    It connects to nothing until it is used, and changes nothing global. An app may have several,
    each with its own `NAME`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        owner: Callable[..., Any] | None = None,
        login_data: Callable[..., Any] | None = None,
        allow_other_user: bool = False,
        separate_connections: bool = False,
        **parts: Unpack[Parts],
    ) -> None:
        """Build the integration. Its routes are in `router`.

        Args:
            settings: The options of this integration.
            owner: A FastAPI dependency that returns the id of the host's user who sends a request.
                If no user is signed in, it raises the host's own error. If `owner` is given,
                connections belong to the host's users, and no route gives tokens to the browser.
                If not, each browser gets a session, to which its connection belongs.
            login_data: A FastAPI dependency that is called when a login begins. It returns a
                value that JSON can represent in at most 4096 characters. The value becomes
                `Connection.data`.
            allow_other_user: Whether another Airtable user may reconnect a connection.
            separate_connections: Whether every login creates a connection, unless
                `GET /authorization-url` got `?connection=` with the id of one to reconnect.
                By default an owner has one connection per Airtable user: if a user is connected
                already, a login gives that connection new tokens.
            parts: `store`, a store of your own. If it encrypts the records itself, leave
                `ENCRYPTION_KEYS` empty and pass `unencrypted=True`: the library then does not
                encrypt them. For tests, replacements for `transport`, `webhook_transport`,
                `clock`, `monotonic`, `sleep` and `random`.

        Raises:
            TypeError: `login_data` is given without `owner`.
            ValueError: `store` is given without `ENCRYPTION_KEYS` and without `unencrypted`, and is
                neither a `MemoryStore` nor an `EncryptedStore`.
            ModuleNotFoundError: `store` is not given, and the driver for `STORE_URL` is not
                installed.
        """
        if login_data is not None and owner is None:
            raise TypeError("login_data needs an owner dependency")
        self.settings = settings
        runtime = self._runtime = _runtime(parts)
        store = open_store(settings) if (given := parts.get("store")) is None else given
        incidents = Incidents("the store", runtime.monotonic)
        self._store = WatchedStore(
            encrypted_store(store, settings, unencrypted=parts.get("unencrypted", False)), incidents
        )
        self._store_clock = StoreClock(self._store, runtime.monotonic)
        self._token_endpoint = build_token_endpoint(settings, _transport(parts), runtime.monotonic)
        self._web_api = WebApi(
            url=settings.airtable_api_url,
            content_url=settings.airtable_content_url,
            transport=_transport(parts),
            deadline=settings.upstream_timeout,
            rate_limiter=RateLimiter(
                store=WatchedStore(store, incidents),
                name=settings.name,
                monotonic=runtime.monotonic,
                sleep=runtime.sleep,
            ),
            background=runtime.background,
            incidents=Incidents("Airtable's Web API", runtime.monotonic),
        )
        self._hooks = Hooks(runtime.background)
        self._webhook = self._build_webhook(parts.get("webhook_transport"))
        self._vault = build_vault(
            name=settings.name,
            store=self._store,
            store_clock=self._store_clock,
            store_seconds=settings.store_patience,
            token_endpoint=self._token_endpoint,
            whoami=self._web_api.whoami,
            hooks=self._hooks,
            runtime=runtime,
            session_seconds=min(settings.session_idle_ttl, settings.session_max_ttl)
            + CONNECTION_GRACE,
            allow_other_user=allow_other_user,
            separate_connections=separate_connections,
        )
        callers, router = RouteBuilder(
            settings=settings,
            store=self._store,
            store_clock=self._store_clock,
            token_endpoint=self._token_endpoint,
            web_api=self._web_api,
            vault=self._vault,
            owner=owner,
            login_data=login_data,
            runtime=runtime,
        ).build()
        self.router = router
        """All endpoints, for `app.include_router`, under any prefix."""
        current = callers.connection_id_in_host_route
        self.current_client = _current_client(self, current)
        """A dependency for your own routes: an `httpx.AsyncClient` for Airtable's Web API, which
        acts as the caller. Raises `errors.NotConnected`; `errors.ConnectionNotNamed` if the caller
        has several connections and sends no header `X-Airtable-Connection`. Without an `owner` it
        also raises `errors.CrossSiteRefused` for a request with an unsafe method, if the header
        `X-CSRF: 1` is missing or another site may have caused the request."""
        self.current_connection = _current_connection(self, current)
        """The same, for the caller's `Connection` instead of a client."""

    def on_connected(self, hook: Hook) -> Hook:
        """Register a coroutine function that is called when a user connects or reconnects.

        `Connection.reconnected` says which. The hook is also called, with `reconnected` true, if a
        connection that was reported as ended works again. This happens if a process stores new
        tokens late, and another attempt to refresh has meanwhile reported the end.

        The tokens are stored before the hook is called. An exception is logged and has no other
        effect. The user waits for the hook, ten seconds at most. If the process is killed before
        the hook has run, the hook is not called later; `connections` always shows the current
        state.
        """
        self._hooks.add(Event.CONNECTED, hook)
        return hook

    def on_reconnect_required(self, hook: Hook) -> Hook:
        """Register a coroutine function that is called when a connection has ended.

        `Connection.reason` says why. The hook runs in the process that finds this out when it uses
        the connection. `refresh_idle` finds it out for connections that are not used.
        """
        self._hooks.add(Event.RECONNECT_REQUIRED, hook)
        return hook

    def on_disconnected(self, hook: Hook) -> Hook:
        """Register a coroutine function that is called when a connection's tokens are erased."""
        self._hooks.add(Event.DISCONNECTED, hook)
        return hook

    async def connections(self, owner: str) -> list[Connection]:
        """The connections of an owner, oldest first.

        Raises:
            errors.Unavailable: the store does not answer, or a record cannot be read.
        """
        return await self._vault.connections.of(owner)

    def all_connections(self) -> AsyncIterator[Connection]:
        """Every connection of the integration, for maintenance. Reads the whole store.

        Skips records that cannot be read, with a warning in the log. With Redis, a connection may
        come twice.

        Raises:
            errors.Unavailable: the store does not answer.
        """
        return self._vault.connections.all()

    async def connection(self, connection_id: str) -> Connection:
        """The current state of a connection.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.Unavailable: the store does not answer, or the record cannot be read.
        """
        return await self._vault.connections.get(connection_id)

    async def adopt(self, owner: str, tokens: TokenSet, data: Any = None) -> Connection:
        """Import tokens that another system obtained for the same Airtable integration.

        That system must not refresh them any more. If the owner has a connection of the same
        Airtable user, that connection gets these tokens, as after a login. With
        `separate_connections`, a new connection gets them. While the store does not answer,
        storing the tokens is repeated, however long that takes. Calls the `on_connected` hooks.

        Raises:
            errors.UpstreamError: the owner has a connection, and Airtable does not say at the
                moment whether these tokens belong to the same user. Nothing is stored: try again.
            errors.Unavailable: a record cannot be read, other processes keep changing the owner's
                records, or the store does not answer when the connection is read back. The tokens
                may or may not be stored.
        """
        return await self._vault.connections.get(
            await self._vault.grants.adopt(owner, tokens, data)
        )

    async def disconnect(self, connection_id: str) -> None:
        """Erase the tokens of a connection. Airtable has no revocation endpoint.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.Unavailable: the store does not answer, and the tokens may or may not be erased;
                or the record cannot be read.
        """
        await self._vault.lifecycle.disconnect(connection_id)

    async def access_token(self, connection_id: str) -> str:
        """An access token that stays valid for at least a minute, for use with other libraries.

        If Airtable's tokens live for less than ten minutes, the token stays valid for at least a
        tenth of that life instead.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.ReconnectRequired: it has ended, and the user must reconnect.
            errors.Unavailable: the token expires too soon, and could not be refreshed yet; the
                store does not answer; or the record cannot be read.
            errors.ClientRefused: Airtable does not accept this service.
        """
        record = await self._vault.access_tokens.ensure_fresh(
            connection_id, at_least=_PROMISED_SECONDS
        )
        return record.access_token

    def client(self, connection_id: str) -> httpx.AsyncClient:
        """An `httpx.AsyncClient` for Airtable's Web API, which acts as this connection.

        It refreshes the token when necessary. It sends requests only to `AIRTABLE_API_URL` and,
        for uploads, to `AIRTABLE_CONTENT_URL`. You may close it or not: it owns no resources.
        Requests raise what `access_token` raises, and `errors.RateLimited`, `InvalidPath`,
        `ForeignOrigin`, `UpstreamError` and `UpstreamTimeout`.
        """
        return build_client(self._vault.access_tokens, self._web_api, connection_id)

    def refresh_idle(self, within_days: float = 30) -> AsyncIterator[tuple[str, IdleOutcome]]:
        """Refresh unused connections that Airtable would end within this many days.

        Yields each connection's id and outcome, at most five a second. Skips the connections of
        browser sessions, and those for which Airtable has not said when the refresh token expires.
        Also skips records that cannot be read, each with a warning in the log. Run it daily; it may
        run in several places at once.

        Raises:
            errors.ClockSkew: the store's clock and this machine's disagree; nothing was sent.
            errors.ClientRefused: Airtable does not accept this service. The connections not yet
                yielded are unchanged.
            errors.Unavailable: the store does not answer.
        """
        return renew_idle(
            self._vault.repository,
            self._vault.refresher,
            self._store_clock,
            within=within_days * 86400,
            clock=self._runtime.clock,
            sleep=self._runtime.sleep,
        )

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """Close the integration when the context ends; see `aclose`.

        For `FastAPI(lifespan=…)`, for use within your own lifespan, or around a script.
        """
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Wait for running refreshes and hooks, then close the HTTP clients and the store.

        No new refresh begins. If closing one part fails, that is logged, and the others are closed.
        It waits at most thirty seconds, or as long as a refresh may take if that is longer, and six
        more for a webhook's events.
        """
        self._token_endpoint.refresh_slots.close()
        try:
            term = self._vault.refresher.term
            await self._runtime.background.drain(max(_DRAIN_SECONDS, term))
        finally:
            if self._webhook is not None:
                await _close("the webhook", self._webhook.aclose)
            await _close(
                "the connections to Airtable's token endpoint", self._token_endpoint.aclose
            )
            await _close("the connections to Airtable's Web API", self._web_api.close)
            await _close("the store", self._store.close)
            self._token_endpoint.refresh_slots.open()  # the object may be used again

    def _build_webhook(self, transport: httpx.AsyncBaseTransport | None) -> Webhook | None:
        settings, runtime = self.settings, self._runtime
        if not settings.webhook_url.get_secret_value():
            return None
        webhook = Webhook(
            url=settings.webhook_url.get_secret_value(),
            key=decode_webhook_secret(settings.webhook_secret.get_secret_value()),
            transport=new_transport() if transport is None else transport,
            clock=runtime.clock,
            sleep=runtime.sleep,
            random=runtime.random,
            incidents=Incidents("the webhook", runtime.monotonic),
        )
        for event in Event:
            self._hooks.add(event, partial(webhook.emit, event))
        return webhook


def _runtime(parts: Parts) -> Runtime:
    """The process's clocks, sleep and randomness, except for what was passed in."""
    return Runtime(
        clock=parts.get("clock", time.time),
        monotonic=parts.get("monotonic", time.monotonic),
        sleep=parts.get("sleep", asyncio.sleep),
        random=parts.get("random", secrets.token_bytes),
    )


def _transport(parts: Parts) -> httpx.AsyncBaseTransport:
    """A new transport to Airtable, unless one was passed in."""
    given = parts.get("transport")
    return new_transport(connections=0) if given is None else given


async def _close(part: str, close: Callable[[], Awaitable[None]]) -> None:
    try:
        await close()
    except Exception as error:  # noqa: BLE001 (logged, and the rest is closed)
        logger.error("could not close %s: %s", part, cause_of(error))


def _current_client(
    airtable: AirtableOAuth, connection_dependency: Callable[..., Any]
) -> Callable[..., AsyncIterator[httpx.AsyncClient]]:
    async def current_client(
        connection_id: Annotated[str, Depends(connection_dependency)],
    ) -> AsyncIterator[httpx.AsyncClient]:
        async with airtable.client(connection_id) as client:
            yield client

    return current_client


def _current_connection(
    airtable: AirtableOAuth, connection_dependency: Callable[..., Any]
) -> Callable[..., Awaitable[Connection]]:
    async def current_connection(
        connection_id: Annotated[str, Depends(connection_dependency)],
    ) -> Connection:
        return await airtable.connection(connection_id)

    return current_connection
