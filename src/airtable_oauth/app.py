"""The service: an app of its own around `AirtableOAuth`."""

from importlib import import_module
from importlib.metadata import version
from typing import Any, Unpack

from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from airtable_oauth.integration import AirtableOAuth, Parts
from airtable_oauth.settings import Settings
from airtable_oauth.web.access_log import AccessLog
from airtable_oauth.web.error_responses import error_response
from airtable_oauth.web.routers.docs import DocsRoutes
from airtable_oauth.web.security_headers import SecurityHeaders

_DESCRIPTION = """
Connects an app to Airtable: OAuth 2.0 with PKCE.

1. Call `GET /authorization-url` with `credentials: "include"`, and send the browser to the
   `authorizationUrl` in the answer.
2. Airtable sends the browser back to the app's callback route with `code` and `state`.
3. Send both to `POST /session`, from the same browser and with the header `X-CSRF: 1`: the service
   keeps the tokens.{or_exchange}

Every error of this service has the same body. `error` is for programs, `error_description` for
people, `action` says what to do: `retry`, `restart_login`, `reconnect` or `fix_config`. Errors of
Airtable's Web API come back as Airtable sent them.
"""

_OR_EXCHANGE = " (Or send both to `POST /token-exchange`, if the page keeps the tokens itself.)"

_QUERY = "airtable_oauth.query_string"


def create_app(settings: Settings | None = None, **parts: Unpack[Parts]) -> FastAPI:
    """The service as an ASGI app. Without `settings` it reads the environment.

    `parts` is as for `AirtableOAuth`. `airtable-oauth serve` also applies the `LOG_…` settings,
    `FORWARDED_ALLOW_IPS` and the limits for clients (docs/deployment.md). With another ASGI server,
    turn off its access log, because a query may contain a code.

    Raises:
        ValueError: as for `AirtableOAuth`.
        pydantic.ValidationError: the environment does not hold what `Settings` needs.
        ModuleNotFoundError: a setting needs an extra that is not installed.
    """
    settings = settings or Settings()
    airtable = AirtableOAuth(settings, **parts)
    app = _Service(
        settings,
        title="airtable-oauth",
        summary="Connect an app to Airtable",
        description=_description(settings),
        version=version("airtable-oauth"),
        lifespan=airtable.lifespan,
        openapi_url="/openapi.json" if settings.docs else None,
        docs_url=None,
        redoc_url=None,
        telemetry=_telemetry(settings),
        redirect_slashes=False,  # a redirect would repeat a code that is in the URL
    )
    # Not `include_router`: that would match each request twice.
    app.router.routes.extend(airtable.router.routes)
    if settings.docs:
        app.router.routes.extend(DocsRoutes(settings.public_url).router.routes)
    for kind in (HTTPException, Exception):
        app.add_exception_handler(kind, _answer)
    return app


class _Service(FastAPI):
    """CORS, security headers and the access log wrap the finished app.

    As middleware they would be inside the error middleware, and a browser could not read its 500.
    FastAPI's telemetry wraps all of this and would record the query, with codes and states, so the
    query is hidden from it.
    """

    def __init__(self, settings: Settings, **options: Any) -> None:
        self._settings = settings
        super().__init__(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if self._settings.telemetry and scope["type"] == "http":
            scope = {**scope, "query_string": b"", _QUERY: scope["query_string"]}
        await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """The app and what wraps it, from the inside out."""
        app: ASGIApp = super().build_middleware_stack()
        app = CORSMiddleware(
            app,
            allow_origins=self._settings.allowed_origins,
            allow_methods=("DELETE", "GET", "PATCH", "POST", "PUT"),
            allow_headers=("Content-Type", "X-CSRF"),
            allow_credentials=True,
            expose_headers=("Retry-After", "X-Request-ID"),
        )
        app = AccessLog(SecurityHeaders(app, secure=self._settings.secure))
        return _WithQuery(app) if self._settings.telemetry else app


class _WithQuery:
    """Restores the query that `_Service` hid from the telemetry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if _QUERY in scope:
            scope["query_string"] = scope.pop(_QUERY)
        await self._app(scope, receive, send)


def require_exporter(settings: Settings) -> None:
    """Return if telemetry is off, or can be exported.

    Raises:
        ModuleNotFoundError: the exporter's extra is not installed.
    """
    if not settings.telemetry:
        return
    try:
        import_module("opentelemetry.exporter.otlp.proto.http")
    except ModuleNotFoundError:
        variable = settings.variable("telemetry")
        raise ModuleNotFoundError(
            f"{variable} needs an exporter: pip install 'airtable-oauth[telemetry]'"
        ) from None


def _description(settings: Settings) -> str:
    """The overview in `/docs`. It names only the routes that these settings leave on."""
    return _DESCRIPTION.format(or_exchange=_OR_EXCHANGE if settings.expose_tokens else "")


def _telemetry(settings: Settings) -> TelemetryConfig:
    """FastAPI's own telemetry, if it is on: a span and metrics for each request.

    The `OTEL_…` variables say where they are sent. Its logs stay off, because they would contain
    the messages of exceptions.
    """
    require_exporter(settings)
    return {
        "tracing": settings.telemetry,
        "metrics": settings.telemetry,
        "logs": False,
        "operation_spans": False,
        "auto_configure": settings.telemetry,
    }


async def _answer(request: Request, error: Exception) -> Response:
    return error_response(request, error)
