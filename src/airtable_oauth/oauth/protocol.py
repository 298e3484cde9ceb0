"""OAuth 2.0 as Airtable speaks it, without I/O: what to send, and what an answer means."""

import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NoReturn
from urllib.parse import quote, urlencode

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)

from airtable_oauth.errors import (
    Action,
    AuthorizationError,
    ClientRefused,
    InvalidGrant,
    RefreshConflict,
    TokenRequestRefused,
    UpstreamError,
)

AUTHORIZE_PATH = "/oauth2/v1/authorize"
TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 (a path)

_YEAR = 365 * 24 * 3600
_SHORT_LIFE = 300
"""Life in seconds of an access token whose `expires_in` cannot be used."""
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A successful answer of the token endpoint (RFC 6749, section 5.1)."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scope: str
    """What was granted, space-delimited."""
    expires_in: int
    """Life of the access token in seconds."""
    refresh_expires_in: int | None
    """Life of the refresh token in seconds, if the server says it. Airtable: 60 days."""
    token_type: str = "Bearer"  # noqa: S105 (RFC 6750)


@dataclass(frozen=True, slots=True)
class Callback:
    """What Airtable's redirect brought back (RFC 6749, sections 4.1.2 and 4.1.2.1)."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The integration as registered with Airtable."""

    client_id: str
    client_secret: str = field(repr=False)
    """Empty for a public client."""
    redirect_uri: str
    scopes: Sequence[str]

    def authorization_url(self, airtable_url: str) -> str:
        """The URL of the authorization request (RFC 6749, section 4.1.1; RFC 7636, section 4.3).

        `&state=…&code_challenge=…` belong behind it: the part that differs between logins.
        """
        query = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": " ".join(self.scopes),
            "code_challenge_method": "S256",
        }
        return f"{airtable_url}{AUTHORIZE_PATH}?{urlencode(query, quote_via=quote)}"

    def exchange_form(self, *, code: str, code_verifier: str) -> dict[str, str]:
        """The body of an access token request (RFC 6749, section 4.1.3; RFC 7636, section 4.5)."""
        return {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": code_verifier,
            "client_id": self.client_id,
        }

    def refresh_form(self, *, refresh_token: str) -> dict[str, str]:
        """The body of a refresh request (RFC 6749, section 6)."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return form if self.client_secret else form | {"client_id": self.client_id}

    def token_headers(self) -> dict[str, str]:
        """Headers of a token request: `Basic` with a secret (RFC 6749, section 2.3.1), else none.

        An answer has no reason to be compressed, and one that is could be a bomb: none is asked
        for.
        """
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self.client_secret:
            credentials = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
        return headers


def form_body(form: Mapping[str, str]) -> bytes:
    """A form as `application/x-www-form-urlencoded` bytes."""
    return urlencode(form).encode("ascii")


def authorization_code(callback: Callback) -> str:
    """The code that a redirect carries.

    Raises:
        AuthorizationError: it carries an error instead, known or not; or both, or neither, which
            no authorization server sends.
    """
    if (callback.code is None) == (callback.error is None):
        raise AuthorizationError("invalid_request", *_NEITHER_NOR_BOTH)
    if callback.code is None:
        raise _authorization_error(callback.error)
    return callback.code


def _authorization_error(error: str | None) -> AuthorizationError:
    if error is None or error not in _AUTHORIZATION_ERRORS:
        return AuthorizationError("invalid_request", *_UNKNOWN_AUTHORIZATION_ERROR)
    return AuthorizationError(error, *_AUTHORIZATION_ERRORS[error])


def parse_token_response(
    status: int,
    body: bytes,
    *,
    grant_type: str,
    requested_scope: str,
    sent_refresh_token: str | None = None,
) -> TokenSet:
    """Parse the answer of the token endpoint to a request with this `grant_type`.

    The tokens were paid for with a code or refresh token that is spent now, so only tokens that
    cannot be used are refused. Optional fields that cannot be used count as absent. An absent
    `scope` means as requested (RFC 6749, section 5.1); an absent `refresh_token` in the answer to a
    refresh means that `sent_refresh_token` stays valid (section 6).

    Raises:
        InvalidGrant, ClientRefused, TokenRequestRefused: the endpoint says so (section 5.2).
        RefreshConflict: 409 to a refresh, which only Airtable has.
        UpstreamError: the answer holds neither usable tokens nor such an error.
    """
    if not 200 <= status < 300:  # noqa: PLR2004 (the statuses of success)
        _raise_token_error(status, body, grant_type)
    try:
        answer = _TokenAnswer.model_validate_json(body)
    except ValidationError:  # it quotes the body
        raise UpstreamError(cause=f"HTTP {status} without tokens") from None
    refresh_token = answer.refresh_token or sent_refresh_token
    if refresh_token is None:
        raise UpstreamError(cause=f"HTTP {status} without tokens")
    return TokenSet(
        access_token=answer.access_token,
        refresh_token=refresh_token,
        scope=requested_scope if answer.scope is None else answer.scope,
        expires_in=answer.expires_in,
        refresh_expires_in=answer.refresh_expires_in,
    )


def _raise_token_error(status: int, body: bytes, grant_type: str) -> NoReturn:
    cause = f"HTTP {status}"
    if status == 409 and grant_type == "refresh_token":  # noqa: PLR2004
        raise RefreshConflict(cause=cause)
    if status not in (400, 401):
        raise UpstreamError(cause=cause)
    try:
        error = _ErrorAnswer.model_validate_json(body).error
    except ValidationError:
        raise UpstreamError(cause=cause) from None
    if error == "invalid_grant":
        raise InvalidGrant(cause=f"{cause} {error}")
    if error == "invalid_request":
        raise TokenRequestRefused(cause=f"{cause} {error}")
    if error in _CLIENT_ERRORS:
        raise ClientRefused(error, cause=f"{cause} {error}")
    raise UpstreamError(cause=cause)  # a code that no source lists could be anything


def _expires_in(value: Any) -> int:
    seconds = _seconds(value)
    return _SHORT_LIFE if seconds is None or seconds > _YEAR else seconds


def _refresh_expires_in(value: Any) -> int | None:
    seconds = _seconds(value)
    return None if seconds is None else min(seconds, _YEAR)


def _seconds(value: Any) -> int | None:
    """Whole seconds, at least one, from a number or its text; None if it is not such a number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (OverflowError, ValueError):
        return None
    return int(seconds) if math.isfinite(seconds) and seconds >= 1 else None


