"""Logins, from start to finish. Each belongs to the browser that began it."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from airtable_oauth.background import Background, Sleep, Tries, until_stored, wait
from airtable_oauth.encoding import base64url
from airtable_oauth.errors import (
    AirtableOAuthError,
    LoginNotFound,
    ServerError,
    StoreUnavailable,
    Unavailable,
    UpstreamTimeout,
)
from airtable_oauth.oauth import pkce
from airtable_oauth.oauth.login_record import (
    NO_CONTEXT,
    FoundLogin,
    LoginContext,
    LoginRecord,
    take_login,
)
from airtable_oauth.oauth.protocol import Callback, TokenSet, authorization_code
from airtable_oauth.oauth.token_endpoint import TokenEndpoint
from airtable_oauth.stores import Store
from airtable_oauth.stores.keys import digest, storage_key

_POLL_SECONDS = 0.1
_MOST_SESSIONS = 5
"""The most sessions that one login may start: each lives for weeks, and a callback can be repeated
any number of times. A browser whose session began with this login gets no new one."""


class StoredTokens(NamedTuple):
    """The result of storing a login's tokens."""

    connection_id: str
    afterwards: Callable[[], Coroutine[Any, Any, None]]
    """Called when the login is over."""


TokenSink = Callable[[TokenSet, LoginContext], Awaitable[StoredTokens]]
"""Stores tokens as a connection; retries until that succeeds."""


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """What the browser gets: the URL to open, and the secret for this login's cookie."""

    authorization_url: str = field(repr=False)
    login_id: str
    browser_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FinishedLogin:
    """The result of a login, if the tokens go to the browser."""

    tokens: TokenSet
    return_to: str | None


@dataclass(frozen=True, slots=True)
class CompletedLogin:
    """The result of a login, if the tokens stay on the server."""

    connection_id: str
    return_to: str | None
    key: str
    """The storage key of the login's record, which stays until it expires."""


