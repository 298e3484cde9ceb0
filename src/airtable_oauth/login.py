"""One login: begin it, finish it. It belongs to the browser that began it."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from airtable_oauth import pkce
from airtable_oauth.airtable import Airtable
from airtable_oauth.errors import AirtableOAuthError, LoginNotFound
from airtable_oauth.protocol import Callback, TokenSet, authorization_code
from airtable_oauth.stores import Store


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """What the browser gets: the URL to open, and a secret to keep in a cookie of this login."""

    authorization_url: str = field(repr=False)
    login_id: str
    browser_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FinishedLogin:
    """What a login ends with."""

    tokens: TokenSet
    return_to: str | None


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

    async def begin(self, return_to: str | None = None) -> BegunLogin:
        """Start a login; `return_to` comes back when it ends.

        Raises:
            Unavailable: it could not be stored.
        """
        state = pkce.state(self.random)
        code_verifier = pkce.code_verifier(self.random)
        browser_secret = pkce.base64url(self.random(32))
        record = _Record(code_verifier, return_to)
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
        record = await self._take(callback.state, browser_secret)
        try:
            tokens = await self.airtable.exchange(
                code=authorization_code(callback), code_verifier=record.code_verifier
            )
        except AirtableOAuthError as error:
            raise error.ending_login(record.return_to) from None
        return FinishedLogin(tokens, record.return_to)

    async def _take(self, state: str, browser_secret: str | None) -> "_Record":
        if browser_secret is None:
            raise LoginNotFound
        record = await self.store.pop(self._key(state, browser_secret))
        if record is None:
            raise LoginNotFound
        return _Record.from_bytes(record)

    def _key(self, state: str, browser_secret: str) -> str:
        return f"{self.name}:login:{_digest('login', state, browser_secret)}"


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
        return f"{self.name}:unbound:{_digest('unbound login', state)}"


@dataclass(frozen=True, slots=True)
class _Record:
    """A login as stored."""

    code_verifier: str = field(repr=False)
    return_to: str | None

    def to_bytes(self) -> bytes:
        """As it lies in the store."""
        return json.dumps([self.code_verifier, self.return_to]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "_Record":
        """From where it lay."""
        return cls(*json.loads(data))


def login_id(state: str) -> str:
    """A public name for a login, which finds its cookie: 22 characters that say nothing else."""
    return _digest("login id", state)[:22]


def _digest(*parts: str) -> str:
    """SHA-256 of parts that cannot run into each other, base64url."""
    joined = "\0".join(parts).encode("utf-8", "replace")
    return pkce.base64url(hashlib.sha256(joined).digest())
