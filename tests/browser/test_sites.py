"""`check` knows the same sites as Chromium, which stores no login cookie between two sites."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from airtable_oauth.cli.check import examine
from tests.browser.conftest import launch
from tests.certificates import self_signed_certificate
from tests.helpers import make_settings

pytestmark = pytest.mark.browser

HOSTING = (
    *("vercel.app", "onrender.com", "github.io", "herokuapp.com", "fly.dev", "netlify.app"),
    *("up.railway.app", "pages.dev"),
)
PAIRS = [
    *((f"app.{domain}", f"api.{domain}") for domain in HOSTING),
    ("app.vercel.app", "api.app.vercel.app"),
    ("app.example.co.uk", "api.example.co.uk"),
    ("one.co.uk", "two.co.uk"),
    ("app.localhost", "api.localhost"),
]
KEEPS_COOKIE = """async api => {
  await fetch(`${api}/set`, { credentials: "include" });
  return (await (await fetch(`${api}/get`, { credentials: "include" })).text()) !== "";
}"""


class Handler(BaseHTTPRequestHandler):
    """Sets a cookie with the attributes of the service's, and answers with a request's cookies."""

    def do_GET(self) -> None:
        body = self.headers.get("Cookie", "").encode()
        self.send_response(200)
        if self.path == "/set":
            cookie = "__Host-login=1; Max-Age=60; Path=/; HttpOnly; SameSite=Strict; Secure"
            self.send_header("Set-Cookie", cookie)
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "null"))
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Do not log."""


@contextmanager
def https_server(directory: Path) -> Iterator[int]:
    """Run a server for every host name. Yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed_certificate(directory))
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def tab() -> Iterator[Page]:
    """A tab of a Chromium that resolves every host name to this machine."""
    with sync_playwright() as playwright:
        browser = launch(playwright, "--host-resolver-rules=MAP * 127.0.0.1")
        yield browser.new_context(ignore_https_errors=True).new_page()
        browser.close()


async def is_one_site(app: str, api: str) -> bool:
    """Whether `check` reports these hosts as one site."""
    settings = make_settings(
        redirect_uri=f"https://{app}/cb",
        allowed_origins=f"https://{app}",
        public_url=f"https://{api}",
    )
    report = [str(each) async for each in examine(settings, {})]
    return not any("are two sites to a browser" in line for line in report)


def test_check_tells_sites_apart_as_chromium_does(tmp_path: Path) -> None:
    """The pairs are customers of hosting companies, and names below one domain."""
    said = {pair: asyncio.run(is_one_site(*pair)) for pair in PAIRS}
    seen = {}
    with https_server(tmp_path) as port, tab() as page:
        for app, api in PAIRS:
            page.goto(f"https://{app}:{port}/", wait_until="commit")
            seen[app, api] = page.evaluate(KEEPS_COOKIE, f"https://{api}:{port}")
    assert said == seen
    assert set(seen.values()) == {True, False}
