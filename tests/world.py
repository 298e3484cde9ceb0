"""A vault with all its dependencies passed in.

The clock moves only when a test advances it, the store and Airtable fail on demand, and a test may
have any number of processes.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx

from airtable_oauth.background import Background
from airtable_oauth.errors import StoreUnavailable
from airtable_oauth.oauth.protocol import OAuthClient, TokenSet
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.simulator import Clock, Fault, Integration, Simulator
from airtable_oauth.stores import Entry, Store, Turn
from airtable_oauth.stores.clock import StoreClock
from airtable_oauth.stores.memory import MemoryStore
from airtable_oauth.vault.access import AccessTokens
from airtable_oauth.vault.connections import Connections
from airtable_oauth.vault.events import Hooks
from airtable_oauth.vault.lifecycle import Lifecycle
from airtable_oauth.vault.model import StoredConnection
from airtable_oauth.vault.owners import Owners
from airtable_oauth.vault.refresh import Refresher
from airtable_oauth.vault.repository import ConnectionRepository
from tests.helpers import AIRTABLE, REDIRECT_URI, SCOPES, FakeClock

OWNER = "user-1"


class VirtualTime(FakeClock):
    """A clock that wakes sleepers in order when it is advanced."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = count()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock is that far ahead."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._number), woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        super().advance(seconds)
        while self._sleepers and self._sleepers[0][0] <= self.now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)


