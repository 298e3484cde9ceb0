"""The simulator's own page: its configuration, active grants, recent requests, and faults."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from airtable_oauth.simulator.faults import Faults
from airtable_oauth.simulator.oauth import AuthorizationServer
from airtable_oauth.simulator.recording import RequestLog, SeenRequest

_STATIC = Path(__file__).parent / "static"
_MOST_SHOWN = 50
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; require-trusted-types-for 'script'; trusted-types 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Page:
    """`/`, its script and style sheet, and `/_simulator/status`, which the page shows."""

    server: AuthorizationServer
    faults: Faults
    log: RequestLog
    templates: Environment

    def routes(self) -> list[Route]:
        """The routes for a Starlette app."""
        return [
            Route("/", self._home),
            Route("/_simulator/status", self._status),
            Route("/_simulator/page.js", _file("page.js")),
            Route("/_simulator/page.css", _file("page.css")),
        ]

    async def _home(self, _request: Request) -> Response:
        html = self.templates.get_template("home.html").render(
            integrations=self.server.integrations.values(),
            users=self.server.users,
            bases=self.server.bases,
        )
        return HTMLResponse(html, headers=_HEADERS)

    async def _status(self, _request: Request) -> Response:
        status = {
            "now": self.server.vault.clock(),
            "grants": list(islice(self._grants(), _MOST_SHOWN)),
            "faults": [
                {"path": fault.path, "only": fault.only, "left": fault.times - fault.fired}
                for fault in self.faults.planned
                if not fault.is_spent
            ],
            "requests": [_shown(seen) for seen in islice(reversed(self.log), _MOST_SHOWN)],
        }
        return JSONResponse(status, headers=_HEADERS)

    def _grants(self) -> Iterator[dict[str, Any]]:
        """The grants that can still be refreshed, newest first."""
        vault = self.server.vault
        for token in reversed(list(vault.refresh_tokens.values())):
            if not vault.can_refresh(token):
                continue
            access = vault.live_access_token(token.access_token)
            yield {
                "user": token.grant.user.email,
                "client_id": token.grant.client_id,
                "bases": len(token.grant.base_ids),
                "access_ends_in": None if access is None else access.expires_at - vault.clock(),
            }


def _file(name: str) -> Any:
    async def endpoint(_request: Request) -> Response:
        return FileResponse(_STATIC / name, headers=_HEADERS)

    return endpoint


def _shown(seen: SeenRequest) -> dict[str, Any]:
    return {
        "at": seen.at,
        "method": seen.method,
        "path": seen.path[:200],
        "status": seen.status,
        "what": _describe(seen),
    }


def _describe(seen: SeenRequest) -> str:
    """What a request is for, in the terms of OAuth and the Web API."""
    if seen.path == "/oauth2/v1/token":
        kinds = {"authorization_code": "code exchange", "refresh_token": "refresh"}
        return kinds.get(seen.form.get("grant_type", ""), "token request")
    if seen.path == "/oauth2/v1/authorize":
        return "consent page" if seen.method == "GET" else "decision"
    if seen.path.startswith("/v0/meta/"):
        return "who am I" if seen.path.endswith("/whoami") else "structure"
    if seen.path.startswith("/v0/"):
        return "records"
    return "file" if seen.path.startswith("/attachments/") else ""
