"""`deploy/nginx.conf` in a real nginx: one origin, and nothing secret in its logs."""

from collections.abc import Iterator

import httpx
import pytest

from tests.helpers import CSRF, decide
from tests.one_origin import Origin, one_origin

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """Of its own for this module."""
    with one_origin(tmp_path_factory.mktemp("nginx")) as made:
        yield made


async def test_login_on_one_origin(origin: Origin) -> None:
    """Pages at `/`, the service below `/api`, no CORS list, and the cookie is kept."""
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


async def test_client_cannot_name_itself(origin: Origin) -> None:
    """Nginx sets the header that the service believes."""
    async with httpx.AsyncClient(base_url=origin.url) as browser:
        await browser.get("/api/health/live", headers={"X-Forwarded-For": "203.0.113.9"})
    assert "127.0.0.1" in (origin.logs / "serve.log").read_text()
    assert "203.0.113.9" not in (origin.logs / "serve.log").read_text()


async def test_flood_of_logins_from_one_address_is_slowed_down(origin: Origin) -> None:
    """In the one error body."""
    async with httpx.AsyncClient(base_url=origin.url) as browser:
        answers = [await browser.get("/api/authorization-url") for _ in range(30)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 5 <= len(refused) <= 11
    assert refused[0].json()["error"] == "too_many_logins"
    assert refused[0].headers["retry-after"] == "5"


async def test_error_log_has_no_query_either(origin: Origin) -> None:
    """With the service gone nginx would quote the request there."""
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
