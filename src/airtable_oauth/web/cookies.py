"""The cookies of this service: their names, attributes and lifetimes."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response

from airtable_oauth.oauth.login import BegunLogin, login_id

_MAX_LOGINS = 8
"""Logins that one browser may have in progress. One more replaces the oldest."""


def read_cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request, by their exact names. A name that occurs twice is left out.

    Starlette's parser strips every kind of white space from names. A page on a sibling domain could
    set a cookie named with a no-break space followed by our name. Browsers do not protect that name
    as `__Host-…`, and the parser would take the cookie for ours. This parser strips only spaces and
    tabs (RFC 6265, section 5.2). If a name occurs twice, it cannot be known which cookie is ours.
    """
    pairs = [
        (name.strip(" \t"), value.strip(" \t"))
        for header in headers.getlist("cookie")
        for name, equals, value in (pair.partition("=") for pair in header.split(";"))
        if equals
    ]
    count = Counter(name for name, _ in pairs)
    return {name: value for name, value in pairs if count[name] == 1}


@dataclass(frozen=True, slots=True)
class LoginCookies:
    """One cookie per login, so that logins in several tabs do not disturb each other.

    The value is `<milliseconds since 1970>.<browser secret>`. The time shows which login is oldest.
    """

    name: str
    secure: bool
    """Whether browsers reach this service over https. Then names begin with `__Host-`, and cookies
    are `Secure`."""
    max_age: int
    """Seconds."""
    clock: Callable[[], float] = time.time

    def browser_secret(self, headers: Headers, state: str) -> str | None:
        """The secret of the login with this state, if the browser has its cookie."""
        value = read_cookies(headers).get(self._prefix + login_id(state))
        return value.partition(".")[2] if value else None

    def set(self, login: BegunLogin, headers: Headers, response: Response) -> None:
        """Set the cookie of a login. If there are too many, remove those of the oldest logins."""
        for name in self._oldest_cookies(read_cookies(headers)):
            _set(response, name, "", max_age=0, secure=self.secure)
        value = f"{int(self.clock() * 1000)}.{login.browser_secret}"
        name = self._prefix + login.login_id
        _set(response, name, value, max_age=self.max_age, secure=self.secure)

    def _oldest_cookies(self, cookies: Mapping[str, str]) -> list[str]:
        mine = [name for name in cookies if name.startswith(self._prefix)]
        mine.sort(key=lambda name: _begun(cookies[name]))
        return mine[: max(0, len(mine) - _MAX_LOGINS + 1)]

    @property
    def _prefix(self) -> str:
        return f"{_host_prefix(secure=self.secure)}{self.name}_login_"


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The cookie with the id of a session. Scripts cannot read it."""

    name: str
    secure: bool
    """Whether browsers reach this service over https. Then names begin with `__Host-`, and cookies
    are `Secure`."""
    max_age: int
    """Seconds."""

    def read(self, headers: Headers) -> str | None:
        """The session id in a request."""
        return read_cookies(headers).get(self._name)

    def set(self, response: Response, session_id: str) -> None:
        """Set the cookie."""
        _set(response, self._name, session_id, max_age=self.max_age, secure=self.secure)

    def clear(self, response: Response) -> None:
        """Remove the cookie."""
        _set(response, self._name, "", max_age=0, secure=self.secure)

    @property
    def _name(self) -> str:
        return f"{_host_prefix(secure=self.secure)}{self.name}_session"


def _set(response: Response, name: str, value: str, *, max_age: int, secure: bool) -> None:
    attributes = f"Max-Age={max_age}; Path=/; HttpOnly; SameSite=Strict"
    response.headers.append(
        "Set-Cookie", f"{name}={value}; {attributes}{'; Secure' if secure else ''}"
    )


def _host_prefix(*, secure: bool) -> str:
    """Browsers accept a `__Host-` cookie only over https, for one host and the path `/`."""
    return "__Host-" if secure else ""


def _begun(value: str) -> int:
    digits = value.partition(".")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 20 else 0  # noqa: PLR2004
