"""The simulator's data: users, integrations, grants and their tokens."""

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from airtable_oauth.simulator.bounded import Bounded

MOST_TOKENS = 50_000
"""How many codes, access tokens and refresh tokens the simulator remembers, each."""

REFRESHES_A_SECOND = 10
"""The limit per refresh token. Above it, Airtable may end the grant, and the simulator does."""

SCOPES = {
    "data.records:read": "See the data in records",
    "data.records:write": "Create, edit, and delete records",
    "data.recordComments:read": "See comments in records",
    "data.recordComments:write": "Create, edit, and delete record comments",
    "schema.bases:read": "See the structure of a base, like table names or field types",
    "schema.bases:write": "Edit the structure of a base, like adding new fields or tables",
    "workspacesAndBases:read": "See workspaces, bases and their collaborators",
    "webhook:manage": "View, create and delete webhooks, and fetch their payloads",
    "block:manage": "Create new releases of custom extensions",
    "user.email:read": "See your email address",
}
"""Common scopes, in the words of Airtable's consent page. Others are shown by name."""


class Clock:
    """The time in seconds since 1970. Tests can move it forward."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._offset = 0.0

    def __call__(self) -> float:
        """The simulated time, in seconds since 1970."""
        return self._now() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._offset += seconds


@dataclass(frozen=True)
class Integration:
    """An OAuth integration as registered on Airtable's page."""

    client_id: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    """The enabled scopes."""
    client_secret: str = ""
    """Empty for a public client, which must not authenticate."""
    name: str = "Demo integration"


@dataclass(frozen=True)
class User:
    """A person with an Airtable account."""

    id: str
    email: str
    name: str


@dataclass(frozen=True)
class AuthorizationRequest:
    """A valid authorization request, waiting for the user's consent."""

    integration: Integration
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    code_challenge: str


@dataclass
class Lifetimes:
    """Lifetimes of codes and tokens, in seconds."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    code: Annotated[int, Field(ge=0)] = 600
    access_token: Annotated[int, Field(ge=0)] = 3600
    refresh_token: Annotated[int, Field(ge=0)] = 60 * 24 * 3600
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """How long after its use a refresh token gets 409. Afterwards it gets `invalid_grant`."""


@dataclass
class Grant:
    """A user's permission for an integration."""

    client_id: str
    user: User
    scopes: tuple[str, ...]
    base_ids: frozenset[str]
    revoked: bool = False
    code: str = ""
    """The authorization code that began this grant."""


@dataclass(frozen=True)
class Code:
    """An authorization code."""

    request: AuthorizationRequest
    grant: Grant
    expires_at: float


@dataclass(frozen=True)
class AccessToken:
    """An access token."""

    grant: Grant
    scopes: tuple[str, ...]
    expires_at: float


@dataclass
class RefreshToken:
    """A refresh token. It works once."""

    grant: Grant
    access_token: str
    expires_at: float
    used_at: float | None = None
    attempts: deque[float] = field(default_factory=lambda: deque(maxlen=REFRESHES_A_SECOND + 1))


@dataclass
class Vault:
    """The codes and tokens that the simulator has issued."""

    clock: Clock
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    codes: Bounded[Code] = field(init=False)
    access_tokens: Bounded[AccessToken] = field(init=False)
    refresh_tokens: Bounded[RefreshToken] = field(init=False)

    def __post_init__(self) -> None:
        """Create the bounded dicts. When full, they first drop what no longer works."""
        self.codes = Bounded(MOST_TOKENS, lambda code: code.expires_at <= self.clock())
        self.access_tokens = Bounded(MOST_TOKENS, lambda token: not self._works(token))
        self.refresh_tokens = Bounded(MOST_TOKENS, lambda token: not self._matters(token))

    def issue_code(self, request: AuthorizationRequest, grant: Grant) -> str:
        """Issue a code for a grant. It works once, by default for ten minutes."""
        code = grant.code = secrets.token_urlsafe(32)
        self.codes[code] = Code(request, grant, self.clock() + self.lifetimes.code)
        return code

    def issue_tokens(self, grant: Grant, scopes: tuple[str, ...]) -> dict[str, str | int]:
        """Issue a pair of tokens. Returns the body of the token endpoint's answer."""
        now, lifetimes = self.clock(), self.lifetimes
        access_token = f"oaa{secrets.token_urlsafe(48)}.v1"
        refresh_token = f"oar{secrets.token_urlsafe(48)}.v1"
        self.access_tokens[access_token] = AccessToken(grant, scopes, now + lifetimes.access_token)
        self.refresh_tokens[refresh_token] = RefreshToken(
            grant, access_token, now + lifetimes.refresh_token
        )
        return {
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_type": "Bearer",
            "scope": " ".join(scopes),
            "expires_in": lifetimes.access_token,
            "refresh_expires_in": lifetimes.refresh_token,
        }

    def rotate(self, used: RefreshToken, scopes: tuple[str, ...] | None) -> dict[str, str | int]:
        """Issue a new pair for a refresh token and end the old pair."""
        used.used_at = self.clock()
        old = self.access_tokens.pop(used.access_token, None)
        granted = used.grant.scopes if old is None else old.scopes
        return self.issue_tokens(used.grant, scopes or granted)

    def live_access_token(self, token: str) -> AccessToken | None:
        """The access token, or None if it is unknown, expired or revoked."""
        access_token = self.access_tokens.get(token)
        return access_token if access_token is not None and self._works(access_token) else None

    def can_refresh(self, token: RefreshToken) -> bool:
        """Whether a refresh with this token would succeed."""
        return self._matters(token) and token.used_at is None

    def asks_too_often(self, token: RefreshToken) -> bool:
        """Record an attempt to refresh. Returns whether there were too many within a second."""
        token.attempts.append(self.clock())
        full = len(token.attempts) > REFRESHES_A_SECOND
        return full and token.attempts[-1] - token.attempts[0] < 1

    def expire(self, code: str) -> None:
        """End the access tokens of the grant with this authorization code."""
        for token, issued in list(self.access_tokens.items()):
            if issued.grant.code == code:
                del self.access_tokens[token]

    def expire_all(self) -> None:
        """End every access token; the refresh tokens still work."""
        self.access_tokens.clear()

    def tokens_of(self, code: str) -> list[str]:
        """The refresh tokens of the grant with this authorization code, oldest first."""
        return [token for token, issued in self.refresh_tokens.items() if issued.grant.code == code]

    def revoke(self, grant: Grant) -> None:
        """Revoke a grant. Its tokens stop working."""
        grant.revoked = True

    def revoke_all(self) -> None:
        """Revoke every grant."""
        grants = [token.grant for token in self.refresh_tokens.values()]
        grants += [token.grant for token in self.access_tokens.values()]
        for grant in grants:
            self.revoke(grant)

    def _works(self, token: AccessToken) -> bool:
        return not token.grant.revoked and token.expires_at > self.clock()

    def _matters(self, token: RefreshToken) -> bool:
        """Whether the token works, or was used so recently that the answer is 409."""
        now = self.clock()
        in_grace = token.used_at is None or now < token.used_at + self.lifetimes.grace
        return in_grace and not token.grant.revoked and token.expires_at > now
