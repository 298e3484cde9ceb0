"""Protection against cross-site request forgery."""

from collections.abc import Collection

from fastapi import Request

from airtable_oauth.errors import CrossSiteRefused


def refuse_cross_site(request: Request, origins: Collection[str]) -> None:
    """Refuse a request that a page of another site may have caused.

    A missing header proves nothing: a same-origin GET has no `Origin`, and browsers send no
    `Sec-Fetch-*` to plain-http hosts. Forms cannot send `X-CSRF`, and scripts of other origins only
    if our CORS policy lets them.

    Raises:
        CrossSiteRefused: the request may come from another site, or `X-CSRF: 1` is missing.
    """
    headers = request.headers
    origin = headers.get("origin")
    if (
        (origin is not None and origin not in origins)
        or headers.get("sec-fetch-site") in ("cross-site", "none")
        or headers.get("sec-fetch-mode") in ("no-cors", "navigate")
    ):
        raise CrossSiteRefused
    if request.method not in ("GET", "HEAD") and headers.get("x-csrf") != "1":
        raise CrossSiteRefused("Send the header X-CSRF: 1.")
