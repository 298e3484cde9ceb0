"""`/docs` without a CDN or an inline script."""

import importlib.resources
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse, HTMLResponse, Response

from airtable_oauth.errors import NotFound
from airtable_oauth.routers.route import OAuthRoute

router = APIRouter(route_class=OAuthRoute, include_in_schema=False)

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


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": CSP})


@router.get("/docs/init.js")
async def docs_script() -> Response:
    """What starts it."""
    return Response(_INIT, media_type="text/javascript")


@router.get("/docs/{asset}")
async def docs_asset(asset: str) -> Response:
    """A file of Swagger UI, as the package `fastapi-offline` carries it."""
    if asset not in _ASSETS:
        raise NotFound
    directory = importlib.resources.files("fastapi_offline") / "static"
    return FileResponse(str(directory / asset), media_type=_ASSETS[asset])
