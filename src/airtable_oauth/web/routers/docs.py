"""`/docs` without a CDN or an inline script, and `/`, which points to it."""

import importlib.resources
from functools import cache
from importlib.metadata import version
from typing import Final

from fastapi import APIRouter
from starlette.responses import HTMLResponse, JSONResponse, Response

from airtable_oauth.errors import NotFound
from airtable_oauth.web.route import OAuthRoute

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What Swagger UI needs: it sets styles inline, and its icons are data URLs."""

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>airtable-oauth</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/init.js"></script>
</body>
</html>
"""

_INIT = """
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  withCredentials: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    if (request.method !== "GET") request.headers["X-CSRF"] = "1";
    return request;
  },
});
"""


class DocsRoutes:
    """`GET /`, `GET /docs` and the files of the page."""

    def __init__(self, public_url: str) -> None:
        """`public_url`: where browsers reach the service."""
        self._index = {
            "name": "airtable-oauth",
            "version": version("airtable-oauth"),
            "docs": f"{public_url}/docs",
            "openapi": f"{public_url}/openapi.json",
        }
        self.router = APIRouter(route_class=OAuthRoute, include_in_schema=False)
        self.router.add_api_route("/docs", self.docs)
        self.router.add_api_route("/docs/init.js", self.docs_script)
        self.router.add_api_route("/docs/{asset}", self.docs_asset)
        self.router.add_api_route("/", self.root)

    async def root(self) -> Response:
        """Where the documentation is."""
        return JSONResponse(self._index)

    async def docs(self) -> Response:
        """The page."""
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": CSP})

    async def docs_script(self) -> Response:
        """The script that starts Swagger UI."""
        return Response(_INIT, media_type="text/javascript")

    async def docs_asset(self, asset: str) -> Response:
        """A file of Swagger UI, from the package `fastapi-offline`."""
        if asset not in _ASSETS:
            raise NotFound
        return Response(_content(asset), media_type=_ASSETS[asset])


@cache
def _content(asset: str) -> bytes:
    """One copy for all clients. If the file were streamed, each slow client would hold pieces."""
    return (importlib.resources.files("fastapi_offline") / "static" / asset).read_bytes()
