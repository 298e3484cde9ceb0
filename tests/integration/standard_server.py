"""An OAuth 2.0 authorization server independent of Airtable: Authlib's, on Flask.

PKCE is required, clients authenticate with Basic, and refresh tokens rotate. It has neither
`refresh_expires_in` nor status 409, which only Airtable has.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    ClientMixin,
    TokenMixin,
    grants,
    list_to_scope,
    scope_to_list,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask
from werkzeug.serving import make_server

from tests.helpers import REDIRECT_URI, SCOPES


class Client(ClientMixin):
    """The one registered client."""

    client_id = "test-client"
    client_secret = "test-secret"

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return REDIRECT_URI

    def get_allowed_scope(self, scope: str) -> str:
        return str(list_to_scope([each for each in scope_to_list(scope) if each in SCOPES]))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == REDIRECT_URI

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(client_secret, self.client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return endpoint != "token" or method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


class Code(AuthorizationCodeMixin):
    """An authorization code."""

    def __init__(self, request: Any) -> None:
        self.redirect_uri = request.payload.redirect_uri
        self.scope = request.payload.scope
        self.code_challenge = request.payload.data["code_challenge"]
        self.code_challenge_method = request.payload.data["code_challenge_method"]

    def get_redirect_uri(self) -> Any:
        return self.redirect_uri

    def get_scope(self) -> Any:
        return self.scope


class Token(TokenMixin):
    """A pair of tokens."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.issued_at = time.time()

    def check_client(self, client: Client) -> bool:
        return client.client_id == "test-client"

    def get_scope(self) -> Any:
        return self.answer["scope"]

    def get_expires_in(self) -> int:
        return int(self.answer["expires_in"])

    def is_expired(self) -> bool:
        return self.issued_at + self.get_expires_in() < time.time()

    def is_revoked(self) -> bool:
        return False

    def get_user(self) -> str:
        return "user-1"

    def get_client(self) -> Client:
        return Client()


def _app() -> Flask:
    codes: dict[str, Code] = {}
    tokens: dict[str, Token] = {}

    class CodeGrant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            codes[code] = Code(request)

        def query_authorization_code(self, code: str, _client: Client) -> Code | None:
            return codes.pop(code, None)

        def delete_authorization_code(self, _code: Code) -> None:
            """Reading the code has already deleted it."""

        def authenticate_user(self, _code: Code) -> str:
            return "user-1"

    class RefreshGrant(grants.RefreshTokenGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
            return tokens.pop(refresh_token, None)

        def authenticate_user(self, _token: Token) -> str:
            return "user-1"

        def revoke_old_credential(self, _token: Token) -> None:
            """Reading the token has already deleted it."""

    app = Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    server = AuthorizationServer(
        app,
        query_client=lambda client_id: Client() if client_id == "test-client" else None,
        save_token=lambda token, _request: tokens.update({token["refresh_token"]: Token(token)}),
    )
    server.register_grant(CodeGrant, [CodeChallenge(required=True)])
    server.register_grant(RefreshGrant)

    @app.get("/oauth2/v1/authorize")
    def authorize() -> Any:
        asked = server.create_oauth2_request(None)
        grant = server.get_authorization_grant(asked)
        return server.create_authorization_response(asked, grant_user="user-1", grant=grant)

    @app.post("/oauth2/v1/token")
    def token() -> Any:
        return server.create_token_response()

    return app


@contextmanager
def standard_server() -> Iterator[str]:
    """Run the server on its own port. Yields its URL."""
    server = make_server("127.0.0.1", 0, _app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
