"""Serves `frontend/` for the demo and the tests. In production, any static host will do."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from airtable_oauth.web.security_headers import SecurityHeaders

AIRTABLE_API_URL = "https://api.airtable.com"
_PACKAGED = Path(__file__).parents[1] / "_frontend"
_CHECKED_OUT = Path(__file__).parents[3] / "frontend"


def create_frontend(
    *, public_url: str, api_url: str, airtable_api_url: str, tokens: str = "server"
) -> ASGIApp:
    """The pages, with the addresses of this run in `config.js`, under a strict CSP.

    `tokens` is `server` or `browser`: only with `browser` do the pages call Airtable's Web API
    themselves. Attachments come from Airtable's domain for attachments, or from the simulator.
    """
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    config = {"apiUrl": api_url, "tokens": tokens, "airtableApiUrl": airtable_api_url}

    @app.get("/config.js")
    async def config_script() -> Response:
        script = f"export const config = {json.dumps(config, indent=2)};\n"
        return Response(script, media_type="text/javascript")

    directory = _PACKAGED if _PACKAGED.is_dir() else _CHECKED_OUT
    app.frontend("/", directory=directory, fallback="index.html")
    called = [api_url, airtable_api_url] if tokens == "browser" else [api_url]
    simulated = airtable_api_url != AIRTABLE_API_URL
    pictures = airtable_api_url if simulated else "https://*.airtableusercontent.com"
    csp = (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {pictures}; "
        f"connect-src {' '.join(called)}; require-trusted-types-for 'script'; "
        "trusted-types 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return SecurityHeaders(_OneAddress(app, public_url), secure=False, csp=csp)


class _OneAddress:
    """Redirects `127.0.0.1` to `localhost`, or the reverse.

    To a browser these are two sites, and the service's cookies belong to one of them.
    """

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self._app = app
        self._public_url = public_url
        self._host = urlsplit(public_url).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and Headers(scope=scope).get("host") != self._host:
            app = RedirectResponse(self._public_url, 307)
        await app(scope, receive, send)
