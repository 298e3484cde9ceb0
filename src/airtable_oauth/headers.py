"""What every answer tells the browser not to do with it."""

import functools

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airtable_oauth.logs import request_id

API_CSP = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """Sets the headers of ASVS 5.0, chapter 3.4, and the request's id, on every answer.

    A `Content-Security-Policy` that a route sets itself stays. `secure` adds HSTS.
    """

    def __init__(self, app: ASGIApp, *, secure: bool, csp: str = API_CSP) -> None:
        self._app = app
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Security-Policy": csp,
        }
        if secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, functools.partial(self._send, scope, send))

    async def _send(self, scope: Scope, send: Send, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in self._headers.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = request_id(scope)
        await send(message)
