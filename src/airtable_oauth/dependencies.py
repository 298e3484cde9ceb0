"""What routes ask for by type. `AirtableOAuth` puts the services of its integration in reach."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request

from airtable_oauth.airtable import Airtable
from airtable_oauth.cookies import LoginCookies
from airtable_oauth.errors import CrossSiteRefused, InvalidInput
from airtable_oauth.login import Logins
from airtable_oauth.settings import Settings
from airtable_oauth.stores import Store

_SERVICES = "airtable_oauth.services"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a request may need, made once per integration."""

    settings: Settings
    store: Store
    airtable: Airtable
    logins: Logins
    login_cookies: LoginCookies

    async def bind(self, request: Request) -> None:
        """The dependency that comes first on every route of this integration."""
        request.scope[_SERVICES] = self


def _services(request: Request) -> Services:
    services: Services = request.scope[_SERVICES]
    return services


async def _logins(request: Request) -> Logins:
    return _services(request).logins


async def _login_cookies(request: Request) -> LoginCookies:
    return _services(request).login_cookies


async def _airtable(request: Request) -> Airtable:
    return _services(request).airtable


async def _store(request: Request) -> Store:
    return _services(request).store


async def same_site(request: Request) -> None:
    """Refuse what another site could have caused, where a cookie speaks for the browser.

    Absence is neutral: a same-origin GET has no `Origin`, a plain-http host no `Sec-Fetch-*`.

    Raises:
        CrossSiteRefused: the origin is not listed; or the browser says that another site, a typed
            address, a link or an `<img>` caused the request.
    """
    settings = _services(request).settings
    origin = request.headers.get("origin")
    if origin is not None and origin not in (*settings.allowed_origins, settings.own_origin):
        raise CrossSiteRefused
    if request.headers.get("sec-fetch-site") in ("cross-site", "none"):
        raise CrossSiteRefused
    if request.headers.get("sec-fetch-mode") in ("no-cors", "navigate"):
        raise CrossSiteRefused


async def csrf_header(request: Request) -> None:
    """Ask for `X-CSRF: 1`, which no form can send and no other origin without our leave.

    Raises:
        CrossSiteRefused: it is not there.
    """
    if request.headers.get("x-csrf") != "1":
        raise CrossSiteRefused("Send the header X-CSRF: 1.")


async def _return_to(
    return_to: Annotated[
        str | None,
        Query(
            max_length=2048,
            description="A local path that comes back when the login ends.",
            examples=["/bases?sort=name"],
        ),
    ] = None,
) -> str | None:
    if return_to is not None and not _is_local_path(return_to):
        raise InvalidInput("return_to must be a local path that begins with one slash.")
    return return_to


def _is_local_path(text: str) -> bool:
    return (
        text.startswith("/")
        and not text.startswith("//")
        and "\\" not in text
        and all(" " < character != "\x7f" for character in text)
    )


LoginsDep = Annotated[Logins, Depends(_logins)]
LoginCookiesDep = Annotated[LoginCookies, Depends(_login_cookies)]
AirtableDep = Annotated[Airtable, Depends(_airtable)]
StoreDep = Annotated[Store, Depends(_store)]
ReturnTo = Annotated[str | None, Depends(_return_to)]
SameSite = Depends(same_site)
CsrfHeader = Depends(csrf_header)
