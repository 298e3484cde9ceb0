"""Access control for the simulator's page and its control API.

The control API can end connections and make grants. Other websites must not reach it through a
browser on this machine, and other machines need permission.
"""

import json
from collections.abc import Collection
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_FORBIDDEN = 403
_UNSUPPORTED = 415
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE = ("GET", "HEAD")


class Guard:
    """ASGI middleware that admits only this machine and the given hosts.

    - `Host` must be `localhost`, `127.0.0.1` or `[::1]` with the simulator's port, and the client
      must be on this machine; or `Host` must be one of `hosts`. This stops DNS rebinding.
    - Below `/_simulator`, an `Origin` must be the simulator's own, and a `Sec-Fetch-Site` must be
      `same-origin` or `none`.
    - A body must be JSON, which HTML forms cannot send.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, error = refusal
        await JSONResponse({"error": error}, status)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "").lower()
        if host not in self._hosts and not _is_loopback(scope, host):
            shown = json.dumps(host[:100])
            return _FORBIDDEN, (
                f"The control API does not accept this client with the host {shown}. Open it as "
                "localhost with the simulator's port, on the machine where it runs, or start the "
                "simulator with --control-host."
            )
        if _is_of_another_site(scope, headers, host):
            return _FORBIDDEN, "The control API does not accept requests from other websites."
        if _has_body(headers) and not _is_json(headers):
            return _UNSUPPORTED, "Content-Type must be application/json."
        return None


def is_loopback(address: str) -> bool:
    """Whether this is `localhost` or a loopback address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address == "localhost"
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def _is_loopback(scope: Scope, host: str) -> bool:
    client = scope.get("client")
    return host in _own_hosts(scope) and client is not None and is_loopback(client[0])


def _own_hosts(scope: Scope) -> list[str]:
    """The `Host` headers that browsers send for this machine."""
    usual = _DEFAULT_PORTS.get(scope["scheme"])
    port = (scope.get("server") or ("", None))[1] or usual
    return [
        *(f"{name}:{port}" for name in _LOOPBACK_NAMES),
        *(_LOOPBACK_NAMES if port == usual else ()),
    ]


def _is_of_another_site(scope: Scope, headers: Headers, host: str) -> bool:
    if scope["path"] == "/" and scope["method"] in _SAFE:
        return False  # other sites may link to the page
    origins = headers.getlist("origin")
    foreign = any(origin.lower() != f"{scope['scheme']}://{host}" for origin in origins)
    return foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json"
