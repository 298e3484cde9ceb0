"""Cross-site request forgery: what other sites could cause is refused."""

from collections.abc import Collection

from fastapi import Request

from airtable_oauth.errors import CrossSiteRefused


def refuse_cross_site(request: Request, origins: Collection[str]) -> None:
    """Absence is neutral: a same-origin GET has no `Origin`, a plain-http host no `Sec-Fetch-*`.

    No form can send `X-CSRF`, and no other origin without our leave.
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
