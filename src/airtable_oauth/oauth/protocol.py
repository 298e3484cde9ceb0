"""OAuth 2.0 with Airtable: builds requests and parses responses. Pure: it performs no I/O."""

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
"""Assumed life of an access token, in seconds, if `expires_in` is missing or invalid."""
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


@dataclass(frozen=True, slots=True)
class TokenSet:
    """A successful response of the token endpoint (RFC 6749, section 5.1)."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    scope: str
    """The granted scopes, space-delimited."""
    expires_in: int
    """Life of the access token in seconds."""
    refresh_expires_in: int | None
    """Life of the refresh token in seconds, if the server states it. Airtable: 60 days."""
    token_type: str = "Bearer"  # noqa: S105 (RFC 6750)


@dataclass(frozen=True, slots=True)
class Callback:
    """The parameters of Airtable's redirect (RFC 6749, sections 4.1.2 and 4.1.2.1)."""

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

        Append `&state=…&code_challenge=…`, which differ between logins.
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
        """The headers of a token request, with `Basic` if there is a secret (RFC 6749, 2.3.1).

        They ask for no compression: responses are small, and a compressed one could be a bomb.
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
    """Encode a form as `application/x-www-form-urlencoded`."""
    return urlencode(form).encode("ascii")


def authorization_code(callback: Callback) -> str:
    """Return the code of a redirect.

    Raises:
        AuthorizationError: The redirect has an error, known or unknown; or it has both a code and
            an error, or neither, which no authorization server sends.
    """
    if (callback.code is None) == (callback.error is None):
        raise AuthorizationError("invalid_request", *_NOT_CODE_OR_ERROR)
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
    """Parse the token endpoint's response to a request with this `grant_type`.

    The code or refresh token is spent now, so new tokens are refused only if unusable.
    Unusable optional fields count as absent. Without `scope`, the requested scope was granted (RFC
    6749, section 5.1). Without `refresh_token` in the response to a refresh, `sent_refresh_token`
    stays valid (section 6).

    Raises:
        InvalidGrant, ClientRefused, TokenRequestRefused: The error that the endpoint returned
            (section 5.2).
        RefreshConflict: 409 to a refresh, which only Airtable returns.
        UpstreamError: The response contains neither usable tokens nor such an error.
    """
    if not 200 <= status < 300:  # noqa: PLR2004
        _raise_token_error(status, body, grant_type)
    try:
        answer = _TokenAnswer.model_validate_json(body)
    except ValidationError:  # its message quotes the body
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
    raise UpstreamError(cause=cause)  # an unlisted code could mean anything


def _expires_in(value: Any) -> int:
    seconds = _seconds(value)
    return _SHORT_LIFE if seconds is None or seconds > _YEAR else seconds


def _refresh_expires_in(value: Any) -> int | None:
    seconds = _seconds(value)
    return None if seconds is None else min(seconds, _YEAR)


def _seconds(value: Any) -> int | None:
    """Parse a number, or its text, as whole seconds; None if it is invalid or less than one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (OverflowError, ValueError):
        return None
    return int(seconds) if math.isfinite(seconds) and seconds >= 1 else None


def _scope(value: Any) -> str | None:
    """Return the valid scope tokens, separated by one space; None if the value is not text."""
    if not isinstance(value, str):
        return None
    return " ".join(token for token in value.split() if _SCOPE_TOKEN.fullmatch(token))


def _refresh_token(value: Any) -> str | None:
    """Accept any text, because any text can be sent as a form field."""
    return value if isinstance(value, str) and value else None


def _token_type(value: Any) -> str | None:
    return value.strip().lower() if isinstance(value, str) else None


class _TokenAnswer(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    access_token: Annotated[
        str, StringConstraints(strip_whitespace=True, pattern=r"^[\x21-\x7e]+$")
    ]
    """It is sent in a header, so it must be printable ASCII."""
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
            "Access wasn't granted. The user declined, an admin doesn't allow this app, or the "
            "integration lacks its terms, privacy or support information."
        ),
    ),
    "invalid_request": (
        Action.RESTART_LOGIN,
        "Airtable rejected the authorization request as malformed.",
    ),
    "invalid_scope": (
        Action.FIX_CONFIG,
        "The service requested a scope that isn't enabled for the integration in Airtable.",
    ),
    "unsupported_response_type": (
        Action.FIX_CONFIG,
        "Airtable doesn't offer the authorization code flow to this integration.",
    ),
    "server_error": (Action.RESTART_LOGIN, "Airtable had an unexpected error. Try again."),
    "temporarily_unavailable": (
        Action.RESTART_LOGIN,
        "Airtable is overloaded or under maintenance. Try again later.",
    ),
}
_NOT_CODE_OR_ERROR = (
    Action.RESTART_LOGIN,
    "The redirect must have either a code or an error.",
)
_UNKNOWN_AUTHORIZATION_ERROR = (Action.RESTART_LOGIN, "Airtable didn't grant access.")
