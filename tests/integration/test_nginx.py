"""`deploy/nginx.conf` in a real nginx: one origin, and no secret in its logs."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.helpers import CSRF, decide
from tests.one_origin import Origin, one_origin

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """An origin for this module alone."""
    with one_origin(tmp_path_factory.mktemp("nginx"), NODE_COMPAT="true") as made:
        yield made


async def test_login_on_one_origin(origin: Origin) -> None:
    """Pages are at `/`, the service is below `/api`, and the login needs no CORS list."""
    async with httpx.AsyncClient(base_url=origin.url) as browser, httpx.AsyncClient() as person:
        assert "<main" in (await browser.get("/")).text
        assert '"/api"' in (await browser.get("/config.js")).text
        url = (await browser.get("/api/authorization-url")).json()["authorizationUrl"]
        parameters = await decide(person, url)
        page = await browser.get("/auth-callback", params=parameters)
        assert page.text == (await browser.get("/")).text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        headers = CSRF | {"Origin": origin.url, "Sec-Fetch-Site": "same-origin"}
        answer = await browser.post("/api/token-exchange", json=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert (await browser.get("/api/docs")).status_code == 200
        assert (await browser.get("/api/openapi.json")).status_code == 200
    assert '"path":"/auth-callback","status":"200"' in origin.log()
    assert not [value for value in parameters.values() if value in origin.log()]


@pytest.mark.parametrize("path", ["/", "/login-success", "/app.js", "/styles/base.css"])
async def test_pages_are_compressed_and_sent_only_once(origin: Origin, path: str) -> None:
    """Browsers revalidate a cached file before they use it. Only documents need the CSP."""
    async with httpx.AsyncClient(base_url=origin.url) as browser:
        answer = await browser.get(path)
        again = await browser.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (again.status_code, again.content) == (304, b"")
    is_document = not path.endswith(("js", "css"))
    for each in answer, again:
        assert each.headers["cache-control"] == "no-cache"
        assert ("content-security-policy" in each.headers) == is_document


async def test_client_cannot_name_itself(origin: Origin) -> None:
    """Nginx sets the header that the service trusts."""
    async with httpx.AsyncClient(base_url=origin.url) as browser:
        await browser.get("/api/health/live", headers={"X-Forwarded-For": "203.0.113.9"})
    assert "127.0.0.1" in (origin.logs / "serve.log").read_text()
    assert "203.0.113.9" not in (origin.logs / "serve.log").read_text()


@pytest.mark.parametrize(
    ("number", "method", "path"),
    [
        (2, "GET", "/authorization-url"),
        (3, "GET", "/get-authorization-url"),
        (4, "POST", "/session"),
        (5, "POST", "/token-exchange"),
        (6, "GET", "/token-exchange"),
        (7, "GET", "/request-oauth-token"),
        (8, "POST", "/token-refresh"),
        (9, "GET", "/%61uthorization-url"),
    ],
)
async def test_flood_from_one_address_is_slowed_down(
    origin: Origin, number: int, method: str, path: str
) -> None:
    """The limit covers routes without a session, in any encoding. It is per address."""
    body = {"state": "made-up", "code": "made-up", "refresh_token": "made-up"}

    async def flood(client: httpx.AsyncClient, times: int) -> list[httpx.Response]:
        requests = [
            client.build_request(method, f"/api{path}", headers=CSRF, json=body)
            if method == "POST"
            else client.build_request(method, f"/api{path}")
            for _ in range(times)
        ]
        return [await client.send(each) for each in requests]

    async with from_address(origin, number) as flooder, from_address(origin, 200) as other:
        answers = await flood(flooder, 30)
        elsewhere = await flood(other, 1)
        unlimited = await flooder.get("/api/session")
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 5 <= len(refused) <= 11
    assert not any(answer.is_server_error for answer in answers)
    assert refused[0].json()["error"] == "rate_limited"
    assert refused[0].json()["action"] == "retry"
    assert refused[0].headers["retry-after"] == "5"
    assert elsewhere[0].status_code != 429
    assert unlimited.status_code == 401


@pytest.mark.parametrize("path", ["//session", "/session%2F", "/x/../session", "/%2E/session"])
async def test_path_that_is_spelled_oddly_does_not_reach_a_route(origin: Origin, path: str) -> None:
    """The service decodes a path once and does not resolve dots or double slashes."""
    port = httpx.URL(origin.url).port
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.write(
        f"POST /api{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_ordinary_use_is_not_slowed_down(origin: Origin) -> None:
    """Three logins in a row, and pages that ask for the session far more often, pass."""
    async with from_address(origin, 201) as browser, httpx.AsyncClient() as person:
        for _ in range(3):
            url = (await browser.get("/api/authorization-url")).json()["authorizationUrl"]
            parameters = await decide(person, url)
            answer = await browser.post("/api/session", json=parameters, headers=CSRF)
            assert answer.status_code == 201, answer.text
        answers = [await browser.get("/api/session") for _ in range(60)]
        assert {answer.status_code for answer in answers} == {200}
        assert (await browser.delete("/api/session", headers=CSRF)).status_code == 200


def from_address(origin: Origin, number: int) -> httpx.AsyncClient:
    """A client whose address is 127.0.0.`number`."""
    transport = httpx.AsyncHTTPTransport(local_address=f"127.0.0.{number}")
    return httpx.AsyncClient(transport=transport, base_url=origin.url)


async def test_error_log_has_no_query_either(origin: Origin) -> None:
    """When the service is down, nginx's own error log would contain the request."""
    origin.service.process.kill()
    origin.service.process.wait()
    secrets = {"code": "CANARY-code", "state": "CANARY-state"}
    headers = {"Referer": f"{origin.url}/auth-callback?code=CANARY-code"}
    async with httpx.AsyncClient(base_url=origin.url, headers=headers) as browser:
        answer = await browser.get("/api/token-exchange", params=secrets)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert (await browser.get("/auth-callback", params=secrets)).status_code == 200
        await browser.get("/missing%00", params=secrets)
    assert '"path":"/api/token-exchange","status":"503"' in origin.log()
    assert "CANARY" not in origin.log()