@dataclass(frozen=True, slots=True)
class Logins:
    """Logins in progress, in a store that any number of processes share.

    The storage key is a hash of the state and the browser secret. With the state alone, which
    appears in URLs, one can neither find a login nor take it from the browser that began it.
    """

    store: Store
    token_endpoint: TokenEndpoint
    name: str
    ttl: float
    """Seconds until a login expires."""
    random: Callable[[int], bytes] = secrets.token_bytes
    background: Background = field(default_factory=Background)
    sleep: Sleep = asyncio.sleep
    store_seconds: float = 3.0
    """Seconds that a caller waits for the store to record its claim, and then the outcome."""

    async def begin(
        self, return_to: str | None = None, context: LoginContext = NO_CONTEXT
    ) -> BegunLogin:
        """Start a login. `return_to` is returned when it ends; `context` says what it is for.

        Raises:
            Unavailable: the login could not be stored.
        """
        state = pkce.state(self.random)
        code_verifier = pkce.code_verifier(self.random)
        browser_secret = base64url(self.random(32))
        record = LoginRecord(return_to, context, code_verifier=code_verifier)
        await self.store.put(self._key(state, browser_secret), record.to_bytes(), self.ttl)
        return BegunLogin(
            authorization_url=self.token_endpoint.authorization_url(
                state=state, code_challenge=pkce.code_challenge(code_verifier)
            ),
            login_id=login_id(state),
            browser_secret=browser_secret,
        )

    async def finish(self, callback: Callback, browser_secret: str | None) -> FinishedLogin:
        """Finish the login that a redirect belongs to, whether it has a code or an error.

        Of any number of concurrent calls, one removes the login from the store and spends the
        code, once.

        Raises:
            LoginNotFound: this browser has no such login.
            AirtableOAuthError: the redirect has an error, or the exchange failed. The login is
                over.
            TokenEndpointBusy: too many logins are being finished. This one is unchanged.
            Unavailable: the store does not answer. If it may have removed the login, the action
                is `restart_login`.
        """
        key = self._require_key(callback, browser_secret)
        found = await self._load(key)
        record = found.record
        with await self.token_endpoint.login_slots.take():
            if not record.is_pending or not await take_login(
                self.store, key, found.version, record.return_to
            ):
                raise LoginNotFound
            try:
                tokens = await self._exchange(callback, record)
            except AirtableOAuthError as error:
                raise error.ending_login(record.return_to) from None
        return FinishedLogin(tokens, record.return_to)

    async def complete(
        self,
        callback: Callback,
        browser_secret: str | None,
        sink: TokenSink,
        owner: str | None = None,
    ) -> CompletedLogin:
        """Finish a login like `finish`, and pass its tokens to `sink`, which stores them.

        The record stays until it expires: pending, then claimed by one call, then done or failed.
        A repeated call from the same browser (the back button, a framework's double run) waits for
        the outcome and gets the same connection or error. A claimed login is completed even if the
        caller goes away. `owner` must be the owner for whom the login was begun.

        Raises:
            LoginNotFound: this browser has no such login.
            UpstreamTimeout: with the action `retry`, Airtable is slow, and the login is still being
                completed; with `restart_login`, the exchange timed out, or the call that claimed
                the login has not completed it in time.
            AirtableOAuthError: as for `finish`; or `sink` refused the tokens.
            TokenEndpointBusy: too many logins are being finished; the caller may try again.
            Unavailable: the store does not answer; the caller may try again.
        """
        key = self._require_key(callback, browser_secret)
        return_to = None
        for _ in range(1 + int(self._patience / _POLL_SECONDS)):
            found = await self._load(key)
            record, return_to = found.record, found.record.return_to
            if record.context.owner != owner:
                raise LoginNotFound
            if record.is_over:
                return _outcome(key, record)
            if record.is_pending:
                slot = await self.token_endpoint.login_slots.take()
                work = await self._start_completion(key, found, callback, sink, slot)
                if work is not None:
                    return await self._wait_for(work, key, record)
            await self.sleep(_POLL_SECONDS)
        raise UpstreamTimeout(cause=TimeoutError.__name__).ending_login(return_to)

    async def count_session(self, login: CompletedLogin) -> None:
        """Count a session of this login before the session starts.

        Raises:
            LoginNotFound: the login has started the most sessions allowed, or it is gone.
            Unavailable: the store does not answer. The session may have been counted.
        """
        async for _ in Tries(self.sleep):
            found = await self._load(login.key)
            if found.record.sessions >= _MOST_SESSIONS:
                raise LoginNotFound().ending_login(login.return_to)
            record = replace(found.record, sessions=found.record.sessions + 1)
            if await self._replace(login.key, record, version=found.version):
                return
        raise StoreUnavailable(cause="contention")

    async def discard(self, key: str) -> None:
        """Delete a completed login, so that its callback does not work again."""
        await self.store.pop(key)

    async def _start_completion(
        self, key: str, found: FoundLogin, callback: Callback, sink: TokenSink, slot: ExitStack
    ) -> "asyncio.Task[_Completion] | None":
        """Claim the login and start to complete it. Returns None if another call has claimed it.

        Both run in the background: a caller that goes away, or stops waiting for the store, must
        not leave a claim that is never completed.
        """

        async def start() -> asyncio.Task[_Completion] | None:
            with slot:
                if not await self._claim(key, found):
                    return None
                work = self._complete(key, found.record, callback, sink, slot.pop_all())
                return self.background.start(work)

        starting = self.background.start(start())
        return await wait(starting, self.store_seconds, otherwise=StoreUnavailable())

    async def _claim(self, key: str, found: FoundLogin) -> bool:
        """Mark the login as claimed by this call. Returns whether this call got the claim.

        The store's reply may be lost after the claim was stored, so each claim has an id by which
        its call recognises it.
        """
        claim = base64url(self.random(16))
        claimed = replace(found.record, claim=claim)

        async def again() -> bool:
            async for _ in Tries(self.sleep):
                current = await self._load(key)
                if current.record.claim == claim:
                    return True
                if not current.record.is_pending:
                    return False
                if await self._replace(key, claimed, version=current.version):
                    return True
            raise StoreUnavailable(cause="contention")

        try:
            return await self._replace(key, claimed, version=found.version)
        except Unavailable:
            return await until_stored(again, self.sleep)

    async def _wait_for(
        self, work: "asyncio.Task[_Completion]", key: str, record: LoginRecord
    ) -> CompletedLogin:
        await asyncio.wait({work}, timeout=self._patience)
        if not work.done():
            await self.store.get(key)  # raises if the store is slow, rather than Airtable
            raise _still_completing(record)
        login, after = work.result()
        await asyncio.shield(after)
        return login

    async def _complete(
        self, key: str, record: LoginRecord, callback: Callback, sink: TokenSink, slot: ExitStack
    ) -> "_Completion":
        try:
            with slot:
                tokens = await self._exchange(callback, record)
            stored = await sink(tokens, record.context)
        except Exception as error:
            known = error if isinstance(error, AirtableOAuthError) else ServerError()
            ended = known.ending_login(record.return_to)
            await self._conclude(key, record.failed(ended))
            raise
        await self._conclude(key, record.done(stored.connection_id))
        after = self.background.start(stored.afterwards())
        return _Completion(CompletedLogin(stored.connection_id, record.return_to, key), after)

    async def _conclude(self, key: str, ended: LoginRecord) -> None:
        """Store the outcome for the calls that wait. A discarded login is not stored again."""

        async def store() -> None:
            async for _ in Tries(self.sleep):
                entry = await self.store.get(key)
                if entry is None or await self._replace(key, ended, version=entry.version):
                    return
            raise StoreUnavailable(cause="contention")

        await until_stored(store, self.sleep)

    async def _load(self, key: str) -> FoundLogin:
        entry = await self.store.get(key)
        if entry is None:
            raise LoginNotFound
        return FoundLogin(LoginRecord.from_bytes(entry.value), entry.version)

    async def _replace(self, key: str, record: LoginRecord, *, version: bytes) -> bool:
        """Replace a record if it still has this version. Its time to live stays the same."""
        return await self.store.replace(key, record.to_bytes(), None, version=version)

    async def _exchange(self, callback: Callback, record: LoginRecord) -> TokenSet:
        return await self.token_endpoint.exchange(
            code=authorization_code(callback), code_verifier=record.code_verifier or ""
        )

    def _require_key(self, callback: Callback, browser_secret: str | None) -> str:
        if browser_secret is None:
            raise LoginNotFound
        return self._key(callback.state, browser_secret)

    def _key(self, state: str, browser_secret: str) -> str:
        return storage_key(self.name, "login", state, browser_secret)

    @property
    def _patience(self) -> float:
        """Seconds to wait for an outcome: the exchange, a `whoami` request, and the store."""
        return 2 * self.token_endpoint.deadline + self.store_seconds


class _Completion(NamedTuple):
    """A completed login, and the task that runs `StoredTokens.afterwards`."""

    login: CompletedLogin
    after: asyncio.Task[None]


def _outcome(key: str, record: LoginRecord) -> CompletedLogin:
    """Return or raise what the login ended with: a connection or an error."""
    if record.connection_id is None:
        raise record.error()
    return CompletedLogin(record.connection_id, record.return_to, key)


def _still_completing(record: LoginRecord) -> UpstreamTimeout:
    """Airtable is slow, and the login continues: the same request may find it done later."""
    error = UpstreamTimeout(
        "Airtable is slow. The login is still being completed; try again in a moment."
    )
    error.return_to = record.return_to
    return error


def login_id(state: str) -> str:
    """Return the public id of a login, which names its cookie: 22 characters of a hash."""
    return digest("login id", state)[:22]
