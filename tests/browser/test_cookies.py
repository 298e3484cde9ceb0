"""The service is safe from the cookies of a page on a sibling domain, in a real browser."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.conftest import launch
from tests.browser.test_connect import connect, expect_heading
from tests.certificates import self_signed_certificate
from tests.one_origin import Origin, one_origin

pytestmark = pytest.mark.browser

APP, SIBLING = "app.example.test", "sibling.example.test"
SESSION = "__Host-airtable_session"
DISGUISE = "\xa0"
"""A no-break space. Python strips it as white space; a browser keeps it as part of the name."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate and its private key."""
    return self_signed_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def origin(certificate: Path) -> Iterator[Origin]:
    """The service and its pages at https://app.example.test."""
    with one_origin(certificate.parent, host=APP) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium that resolves every name below example.test to this machine."""
    with sync_playwright() as playwright:
        yield launch(playwright, "--host-resolver-rules=MAP *.example.test 127.0.0.1")


@contextmanager
def sibling(certificate: Path, cookie: str, seen: list[str]) -> Iterator[str]:
    """A page at https://sibling.example.test that sets a cookie and records those it receives."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("cookie", ""))
            self.send_response(200)
            self.send_header("Set-Cookie", cookie)  # http.server encodes headers as latin-1
            self.end_headers()

        def log_request(self, code: object = "", size: object = "") -> None:
            """Do not log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://{SIBLING}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_sibling_domain_cannot_give_a_browser_its_session(
    chromium: Browser, origin: Origin, certificate: Path
) -> None:
    """A cookie whose name only resembles that of the session cookie is not a session.

    Otherwise a page on a sibling domain could make a visitor work in an attacker's account.
    """
    attacker = chromium.new_context(base_url=origin.url, ignore_https_errors=True)
    connect(attacker.new_page())
    (session,) = [each for each in attacker.cookies() if each["name"] == SESSION]
    attacker.close()

    victim = chromium.new_context(base_url=origin.url, ignore_https_errors=True)
    page = victim.new_page()
    cookie = f"{DISGUISE}{SESSION}={session['value']}; Domain=example.test; Path=/; Secure"
    seen: list[str] = []
    with sibling(certificate, cookie, seen) as url:
        page.goto(url)
        page.goto(url)
    assert f"{DISGUISE}{SESSION}={session['value']}" in seen[-1], "Chromium stores it and sends it"

    page.goto("/login-success")
    expect_heading(page, "Connect your Airtable bases")
    expect(page.get_by_text("mina@example.com")).to_be_hidden()
    victim.close()
