"""OAuth 2.0 as Airtable speaks it, without I/O: what to send, and what an answer means."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NoReturn
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
_Opaque = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]
_Seconds = Annotated[int, Field(gt=0, le=_YEAR)]


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
class Client:
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
    status: int, body: bytes, *, grant_type: str, requested_scope: str
) -> TokenSet:
    """Judge an answer of the token endpoint to a request with this `grant_type`.

    An absent `scope` means as requested (RFC 6749, section 5.1).

    Raises:
        InvalidGrant, ClientRefused, TokenRequestRefused: the endpoint says so (section 5.2).
        RefreshConflict: 409 to a refresh, which only Airtable has.
        UpstreamError: anything that is neither tokens nor such an error.
    """
    if status != 200:  # noqa: PLR2004 (the only status that brings tokens)
        _raise_token_error(status, body, grant_type)
    try:
        answer = _TokenAnswer.model_validate_json(body)
    except ValidationError:
        raise UpstreamError from None  # the cause quotes the body
    return TokenSet(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token,
        scope=requested_scope if answer.scope is None else answer.scope.strip(),
        expires_in=answer.expires_in,
        refresh_expires_in=answer.refresh_expires_in,
    )


def _raise_token_error(status: int, body: bytes, grant_type: str) -> NoReturn:
    if status == 409 and grant_type == "refresh_token":  # noqa: PLR2004
        raise RefreshConflict
    if status not in (400, 401):
        raise UpstreamError
    try:
        error = _ErrorAnswer.model_validate_json(body).error
    except ValidationError:
        raise UpstreamError from None
    if error == "invalid_grant":
        raise InvalidGrant
    if error == "invalid_request":
        raise TokenRequestRefused
    if error in _CLIENT_ERRORS:
        raise ClientRefused(error)
    raise UpstreamError


class _TokenAnswer(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    access_token: _Opaque
    refresh_token: _Opaque
    token_type: Annotated[str, Field(pattern=r"^(?i:bearer) ?$")]
    scope: Annotated[str, Field(pattern=r"^[\x20-\x7e]*$")] | None = None
    expires_in: _Seconds
    refresh_expires_in: _Seconds | None = None


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
