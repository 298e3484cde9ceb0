"""What every answer tells the browser not to do with it."""

import functools

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airtable_oauth.logs import request_id

API_CSP = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """Sets the headers of ASVS 5.0, chapter 3.4, and the request's id, on every answer.

    A `Content-Security-Policy` that a route sets itself stays. `secure` adds HSTS.
    """

    def __init__(self, app: ASGIApp, *, secure: bool, csp: str = API_CSP) -> None:
        self._app = app
        self._csp = (b"content-security-policy", csp.encode())
        self._headers = [
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
            headers = [*message["headers"], *self._headers]
            if not any(name == self._csp[0] for name, _ in headers):
                headers.append(self._csp)
            headers.append((b"x-request-id", request_id(scope).encode()))
            message["headers"] = headers
        await send(message)
