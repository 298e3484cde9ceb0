"""Airtable's authorization server, with the rules and most errors of its reference."""

import base64
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape
from pydantic import ConfigDict
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from airtable_oauth.oauth import pkce
from airtable_oauth.simulator.bounded import Bounded, bounded
from airtable_oauth.simulator.model import (
    SCOPES,
    AuthorizationRequest,
    Code,
    Grant,
    Integration,
    RefreshToken,
    User,
    Vault,
)
from airtable_oauth.simulator.sample import Base

_STATE = re.compile(r"[A-Za-z0-9._-]{16,1024}")
_CODE_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_CODE_VERIFIER = re.compile(r"[A-Za-z0-9._-]{43,128}")
_MOST_CONSENTS = 10_000
"""How many consent pages can wait for an answer."""
_FORM = "application/x-www-form-urlencoded"

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=select_autoescape()
)

Parameters = Mapping[str, str]


class TokenError(Exception):
    """An error answer of the token endpoint."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


class _AuthorizationFailure(Exception):
    """An error that Airtable sends to the redirect URI."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class _BrokenRequest(Exception):
    """An error that Airtable shows on its own page, because it cannot trust the redirect URI."""


@dataclass(frozen=True)
class Refusal:
    """The error that every valid authorization request gets, if one is set."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    error: str = "access_denied"
    error_description: str = "Your enterprise does not allow this integration."


@dataclass
class AuthorizationServer:
    """`/oauth2/v1/authorize` with its consent page, and `/oauth2/v1/token`."""

    integrations: Mapping[str, Integration]
    vault: Vault
    users: Sequence[User]
    """The users that may be signed in. If there are several, the consent page asks for one."""
    bases: Iterable[Base]
    consents: Bounded[AuthorizationRequest] = field(default_factory=bounded(_MOST_CONSENTS))
    refusal: Refusal | None = None

    def routes(self) -> list[Route]:
        """The routes for a Starlette app."""
        return [
            Route("/oauth2/v1/authorize", self._authorize, methods=["GET"]),
            Route("/oauth2/v1/authorize", self._decide, methods=["POST"]),
            Route("/oauth2/v1/token", self._token, methods=["POST"]),
        ]

    async def _authorize(self, request: Request) -> Response:
        parameters = request.query_params.multi_items()
        try:
            integration, redirect_uri = self._who_asks(parameters)
        except _BrokenRequest as error:
            return _page("error.html", 400, message=str(error))
        try:
            wanted = _authorization_request(integration, redirect_uri, parameters)
        except _AuthorizationFailure as error:
            state = dict(parameters).get("state")
            return _redirect(redirect_uri, state, error=error.error, error_description=str(error))
        if self.refusal is not None:
            return _redirect(redirect_uri, wanted.state, **asdict(self.refusal))
        consent = secrets.token_urlsafe(16)
        self.consents[consent] = wanted
        return _page(
            "consent.html",
            consent=consent,
            integration=integration,
            users=self.users,
            scopes=[SCOPES.get(scope, scope) for scope in wanted.scopes],
            bases=self.bases,
        )

    async def _decide(self, request: Request) -> Response:
        fields = parse_qsl((await request.body()).decode("utf-8", "replace"))
        wanted = self.consents.pop(dict(fields).get("consent", ""), None)
        if wanted is None:
            return _page("used.html", 400)
        if dict(fields).get("decision") != "grant":
            return _redirect(
                wanted.redirect_uri,
                wanted.state,
                error="access_denied",
                error_description="The user denied the request.",
            )
        chosen = frozenset(value for name, value in fields if name == "base")
        user = self._signed_in(dict(fields).get("user"))
        grant = Grant(wanted.integration.client_id, user, wanted.scopes, chosen)
        code = self.vault.issue_code(wanted, grant)
        return _redirect(wanted.redirect_uri, wanted.state, code=code)

    def new_grant(self, client_id: str, scopes: tuple[str, ...], user: int = 0) -> Grant:
        """Make a grant for all bases without the consent page. `user` is an index of `users`."""
        bases = frozenset(base.id for base in self.bases)
        return Grant(client_id, self.users[user], scopes, bases)

    def _signed_in(self, user_id: str | None) -> User:
        return next((user for user in self.users if user.id == user_id), self.users[0])

    def _who_asks(self, parameters: list[tuple[str, str]]) -> tuple[Integration, str]:
        client_ids = [value for name, value in parameters if name == "client_id"]
        integration = self.integrations.get(client_ids[0]) if len(client_ids) == 1 else None
        if integration is None:
            raise _BrokenRequest("The client_id is unknown.")
        redirect_uris = [value for name, value in parameters if name == "redirect_uri"]
        if len(redirect_uris) != 1 or redirect_uris[0] not in integration.redirect_uris:
            raise _BrokenRequest("The redirect_uri is not registered for this integration.")
        return integration, redirect_uris[0]

    async def _token(self, request: Request) -> Response:
        try:
            form = _form(request.headers.get("content-type", ""), await request.body())
            return JSONResponse(self._issue(request.headers.get("authorization"), form))
        except TokenError as error:
            body = {"error": error.error, "error_description": error.description}
            return JSONResponse(body, error.status)

    def _issue(self, authorization: str | None, form: Parameters) -> dict[str, str | int]:
        # The first attempt uses up a code, even if it fails.
        code = self.vault.codes.pop(form.get("code", ""), None)
        integration = self._authenticated(authorization, form)
        grant_type = _required(form, "grant_type")
        if grant_type == "authorization_code":
            return self._exchange(integration, form, code)
        if grant_type == "refresh_token":
            token = self._usable(integration, _required(form, "refresh_token"))
            return self.vault.rotate(token, _subset(form.get("scope"), token.grant.scopes))
        raise TokenError("unsupported_grant_type", "The grant_type is not supported.")

    def _exchange(
        self, integration: Integration, form: Parameters, code: Code | None
    ) -> dict[str, str | int]:
        _required(form, "code")
        redirect_uri = _required(form, "redirect_uri")
        code_verifier = _required(form, "code_verifier")
        if not _CODE_VERIFIER.fullmatch(code_verifier):
            raise TokenError("invalid_request", "The code_verifier is malformed.")
        if (
            code is None
            or code.expires_at <= self.vault.clock()
            or code.request.integration != integration
            or code.request.redirect_uri != redirect_uri
            or code.request.code_challenge != pkce.code_challenge(code_verifier)
        ):
            raise TokenError("invalid_grant", "The code is not valid.")
        return self.vault.issue_tokens(code.grant, code.grant.scopes)

    def _usable(self, integration: Integration, refresh_token: str) -> RefreshToken:
        now = self.vault.clock()
        token = self.vault.refresh_tokens.get(refresh_token)
        if token is not None and self.vault.asks_too_often(token):
            self.vault.revoke(token.grant)
        if token is None or token.grant.revoked or token.grant.client_id != integration.client_id:
            raise TokenError("invalid_grant", "The refresh token is not valid.")
        if token.used_at is not None and now < token.used_at + self.vault.lifetimes.grace:
            raise TokenError("invalid_request", "The token was refreshed a moment ago.", 409)
        if token.used_at is not None or token.expires_at <= now:
            raise TokenError("invalid_grant", "The refresh token is not valid.")
        return token

    def _authenticated(self, authorization: str | None, form: Parameters) -> Integration:
        if authorization is None:
            client_id, secret = _required(form, "client_id"), ""
        else:
            client_id, secret = _basic(authorization)
        integration = self.integrations.get(client_id)
        known = integration is not None and secrets.compare_digest(
            integration.client_secret.encode(), secret.encode()
        )
        must_authenticate = integration is not None and integration.client_secret != ""
        if integration is None or not known or must_authenticate != (authorization is not None):
            raise TokenError("invalid_client", "The client could not be authenticated.", 401)
        if form.get("client_id", client_id) != client_id:
            raise TokenError("invalid_request", "client_id must be the authenticated client.")
        return integration


def _authorization_request(
    integration: Integration, redirect_uri: str, parameters: list[tuple[str, str]]
) -> AuthorizationRequest:
    values = dict(parameters)
    if len(values) != len(parameters):
        raise _AuthorizationFailure("invalid_request", "A parameter is repeated.")
    if "response_type" not in values:
        raise _AuthorizationFailure("invalid_request", "response_type is missing.")
    if values["response_type"] != "code":
        raise _AuthorizationFailure("unsupported_response_type", "response_type must be code.")
    if not _STATE.fullmatch(values.get("state", "")):
        raise _AuthorizationFailure("invalid_request", "state is missing or malformed.")
    if values.get("code_challenge_method") != "S256":
        raise _AuthorizationFailure("invalid_request", "code_challenge_method must be S256.")
    if not _CODE_CHALLENGE.fullmatch(values.get("code_challenge", "")):
        raise _AuthorizationFailure("invalid_request", "code_challenge is missing or malformed.")
    scopes = tuple(values.get("scope", "").split(" "))
    if len(set(scopes)) != len(scopes) or not set(scopes) <= set(integration.scopes):
        raise _AuthorizationFailure("invalid_scope", "scope is missing, repeated or not enabled.")
    return AuthorizationRequest(
        integration, redirect_uri, scopes, values["state"], values["code_challenge"]
    )


def _form(content_type: str, body: bytes) -> Parameters:
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise TokenError("invalid_request", f"Content-Type must be {_FORM}.")
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    if len(dict(fields)) != len(fields):
        raise TokenError("invalid_request", "A parameter is repeated.")
    return dict(fields)


def _required(form: Parameters, name: str) -> str:
    if not form.get(name):
        raise TokenError("invalid_request", f"{name} is missing.")
    return form[name]


def _basic(authorization: str) -> tuple[str, str]:
    """Client ID and secret, from base64 (as in Airtable's example) or base64url."""
    scheme, _, credentials = authorization.partition(" ")
    encoded = credentials.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        client_id, separator, secret = decoded.decode().partition(":")
    except ValueError:
        separator = ""
    if scheme.lower() != "basic" or not separator:
        raise TokenError("invalid_client", "The Authorization header is malformed.", 401)
    return client_id, secret


def _subset(scope: str | None, granted: tuple[str, ...]) -> tuple[str, ...] | None:
    if scope is None:
        return None
    scopes = tuple(scope.split(" "))
    if not set(scopes) <= set(granted):
        raise TokenError("invalid_request", "scope exceeds the granted scopes.")
    return scopes


def _redirect(redirect_uri: str, state: str | None, **parameters: str) -> Response:
    if state is not None:
        parameters["state"] = state
    separator = "&" if "?" in redirect_uri else "?"
    return RedirectResponse(f"{redirect_uri}{separator}{urlencode(parameters)}", 302)


def _page(template: str, status: int = 200, **values: object) -> Response:
    html = templates.get_template(template).render(**values)
    return HTMLResponse(
        html, status, headers={"Cache-Control": "no-store", "X-Frame-Options": "DENY"}
    )
