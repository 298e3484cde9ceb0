"""One login: begin it, finish it. It belongs to the browser that began it."""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple

from airtable_oauth import pkce
from airtable_oauth.airtable import Airtable
from airtable_oauth.background import Background, Sleep, Tries, until_stored, wait
from airtable_oauth.errors import (
    Action,
    AirtableOAuthError,
    LoginNotFound,
    ServerError,
    StoreUnavailable,
    UpstreamTimeout,
)
from airtable_oauth.protocol import Callback, TokenSet, authorization_code
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import digest, storage_key

_STORE_SECONDS = 3.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a login is for, as it was said at its beginning."""

    owner: str | None = None
    """The host's user who begins it, and alone may finish it; None where users are sessions."""
    connection_id: str | None = None
    """The connection to be made anew, if it is not for another one."""
    data: Any = field(default=None, repr=False)
    """What the host wants back at the end: JSON."""


_ANY_PURPOSE = Purpose()


class Kept(NamedTuple):
    """What became of a login's tokens."""

    connection_id: str
    afterwards: Callable[[], Coroutine[Any, Any, None]]
    """What is to be done once the login is over."""


Keep = Callable[[TokenSet, Purpose], Awaitable[Kept]]
"""Stores tokens as a connection; keeps trying until that is done."""


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """What the browser gets: the URL to open, and a secret to keep in a cookie of this login."""

    authorization_url: str = field(repr=False)
    login_id: str
    browser_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FinishedLogin:
    """What a login ends with, where the tokens go to the browser."""

    tokens: TokenSet
    return_to: str | None


