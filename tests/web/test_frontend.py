"""The pages as files: compressed, revalidated, and under a CSP."""

import gzip
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from airtable_oauth.web.frontend import create_frontend

_PAGES = "http://localhost:4200"
_PAGE_HEADERS = {"Accept": "text/html"}


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages, which understands gzip."""
    app = create_frontend(
        public_url=_PAGES,
        api_url="http://localhost:3000",
        airtable_api_url="https://api.airtable.com",
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=_PAGES) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/login-success", "/app.js", "/styles/base.css"])
async def test_file_is_compressed_and_sent_only_once(browser: httpx.AsyncClient, path: str) -> None:
    """If the browser has it already, the answer is an empty 304."""
    async with browser.stream("GET", path, headers=_PAGE_HEADERS) as answer:
        sent = b"".join([part async for part in answer.aiter_raw()])
    plain = await browser.get(path, headers=_PAGE_HEADERS | {"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(sent) == plain.content
    assert answer.headers["etag"] != plain.headers["etag"]

    known = _PAGE_HEADERS | {"If-None-Match": answer.headers["etag"]}
    again = await browser.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/bases/x", "/config.js", "/app.js", "/styles/base.css"])
async def test_no_file_is_used_without_asking(browser: httpx.AsyncClient, path: str) -> None:
    """The files have no version in their names."""
    answer = await browser.get(path, headers=_PAGE_HEADERS)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/bases/x", "/no-such-file.js"])
async def test_every_address_of_a_page_has_the_csp(browser: httpx.AsyncClient, path: str) -> None:
    """Even one that looks like a script's."""
    page = await browser.get(path, headers=_PAGE_HEADERS)
    assert "connect-src http://localhost:3000" in page.headers["content-security-policy"]
    assert "<main" in page.text


async def test_csp_of_a_stored_page_is_renewed(browser: httpx.AsyncClient) -> None:
    """The addresses in it may have changed, and headers of a 304 replace the stored ones."""
    page = await browser.get("/")
    again = await browser.get("/", headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/app.js", "/config.js", "/styles/base.css"])
async def test_script_has_no_csp(browser: httpx.AsyncClient, path: str) -> None:
    """It would mean nothing there."""
    answer = await browser.get(path)
    again = await browser.get(path, headers={"If-None-Match": answer.headers.get("etag", "x")})
    assert "content-security-policy" not in answer.headers
    assert "content-security-policy" not in again.headers


async def test_first_view_is_small(browser: httpx.AsyncClient) -> None:
    """On a slow network each kilobyte, and each file, is a part of the time until it is usable.

    Before the login page is shown, a browser loads the document and what it can load at the same
    time over HTTP/1.1: six files.
    """
    page = await browser.get("/", headers=_PAGE_HEADERS)
    paths = re.findall(r'<(?:link|script)[^>]* (?:href|src)="(/[^"]+)"', page.text)
    paths.remove("/icon.svg")
    sizes = [await _size(browser, path) for path in ["/", *paths]]
    first = paths[:6]
    assert [path for path in paths if path.endswith(".css")] == first[:5]
    assert first[5] == "/first-view.js"
    assert "import" not in (await browser.get("/first-view.js")).text
    assert sum(sizes[:7]) <= 11_000
    assert len(paths) == len(set(paths)) <= 23
    assert sum(sizes) <= 42_000


async def _size(browser: httpx.AsyncClient, path: str) -> int:
    """Bytes of an answer with its headers."""
    async with browser.stream("GET", path, headers=_PAGE_HEADERS) as answer:
        body = b"".join([part async for part in answer.aiter_raw()])
    return len(body) + sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