def _scope(value: Any) -> str | None:
    """Scope tokens, each separated by one space; None if the value is not text."""
    if not isinstance(value, str):
        return None
    return " ".join(token for token in value.split() if _SCOPE_TOKEN.fullmatch(token))


def _refresh_token(value: Any) -> str | None:
    """Any text can be sent as a form field."""
    return value if isinstance(value, str) and value else None


def _token_type(value: Any) -> str | None:
    return value.strip().lower() if isinstance(value, str) else None


class _TokenAnswer(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    access_token: Annotated[
        str, StringConstraints(strip_whitespace=True, pattern=r"^[\x21-\x7e]+$")
    ]
    """It must fit into a header."""
    refresh_token: Annotated[str | None, BeforeValidator(_refresh_token)] = None
    token_type: Annotated[Literal["bearer"] | None, BeforeValidator(_token_type)] = None
    scope: Annotated[str | None, BeforeValidator(_scope)] = None
    expires_in: Annotated[int, BeforeValidator(_expires_in)] = _SHORT_LIFE
    refresh_expires_in: Annotated[int | None, BeforeValidator(_refresh_expires_in)] = None


class _ErrorAnswer(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    error: str


_CLIENT_ERRORS = {
    "invalid_client",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
}


# RFC 6749, section 4.1.2.1, as far as Airtable's reference lists it
_AUTHORIZATION_ERRORS = {
    "access_denied": (
        Action.RESTART_LOGIN,
        (
            "Access was not granted: the person declined, an administrator does not allow it, or "
            "the integration lacks its terms, privacy or support data."
        ),
    ),
    "invalid_request": (
        Action.RESTART_LOGIN,
        "Airtable calls the authorization request malformed.",
    ),
    "invalid_scope": (
        Action.FIX_CONFIG,
        "The service asks for a scope that the integration has not enabled in Airtable.",
    ),
    "unsupported_response_type": (
        Action.FIX_CONFIG,
        "Airtable does not offer the authorization code flow to this integration.",
    ),
    "server_error": (Action.RESTART_LOGIN, "Airtable met an unexpected condition."),
    "temporarily_unavailable": (Action.RESTART_LOGIN, "Airtable is overloaded or in maintenance."),
}
_NEITHER_NOR_BOTH = (
    Action.RESTART_LOGIN,
    "A redirect carries either a code or an error, never both and never neither.",
)
_UNKNOWN_AUTHORIZATION_ERROR = (Action.RESTART_LOGIN, "Airtable did not grant access.")
