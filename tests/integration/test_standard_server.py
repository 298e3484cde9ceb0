"""The service with an authorization server that follows RFC 6749 and 7636, but is not Airtable."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from airtable_oauth.app import create_app
from tests.helpers import CSRF, SCOPES, begin, make_settings, query_of
from tests.integration.standard_server import standard_server

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def authorization_server() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # it runs on loopback
        with standard_server() as url:
            yield url


@pytest.fixture
async def browser(authorization_server: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(make_settings(airtable_url=authorization_server))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
        ) as client,
    ):
        yield client


async def callback(authorization_url: str) -> dict[str, str]:
    async with httpx.AsyncClient() as person:
        answer = await person.get(authorization_url)
    assert answer.status_code == 302, answer.text
    return query_of(answer.headers["location"])


async def test_connect_and_refresh(browser: httpx.AsyncClient) -> None:
    """The whole flow works without the fields that only Airtable sends."""
    parameters = await callback(await begin(browser))
    assert set(parameters) == {"code", "state"}
    answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
    assert answer.status_code == 200, answer.text
    first = answer.json()
    assert first["scope"] == " ".join(SCOPES)
    assert first["refresh_expires_in"] is None
    body = {"refresh_token": first["refresh_token"]}
    answer = await browser.post("/token-refresh", json=body)
    assert answer.status_code == 200, answer.text
    second = answer.json()
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    again = await browser.post("/token-refresh", json=body)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_wrong_code_is_an_invalid_grant(browser: httpx.AsyncClient) -> None:
    """RFC 6749, section 5.2."""
    parameters = await callback(await begin(browser))
    wrong = parameters | {"code": "wrong"}
    answer = await browser.post("/token-exchange", json=wrong, headers=CSRF)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_wrong_secret_is_a_configuration_error(authorization_server: str) -> None:
    """A 401 `invalid_client` becomes a configuration error."""
    settings = make_settings(airtable_url=authorization_server, client_secret="wrong")
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
        ) as browser,
    ):
        parameters = await callback(await begin(browser))
        answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
    assert (answer.status_code, answer.json()["action"]) == (500, "fix_config")


async def test_server_requires_pkce_and_checks_it(browser: httpx.AsyncClient) -> None:
    """A server that ignored PKCE would make `test_connect_and_refresh` worthless."""
    url = httpx.URL(await begin(browser))
    without = url.copy_remove_param("code_challenge").copy_remove_param("code_challenge_method")
    async with httpx.AsyncClient() as person:
        assert (await person.get(without)).status_code == 400
    other = url.copy_set_param("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    parameters = await callback(str(other))
    answer = await browser.post("/token-exchange", json=parameters, headers=CSRF)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
