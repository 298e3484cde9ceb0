"""Who and what the simulator knows: users, integrations, grants and their tokens."""

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

CODE_SECONDS = 600
ACCESS_TOKEN_SECONDS = 3600
REFRESH_TOKEN_SECONDS = 60 * 24 * 3600
REFRESHES_A_SECOND = 10
"""With one refresh token; more may end the grant, and here they do."""
GRACE_SECONDS = 10
"""How long a refresh token that was just used answers 409 and not yet `invalid_grant`."""

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
    """Somebody with an Airtable account."""

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
class Grant:
    """What one user lets one integration do."""

    client_id: str
    user: User
    scopes: tuple[str, ...]
    base_ids: frozenset[str]
    revoked: bool = False


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
    codes: dict[str, Code] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)

    def issue_code(self, request: AuthorizationRequest, grant: Grant) -> str:
        """A code for a grant: ten minutes, one attempt."""
        code = secrets.token_urlsafe(32)
        self.codes[code] = Code(request, grant, self.clock() + CODE_SECONDS)
        return code

    def issue_tokens(self, grant: Grant, scopes: tuple[str, ...]) -> dict[str, str | int]:
        """A new pair, as the token endpoint answers it."""
        now = self.clock()
        access_token = f"oaa{secrets.token_urlsafe(48)}.v1"
        refresh_token = f"oar{secrets.token_urlsafe(48)}.v1"
        self.access_tokens[access_token] = AccessToken(grant, scopes, now + ACCESS_TOKEN_SECONDS)
        self.refresh_tokens[refresh_token] = RefreshToken(
            grant, access_token, now + REFRESH_TOKEN_SECONDS
        )
        return {
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_type": "Bearer",
            "scope": " ".join(scopes),
            "expires_in": ACCESS_TOKEN_SECONDS,
            "refresh_expires_in": REFRESH_TOKEN_SECONDS,
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
        if (
            access_token is None
            or access_token.grant.revoked
            or access_token.expires_at <= self.clock()
        ):
            return None
        return access_token

    def asks_too_often(self, token: RefreshToken) -> bool:
        """Note an attempt; whether there were too many within a second."""
        token.attempts.append(self.clock())
        full = len(token.attempts) > REFRESHES_A_SECOND
        return full and token.attempts[-1] - token.attempts[0] < 1

    def revoke(self, grant: Grant) -> None:
        """End a grant: its tokens are dead."""
        grant.revoked = True

    def revoke_all(self) -> None:
        """End every grant."""
        for token in self.refresh_tokens.values():
            self.revoke(token.grant)
