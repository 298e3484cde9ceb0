"""Who and what the simulator knows: users, integrations, grants and their tokens."""

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from airtable_oauth.simulator.bounded import Bounded

MOST_TOKENS = 50_000
"""Codes, access tokens and refresh tokens that are remembered, of each."""

REFRESHES_A_SECOND = 10
"""With one refresh token; more may end the grant, and here they do."""

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
"""Airtable's scopes, in the words of its consent page."""


class Clock:
    """Seconds since 1970, which tests can move forward."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._offset = 0.0

    def __call__(self) -> float:
        """The simulated time."""
        return self._now() + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._offset += seconds


@dataclass(frozen=True)
class Integration:
    """An OAuth integration as registered on Airtable's page."""

    client_id: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    """The scopes enabled for it."""
    client_secret: str = ""
    """Empty: a public client, which must not authenticate."""
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
    """How long things live, in seconds."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    code: Annotated[int, Field(ge=0)] = 600
    access_token: Annotated[int, Field(ge=0)] = 3600
    refresh_token: Annotated[int, Field(ge=0)] = 60 * 24 * 3600
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """How long a refresh token that was just used answers 409 and not yet `invalid_grant`."""


@dataclass
class Grant:
    """What one user lets one integration do."""

    client_id: str
    user: User
    scopes: tuple[str, ...]
    base_ids: frozenset[str]
    revoked: bool = False
    code: str = ""
    """The code that it began with."""


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
    """A refresh token, good for one use."""

    grant: Grant
    access_token: str
    expires_at: float
    used_at: float | None = None
    attempts: deque[float] = field(default_factory=lambda: deque(maxlen=REFRESHES_A_SECOND + 1))


@dataclass
class Vault:
    """Codes and tokens that were given out."""

    clock: Clock
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    codes: Bounded[Code] = field(init=False)
    access_tokens: Bounded[AccessToken] = field(init=False)
    refresh_tokens: Bounded[RefreshToken] = field(init=False)

    def __post_init__(self) -> None:
        """Remember what works, and forget what does not when there are too many."""
        self.codes = Bounded(MOST_TOKENS, lambda code: code.expires_at <= self.clock())
        self.access_tokens = Bounded(MOST_TOKENS, lambda token: not self._works(token))
        self.refresh_tokens = Bounded(MOST_TOKENS, lambda token: not self._matters(token))

    def issue_code(self, request: AuthorizationRequest, grant: Grant) -> str:
        """A code for a grant: ten minutes, one attempt."""
        code = grant.code = secrets.token_urlsafe(32)
        self.codes[code] = Code(request, grant, self.clock() + self.lifetimes.code)
        return code

    def issue_tokens(self, grant: Grant, scopes: tuple[str, ...]) -> dict[str, str | int]:
        """A new pair, as the token endpoint answers it."""
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
        """A new pair for a refresh token; the old pair is dead from now on."""
        used.used_at = self.clock()
        old = self.access_tokens.pop(used.access_token, None)
        granted = used.grant.scopes if old is None else old.scopes
        return self.issue_tokens(used.grant, scopes or granted)

    def live_access_token(self, token: str) -> AccessToken | None:
        """The access token, if it is known and has not expired."""
        access_token = self.access_tokens.get(token)
        return access_token if access_token is not None and self._works(access_token) else None

    def can_refresh(self, token: RefreshToken) -> bool:
        """Whether a refresh with this token would succeed."""
        return self._matters(token) and token.used_at is None

    def asks_too_often(self, token: RefreshToken) -> bool:
        """Note an attempt; whether there were too many within a second."""
        token.attempts.append(self.clock())
        full = len(token.attempts) > REFRESHES_A_SECOND
        return full and token.attempts[-1] - token.attempts[0] < 1

    def expire(self, code: str) -> None:
        """End the access tokens of the grant that began with this code."""
        for token, issued in list(self.access_tokens.items()):
            if issued.grant.code == code:
                del self.access_tokens[token]

    def expire_all(self) -> None:
        """End every access token; the refresh tokens still work."""
        self.access_tokens.clear()

    def tokens_of(self, code: str) -> list[str]:
        """The refresh tokens of that grant, oldest first."""
        return [token for token, issued in self.refresh_tokens.items() if issued.grant.code == code]

    def revoke(self, grant: Grant) -> None:
        """End a grant: its tokens are dead."""
        grant.revoked = True

    def revoke_all(self) -> None:
        """End every grant."""
        grants = [token.grant for token in self.refresh_tokens.values()]
        grants += [token.grant for token in self.access_tokens.values()]
        for grant in grants:
            self.revoke(grant)

    def _works(self, token: AccessToken) -> bool:
        return not token.grant.revoked and token.expires_at > self.clock()

    def _matters(self, token: RefreshToken) -> bool:
        """Whether its answer differs from that of an unknown token."""
        now = self.clock()
        in_grace = token.used_at is None or now < token.used_at + self.lifetimes.grace
        return in_grace and not token.grant.revoked and token.expires_at > now
