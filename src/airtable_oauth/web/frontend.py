"""Serves `frontend/` for the demo and the tests. In production, any static host will do."""

import json
import mimetypes
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
    pages = GZipMiddleware(_OneAddress(app, public_url))
    return _FileHeaders(SecurityHeaders(pages, secure=False, csp=csp))


class _FileHeaders:
    """Lets browsers keep the files, and sends the CSP with documents only.

    The files have no version in their names. `no-cache` makes a browser ask before it uses a file
    that it has, so a page that is opened after an update uses no old file. The CSP means nothing to
    scripts and styles, and its bytes, once per file, would delay the first view on a slow network.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = "no-cache"
                if not _is_document(scope["path"], headers):
                    del headers["Content-Security-Policy"]
                if "Content-Encoding" in headers and "ETag" in headers:
                    headers["ETag"] = f"W/{headers['ETag']}"  # RFC 9110, section 8.8.3.3
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _is_document(path: str, headers: Headers) -> bool:
    """Whether a response is a page. A 304 has no type; its CSP replaces that of the stored page."""
    kind = headers.get("Content-Type") or mimetypes.guess_type(path)[0] or "text/html"
    return kind.startswith("text/html")


class _OneAddress:
    """Redirects other hosts to `public_url`: `127.0.0.1` to `localhost`, or the reverse.

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