class Line(httpx.AsyncBaseTransport):
    """A process's connection to Airtable, which can be cut before anything is sent."""

    def __init__(self, simulator: Simulator) -> None:
        self.cut = False
        self.before: Callable[[httpx.Request], Any] | None = None
        """Awaited before a request is passed on."""
        self._transport = httpx.ASGITransport(simulator.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("refused")
        if self.before is not None:
            await self.before(request)
        return await self._transport.handle_async_request(request)


@dataclass
class FaultyStore:
    """A store that is down, or loses the replies to operations that it has carried out."""

    store: Store
    down: bool = False
    lost: set[str] = field(default_factory=set)
    """Operations that are carried out, but whose next reply is lost."""
    ahead: float = 0.0
    """How far this process sees the store's clock ahead, in seconds."""
    meanwhile: Callable[[], Awaitable[Any]] | None = None
    """Runs once, before the next `replace`, in the role of another process."""
    afterwards: Callable[[str, tuple[Any, ...]], Awaitable[None]] | None = None
    """Called before the reply to each operation, with the operation's name and its arguments."""
    under: str = ""
    """`lost` and `meanwhile` apply only to keys with this prefix."""
    failing: set[tuple[str, str]] = field(default_factory=set)
    """Namespaces and operations that raise `StoreUnavailable` without being carried out."""

    async def get(self, key: str) -> Entry | None:
        return await self._do("get", key)  # type: ignore[no-any-return]

    async def get_many(self, keys: Sequence[str]) -> list[Entry | None]:
        return [await self.get(key) for key in keys]

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        await self._do("put", key, value, ttl)

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        return await self._do("add", key, value, ttl)  # type: ignore[no-any-return]

    async def pop(self, key: str) -> bytes | None:
        return await self._do("pop", key)  # type: ignore[no-any-return]

    async def replace(self, key: str, value: bytes, ttl: float | None, *, version: bytes) -> bool:
        return await self._do("replace", key, value, ttl, version=version)  # type: ignore[no-any-return]

    async def discard(self, key: str, *, version: bytes) -> bool:
        return await self._do("discard", key, version=version)  # type: ignore[no-any-return]

    async def reserve_turn(self, key: str, *, most: int, window: float, within: float) -> Turn:
        return await self._do("reserve_turn", key, most=most, window=window, within=within)  # type: ignore[no-any-return]

    async def delay_turns(self, key: str, *, most: int, window: float, seconds: float) -> None:
        await self._do("delay_turns", key, most=most, window=window, seconds=seconds)

    def scan(
        self, namespace: str, *, skip_ttl: tuple[float, float] | None = None
    ) -> AsyncIterator[str]:
        return self.store.scan(namespace, skip_ttl=skip_ttl)

    async def now(self) -> float:
        return await self._do("now") + self.ahead  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Does not close the underlying store."""

    async def _do(self, verb: str, *arguments: Any, **options: Any) -> Any:
        await asyncio.sleep(0)
        if self.down or any(
            verb == failing and f":{namespace}:" in arguments[0]
            for namespace, failing in self.failing
        ):
            raise StoreUnavailable
        concerned = not arguments or arguments[0].startswith(self.under)
        if concerned and verb == "replace" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        reply = await getattr(self.store, verb)(*arguments, **options)
        if self.afterwards is not None:
            await self.afterwards(verb, arguments)
        if concerned and verb in self.lost:
            self.lost.discard(verb)
            raise StoreUnavailable
        return reply


class Quiet:
    """Callbacks of a refresh that do nothing."""

    async def renewed(self, connection: StoredConnection) -> None:
        """Do nothing."""

    async def ended(self, connection: StoredConnection) -> None:
        """Do nothing."""

    async def revived(self, connection: StoredConnection) -> None:
        """Do nothing."""


@dataclass
class Process:
    """One process of a service: its vault, its store connection, its connection to Airtable."""

    repository: ConnectionRepository
    owners: Owners
    hooks: Hooks
    connections: Connections
    access_tokens: AccessTokens
    lifecycle: Lifecycle
    refresher: Refresher
    store: FaultyStore
    line: Line
    background: Background

    async def token(self, connection_id: str, **options: Any) -> str:
        return (await self.access_tokens.ensure_fresh(connection_id, **options)).access_token


class World:
    """Airtable and a store that share one clock."""

    def __init__(self, store: Store | None = None, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.store = store or MemoryStore(clock=self.clock)
        integration = Integration("test-client", (REDIRECT_URI,), SCOPES, "test-secret")
        self.simulator = Simulator([integration], clock=Clock(self.clock), record_secrets=True)
        self.first = self.process()

    def process(self, *, ahead: float = 0.0) -> Process:
        """Add a process, whose own clock may be ahead of the others'."""
        store, line, background = FaultyStore(self.store), Line(self.simulator), Background()
        clock = StoreClock(store, lambda: self.clock() + ahead)
        repository = ConnectionRepository(store, "airtable")
        owners, hooks = Owners(store, "airtable"), Hooks(background)
        refresher = Refresher(
            repository=repository,
            token_endpoint=TokenEndpoint(
                client=OAuthClient("test-client", "test-secret", REDIRECT_URI, SCOPES),
                url=AIRTABLE,
                transport=line,
                deadline=5,
            ),
            clock=clock,
            background=background,
            after=Quiet(),
            sleep=self.sleep,
        )
        return Process(
            repository=repository,
            owners=owners,
            hooks=hooks,
            connections=Connections(repository, owners),
            access_tokens=AccessTokens(repository, refresher, clock, background, self.sleep),
            lifecycle=Lifecycle(repository, owners, hooks, clock, background, self.sleep),
            refresher=refresher,
            store=store,
            line=line,
            background=background,
        )

    async def sleep(self, seconds: float) -> None:
        """Advance the clock of all processes."""
        await asyncio.sleep(0)
        self.clock.advance(seconds)

    async def connect(self, **options: Any) -> str:
        """Create a connection with its own grant and return its id."""
        record = await self.first.lifecycle.create(owner=OWNER, tokens=self.grant(), **options)
        return record.id

    def grant(self, user: int = 0) -> TokenSet:
        """Issue tokens, as a login does."""
        server = self.simulator.authorization_server
        tokens = server.vault.issue_tokens(server.new_grant("test-client", SCOPES, user), SCOPES)
        return TokenSet(**{name: value for name, value in tokens.items() if name != "token_type"})  # type: ignore[arg-type]

    async def record(self, connection_id: str) -> StoredConnection:
        """The stored connection."""
        found = await ConnectionRepository(self.store, "airtable").load(connection_id)
        assert found is not None
        return found.record

    def expire(self) -> None:
        """Advance the clock until the access tokens have expired."""
        self.clock.advance(3601)

    def fault(self, **fields: Any) -> Fault:
        """Plan a fault of the token endpoint."""
        return self.simulator.faults.add(Fault(**fields))

    def refreshes(self) -> int:
        """How many refresh requests Airtable received."""
        return sum(
            request.form.get("grant_type") == "refresh_token"
            for request in self.simulator.token_requests()
        )

    def works(self, token: str) -> bool:
        """Whether Airtable accepts this access token."""
        return self.simulator.vault.live_access_token(token) is not None
