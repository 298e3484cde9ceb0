"""The object to mount: everything this package does, for one Airtable integration."""

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
from airtable_oauth.background import Background, Sleep
from airtable_oauth.causes import cause_of
from airtable_oauth.encoding import RandomBytes
from airtable_oauth.incidents import Incidents
from airtable_oauth.logs import logger
from airtable_oauth.oauth.http import new_transport
from airtable_oauth.oauth.protocol import OAuthClient, TokenSet
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.settings import Settings, decode_webhook_secret
from airtable_oauth.store_factory import open_store, sealed
from airtable_oauth.stores import Store
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.watched import WatchedStore
from airtable_oauth.vault.assembly import build_vault
from airtable_oauth.vault.client import build_client
from airtable_oauth.vault.events import Event, Hook, Hooks
from airtable_oauth.vault.idle import IdleOutcome, renew_idle
from airtable_oauth.vault.model import Connection
from airtable_oauth.vault.webhook import Webhook
from airtable_oauth.web.assembly import WebAssembly
from airtable_oauth.web.sessions import CONNECTION_GRACE

_DRAIN_SECONDS = 30.0
_PROMISED_SECONDS = 60.0
"""Life that a token from `AirtableOAuth.access_token` has left."""


class Parts(TypedDict, total=False):
    """What may be passed in, in the place of what the settings name or the machine has."""

    store: Store
    """In place of what `STORE_URL` names. Encrypted with `ENCRYPTION_KEYS`, like any other."""
    unencrypted: bool
    """Whether a `store` may do without `ENCRYPTION_KEYS`: only if it encrypts what it holds."""
    transport: httpx.AsyncBaseTransport
    """What reaches Airtable."""
    webhook_transport: httpx.AsyncBaseTransport
    """What reaches `WEBHOOK_URL`."""
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
    airtable = AirtableOAuth(Settings(), owner=current_user_id)
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router, prefix="/integrations/airtable")
    ```

    Nothing connects before it is used, and nothing global is touched: an app may hold several, each
    with a `NAME` of its own.
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
        """Put the parts together.

        Args:
            settings: The integration's.
            owner: A FastAPI dependency that returns the id of the host's user who sends a request,
                or raises what the host answers strangers with. Connections then belong to users,
                there are no sessions of ours, and no route hands out tokens. Without it a
                browser's session owns what it connects.
            login_data: A FastAPI dependency, asked when a user begins a login, that returns JSON of
                at most 4096 characters: `Connection.data` from then on.
            allow_other_user: Whether a connection may be reconnected by another Airtable user than
                the one who granted access first.
            separate_connections: Whether every login without `?connection=` creates a connection.
                By default an owner has one connection per Airtable user: a login of a user whom the
                owner has connected before renews that connection under its id.
            parts: For tests, and for a store of one's own.

        Raises:
            ValueError: `store` is given without `ENCRYPTION_KEYS`, and not `unencrypted`.
        """
        if login_data is not None and owner is None:
            raise TypeError("login_data needs an owner dependency")
        self.settings = settings
        self._clock = parts.get("clock", time.time)
        self._sleep = parts.get("sleep", asyncio.sleep)
        monotonic = parts.get("monotonic", time.monotonic)
        random = parts.get("random", secrets.token_bytes)
        store = open_store(settings) if (given := parts.get("store")) is None else given
        encrypted = sealed(store, settings, unencrypted=parts.get("unencrypted", False))
        store_incidents = Incidents("the store", monotonic)
        self._store = WatchedStore(encrypted, store_incidents)
        self._store_clock = StoreClock(self._store, monotonic)
        self._background = Background()
        self._token_endpoint = build_token_endpoint(settings, _transport(parts), monotonic)
        self._web_api = WebApi(
            url=settings.airtable_api_url,
            content_url=settings.airtable_content_url,
            transport=_transport(parts),
            deadline=settings.upstream_timeout,
            rate_limiter=RateLimiter(
                store=WatchedStore(store, store_incidents),
                name=settings.name,
                monotonic=monotonic,
                sleep=self._sleep,
            ),
            background=self._background,
            incidents=Incidents("Airtable's Web API", monotonic),
        )
        self._hooks = Hooks(self._background)
        self._webhook = self._build_webhook(parts.get("webhook_transport"), monotonic, random)
        self._vault = build_vault(
            name=settings.name,
            store=self._store,
            store_clock=self._store_clock,
            store_seconds=settings.store_patience,
            token_endpoint=self._token_endpoint,
            whoami=self._web_api.whoami,
            hooks=self._hooks,
            background=self._background,
            sleep=self._sleep,
            random=random,
            session_seconds=min(settings.session_idle_ttl, settings.session_max_ttl)
            + CONNECTION_GRACE,
            allow_other_user=allow_other_user,
            separate_connections=separate_connections,
        )
        callers, self.router = WebAssembly(
            settings=settings,
            store=self._store,
            store_clock=self._store_clock,
            token_endpoint=self._token_endpoint,
            web_api=self._web_api,
            vault=self._vault,
            owner=owner,
            login_data=login_data,
            background=self._background,
            sleep=self._sleep,
            random=random,
            clock=self._clock,
            monotonic=monotonic,
        ).build()
        """All endpoints, for `app.include_router`, under any prefix."""
        current = callers.connection_id_in_host_route
        self.current_client = _current_client(self, current)
        """A dependency for routes of the host's own: an `httpx.AsyncClient` for Airtable's Web API,
        as the caller. Raises `errors.NotConnected` where there is no connection, and where there
        are several and `X-Airtable-Connection` names none, `errors.ConnectionNotNamed`. Where a
        session's cookie says who calls: `errors.CrossSiteRefused`, as our own routes do."""
        self.current_connection = _current_connection(self, current)
        """The same for the caller's `Connection`."""

    def on_connected(self, hook: Hook) -> Hook:
        """Have a coroutine function called when access was granted, the first time or again.

        `Connection.reconnected` says which. It is also called, with `reconnected`, when a
        connection that was reported as ended works again: a process that had been suspended had
        its new tokens.

        The tokens are stored by then, and whatever a hook raises is logged and costs nothing. The
        user waits for it, ten seconds at most. Hooks tell what happens as it happens: a process
        that is killed in that moment has told nobody. What is true, `connections` says.
        """
        self._hooks.add(Event.CONNECTED, hook)
        return hook

    def on_reconnect_required(self, hook: Hook) -> Hook:
        """Have a coroutine function called when a connection was found to have ended.

        `Connection.reason` says why. It is called in the process that finds out; a connection that
        nobody uses is found out about by `refresh_idle`.
        """
        self._hooks.add(Event.RECONNECT_REQUIRED, hook)
        return hook

    def on_disconnected(self, hook: Hook) -> Hook:
        """Have a coroutine function called when the tokens of a connection were erased."""
        self._hooks.add(Event.DISCONNECTED, hook)
        return hook

    async def connections(self, owner: str) -> list[Connection]:
        """The connections of an owner, oldest first.

        Raises:
            errors.Unavailable: the store does not answer.
        """
        return await self._vault.connections.of(owner)

    def all_connections(self) -> AsyncIterator[Connection]:
        """Every connection of the integration, for maintenance: it reads all that is stored.

        Raises:
            errors.Unavailable: the store does not answer.
        """
        return self._vault.connections.all()

    async def connection(self, connection_id: str) -> Connection:
        """A connection as it is.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.Unavailable: the store does not answer.
        """
        return await self._vault.connections.get(connection_id)

    async def adopt(self, owner: str, tokens: TokenSet, data: Any = None) -> Connection:
        """Take over tokens that were obtained elsewhere, by the same Airtable integration.

        Nothing else may refresh them from now on. If the owner has connected their Airtable user
        before, that connection is renewed under its id, as a login does. Calls the `on_connected`
        hooks.

        Raises:
            errors.UpstreamError: the owner has a connection, and Airtable does not say at the
                moment whether these tokens are the same user's. Nothing is stored: try again.
        """
        return await self._vault.connections.get(
            await self._vault.grants.adopt(owner, tokens, data)
        )

    async def disconnect(self, connection_id: str) -> None:
        """Erase the tokens of a connection; Airtable itself has no revocation.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.Unavailable: the store does not answer; nothing is certain.
        """
        await self._vault.lifecycle.disconnect(connection_id)

    async def access_token(self, connection_id: str) -> str:
        """An access token with at least a minute of life left, for other libraries.

        A token that lives for less than ten minutes in all has a tenth of its life left.

        Raises:
            errors.NotConnected: there is no such connection.
            errors.ReconnectRequired: it has ended; only its user can begin a new one.
            errors.Unavailable: it could not be renewed yet, and has less life left than that.
            errors.ClientRefused: Airtable does not accept this service.
        """
        record = await self._vault.access_tokens.ensure_fresh(
            connection_id, at_least=_PROMISED_SECONDS
        )
        return record.access_token

    def client(self, connection_id: str) -> httpx.AsyncClient:
        """An `httpx.AsyncClient` for Airtable's Web API, as this connection.

        Its token is always fresh; it refuses every origin but `AIRTABLE_API_URL` and, for uploads,
        `AIRTABLE_CONTENT_URL`. Use it as a
        context manager or not, as you like: closing it closes nothing that others use. Calls
        raise what `access_token` raises, and `errors.RateLimited`.
        """
        return build_client(self._vault.access_tokens, self._web_api, connection_id)

    def refresh_idle(self, within_days: float = 30) -> AsyncIterator[tuple[str, IdleOutcome]]:
        """Renew connections that nobody uses, which Airtable would end within so many days.

        Yields ids and outcomes as they come, five a second. Run it daily, anywhere, also in several
        places at once.

        Raises:
            errors.ClockSkew: the store's clock and this machine's disagree; nothing was sent.
            errors.ClientRefused: Airtable does not accept this service; nothing ended by that.
            errors.Unavailable: the store does not answer.
        """
        return renew_idle(
            self._vault.repository,
            self._vault.refresher,
            self._store_clock,
            within=within_days * 86400,
            clock=self._clock,
            sleep=self._sleep,
        )

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=…)`, within a lifespan of the host's own, or around a script."""
        try:
            yield
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Wait for refreshes and hooks that are under way, then close everything.

        No further refresh begins. What fails to close is logged, and the rest is closed all the
        same. It takes thirty seconds at most, or longer if a refresh may take longer.
        """
        self._token_endpoint.refresh_slots.close()
        try:
            term = self._vault.refresher.term
            await self._background.drain(max(_DRAIN_SECONDS, term))
        finally:
            if self._webhook is not None:
                await _close("the webhook", self._webhook.aclose)
            await _close(
                "the connections to Airtable's token endpoint", self._token_endpoint.aclose
            )
            await _close("the connections to Airtable's Web API", self._web_api.close)
            await _close("the store", self._store.close)
            self._token_endpoint.refresh_slots.open()  # all of it opens again when it is used again

    def _build_webhook(
        self,
        transport: httpx.AsyncBaseTransport | None,
        monotonic: Callable[[], float],
        random: RandomBytes,
    ) -> Webhook | None:
        settings = self.settings
        if not settings.webhook_url.get_secret_value():
            return None
        webhook = Webhook(
            url=settings.webhook_url.get_secret_value(),
            key=decode_webhook_secret(settings.webhook_secret.get_secret_value()),
            transport=new_transport() if transport is None else transport,
            clock=self._clock,
            sleep=self._sleep,
            random=random,
            incidents=Incidents("the webhook", monotonic),
        )
        for event in Event:
            self._hooks.add(event, partial(webhook.emit, event))
        return webhook


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


def build_token_endpoint(
    settings: Settings,
    transport: httpx.AsyncBaseTransport,
    monotonic: Callable[[], float] = time.monotonic,
) -> TokenEndpoint:
    """The authorization server that the settings name, for the client that they name."""
    return TokenEndpoint(
        client=OAuthClient(
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value(),
            redirect_uri=settings.redirect_uri,
            scopes=settings.scopes,
        ),
        url=settings.airtable_url,
        transport=transport,
        deadline=settings.upstream_timeout,
        incidents=Incidents("Airtable's token endpoint", monotonic),
    )
