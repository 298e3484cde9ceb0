"""Runs uvicorn for the commands."""

import errno
import socket
from collections.abc import Sequence
from typing import Any

import click
import uvicorn

from airtable_oauth.logs import logging_config
from airtable_oauth.web.server import LimitedProtocol


def require_free_port(host: str, port: int, option: str = "--port") -> None:
    """Fail with one line if the port is in use; uvicorn would print a traceback.

    `option` is the command's option for this port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        advice = f". Choose another port with {option}" if in_use else ""
        message = f"cannot listen on {host}:{port}: {error.strerror}{advice}"
        raise click.ClickException(message) from None


def run_server(
    app: Any,
    *,
    host: str,
    port: int,
    log_level: str = "info",
    log_format: str = "console",
    forwarded_allow_ips: Sequence[str] = (),
    drain: int = 1,
    **options: Any,
) -> None:
    """Run uvicorn until the process is stopped.

    uvicorn's own access log is off, because it prints query strings, which contain codes. `drain`:
    seconds that requests in flight may take at shutdown.
    """
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=LimitedProtocol,
        ws="none",
        access_log=False,
        proxy_headers=bool(forwarded_allow_ips),
        forwarded_allow_ips=list(forwarded_allow_ips),
        server_header=False,
        log_config=logging_config(log_level, log_format),
        timeout_graceful_shutdown=drain,
        **options,
    )
