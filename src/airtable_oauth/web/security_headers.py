"""Security headers on every answer."""

import functools

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airtable_oauth.web.access_log import request_id

API_CSP = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """Adds the headers of OWASP ASVS 5.0, chapter 3.4, and the request's id.

    Headers that a route has set stay as they are. `secure` adds HSTS.
    """

    def __init__(self, app: ASGIApp, *, secure: bool, csp: str = API_CSP) -> None:
        self._app = app
        self._headers = [
            (b"content-security-policy", csp.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]
        if secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, functools.partial(self._send, scope, send))

    async def _send(self, scope: Scope, send: Send, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            present = {name for name, _ in headers}
            headers += [header for header in self._headers if header[0] not in present]
            headers.append((b"x-request-id", request_id(scope).encode()))
            message["headers"] = headers
        await send(message)