@dataclass(frozen=True, slots=True)
class KeptLogin:
    """What a login ends with, where the tokens stay on the server."""

    connection_id: str
    return_to: str | None
    key: str
    """Where the login lies, until its time is over."""


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins under way, in a store that any number of processes share.

    A record lies under a hash of state and browser secret. Whoever has only the state (it passes
    through URLs) finds nothing with it, and takes nothing away from the browser that began.
    """

    store: Store
    airtable: Airtable
    name: str
    ttl: float
    """Seconds until a login that nobody finishes is forgotten."""
    random: Callable[[int], bytes] = secrets.token_bytes
    background: Background = field(default_factory=Background)
    sleep: Sleep = asyncio.sleep

    async def begin(
        self, return_to: str | None = None, purpose: Purpose = _ANY_PURPOSE
    ) -> BegunLogin:
        """Start a login; `return_to` and `purpose` come back when it ends.

        Raises:
            Unavailable: it could not be stored.
        """
        state = pkce.state(self.random)
        code_verifier = pkce.code_verifier(self.random)
        browser_secret = pkce.base64url(self.random(32))
        record = _Record(return_to, purpose, code_verifier=code_verifier)
        await self.store.put(self._key(state, browser_secret), record.to_bytes(), self.ttl)
        return BegunLogin(
            authorization_url=self.airtable.authorization_url(
                state=state, code_challenge=pkce.code_challenge(code_verifier)
            ),
            login_id=login_id(state),
            browser_secret=browser_secret,
        )

    async def finish(self, callback: Callback, browser_secret: str | None) -> FinishedLogin:
        """End the login that a redirect belongs to, whatever the redirect carries.

        Of concurrent calls one gets past the store. Only that one spends the code, once.

        Raises:
            LoginNotFound: this browser has no such login.
            AirtableOAuthError: the redirect carries an error, or the exchange failed; the login
                is over.
            Unavailable: the store does not answer.
        """
        stored = await self.store.pop(self._found(callback, browser_secret))
        record = None if stored is None else _Record.from_bytes(stored)
        if record is None or record.code_verifier is None:
            raise LoginNotFound
        try:
            tokens = await self._exchange(callback, record.code_verifier)
        except AirtableOAuthError as error:
            raise error.ending_login(record.return_to) from None
        return FinishedLogin(tokens, record.return_to)

    async def keep(
        self,
        callback: Callback,
        browser_secret: str | None,
        keep: Keep,
        owner: str | None = None,
    ) -> KeptLogin:
        """End a login as `finish` does, and hand its tokens to `keep`, which names a connection.

        The record stays until its time is over: pending, then claimed by one caller, then done or
        failed. A repeat from the same browser (the back button, a framework's double run) waits
        for that and gets the same connection, or the same error. What was begun is completed even
        if the caller goes away. `owner` must be the one for whom it was begun.

        Raises:
            As `finish` does.
        """
        key = self._found(callback, browser_secret)
        for _ in range(int(self._patience / _POLL_SECONDS)):
            entry = await self.store.get(key)
            if entry is None:
                raise LoginNotFound
            record = _Record.from_bytes(entry.value)
            if record.purpose.owner != owner:
                raise LoginNotFound
            if record.connection_id is not None:
                return KeptLogin(record.connection_id, record.return_to, key)
            if record.failure is not None:
                raise _as_error(record)
            if record.code_verifier is None:  # claimed
                await self.sleep(_POLL_SECONDS)
                continue
            claimed = _Record(record.return_to, record.purpose)
            if await self.store.replace(key, claimed.to_bytes(), None, version=entry.version):
                work = self.background.start(self._complete(key, record, callback, keep))
                login, after = await wait(work, self._patience, otherwise=StoreUnavailable())
                await asyncio.shield(after)
                return login
        raise UpstreamTimeout().ending_login(None)

    async def discard(self, key: str) -> None:
        """Forget a login that was kept, so that its callback does not work again."""
        await self.store.pop(key)

    async def _complete(
        self, key: str, record: "_Record", callback: Callback, keep: Keep
    ) -> tuple[KeptLogin, asyncio.Task[None]]:
        try:
            tokens = await self._exchange(callback, record.code_verifier or "")
            kept = await keep(tokens, record.purpose)
        except Exception as error:
            known = error if isinstance(error, AirtableOAuthError) else ServerError()
            ended = known.ending_login(record.return_to)
            await self._conclude(key, record.ended(failure=_as_failure(ended)))
            raise
        await self._conclude(key, record.ended(connection_id=kept.connection_id))
        after = self.background.start(kept.afterwards())
        return KeptLogin(kept.connection_id, record.return_to, key), after

    async def _conclude(self, key: str, ended: "_Record") -> None:
        """Tell those who wait. A login that was discarded meanwhile stays so."""

        async def store() -> None:
            async for _ in Tries(self.sleep):
                entry = await self.store.get(key)
                if entry is None or await self.store.replace(
                    key, ended.to_bytes(), None, version=entry.version
                ):
                    return
            raise StoreUnavailable

        await until_stored(store, self.sleep)

    async def _exchange(self, callback: Callback, code_verifier: str) -> TokenSet:
        return await self.airtable.exchange(
            code=authorization_code(callback), code_verifier=code_verifier
        )

    def _found(self, callback: Callback, browser_secret: str | None) -> str:
        if browser_secret is None:
            raise LoginNotFound
        return self._key(callback.state, browser_secret)

    def _key(self, state: str, browser_secret: str) -> str:
        return storage_key(self.name, "login", state, browser_secret)

    @property
    def _patience(self) -> float:
        """Seconds for the exchange, for asking who granted access, and for the store."""
        return 2 * self.airtable.deadline + _STORE_SECONDS


@dataclass(frozen=True, slots=True)
class UnboundLogins:
    """Logins that any browser may finish, for clients of the Node service, which send no cookies.

    They lie in a namespace of their own: a state from here is unknown to `Logins`, and the
    reverse.
    """

    store: Store
    airtable: Airtable
    name: str
    ttl: float
    random: Callable[[int], bytes] = secrets.token_bytes

    async def begin(self) -> str:
        """Start a login; its authorization URL.

        Raises:
            Unavailable: it could not be stored.
        """
        state = pkce.state(self.random)
        code_verifier = pkce.code_verifier(self.random)
        await self.store.put(self._key(state), code_verifier.encode(), self.ttl)
        return self.airtable.authorization_url(
            state=state, code_challenge=pkce.code_challenge(code_verifier)
        )

    async def take(self, state: str) -> str | None:
        """End the login with this state; its verifier. Of concurrent calls one gets it.

        Raises:
            Unavailable: the store does not answer.
        """
        code_verifier = await self.store.pop(self._key(state))
        return None if code_verifier is None else code_verifier.decode()

    def _key(self, state: str) -> str:
        return storage_key(self.name, "unbound", state)


@dataclass(frozen=True, slots=True)
class _Record:
    """A login as stored: pending (it has a verifier), claimed (it has nothing), done or failed."""

    return_to: str | None
    purpose: Purpose = _ANY_PURPOSE
    code_verifier: str | None = field(default=None, repr=False)
    connection_id: str | None = None
    failure: dict[str, Any] | None = None

    def ended(self, **outcome: Any) -> "_Record":
        """The same login, done or failed."""
        return replace(self, code_verifier=None, **outcome)

    def to_bytes(self) -> bytes:
        """As it lies in the store."""
        purpose = None if self.purpose == _ANY_PURPOSE else list(astuple(self.purpose))
        values = [self.return_to, purpose, self.code_verifier, self.connection_id, self.failure]
        return json.dumps(values).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "_Record":
        """From where it lay."""
        return_to, purpose, *rest = json.loads(data)
        return cls(return_to, Purpose(*(purpose or ())), *rest)


def _as_failure(error: AirtableOAuthError) -> dict[str, Any]:
    return {name: getattr(error, name) for name in ("status", "error", "action", "description")}


def _as_error(record: _Record) -> AirtableOAuthError:
    """What the login failed with when its callback came first."""
    failure = dict(record.failure or {})
    error = AirtableOAuthError(failure["description"])
    error.status = error.status_code = failure["status"]
    error.error = failure["error"]
    error.action = Action(failure["action"])
    error.return_to = record.return_to
    return error


def login_id(state: str) -> str:
    """A public name for a login, which finds its cookie: 22 characters that say nothing else."""
    return digest("login id", state)[:22]
