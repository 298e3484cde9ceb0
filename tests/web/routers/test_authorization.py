import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import REDIRECT_URI, SCOPES, begin, make_settings, query_of


async def test_url_is_for_the_configured_integration(browser: httpx.AsyncClient) -> None:
    """The URL has every parameter of Airtable's reference."""
    query = query_of(await begin(browser))
    assert set(query) == {
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
    }
    assert query["redirect_uri"] == REDIRECT_URI
    assert query["scope"] == " ".join(SCOPES)
    assert len(query["code_challenge"]) == 43


async def test_each_url_has_a_state_and_challenge_of_its_own(browser: httpx.AsyncClient) -> None:
    queries = [query_of(await begin(browser)) for _ in range(20)]
    assert len({query["state"] for query in queries}) == 20
    assert len({query["code_challenge"] for query in queries}) == 20


async def test_request_cannot_change_what_is_asked_for(browser: httpx.AsyncClient) -> None:
    """Query parameters and forwarding headers have no effect on the URL."""
    response = await browser.get(
        "/authorization-url",
        params={
            "redirect_uri": "https://evil.example",
            "client_id": "evil",
            "scope": "evil",
            "state": "evil",
        },
        headers={
            "Host": "evil.example",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Forwarded": "host=evil.example;proto=https",
        },
    )
    assert response.status_code == 200
    assert "evil" not in response.text
    assert "evil" not in str(response.headers)


async def test_login_cookie_of_localhost(browser: httpx.AsyncClient) -> None:
    """The cookie has no `Secure`, because a browser would drop it over plain HTTP."""
    response = await browser.get("/authorization-url")
    cookie = response.headers["set-cookie"].lower()
    assert cookie.startswith("airtable_login_")
    for attribute in ("httponly", "samesite=strict", "path=/", "max-age=600"):
        assert attribute in cookie
    assert "secure" not in cookie
    assert "domain" not in cookie


async def test_login_cookie_of_https(store: MemoryStore) -> None:
    """`Secure` and `__Host-` follow from `PUBLIC_URL`, never from a forwarded header."""
    app = create_app(make_settings(public_url="https://api.example.com"), store=store)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://10.0.0.7:3000"
    ) as client:
        response = await client.get("/authorization-url")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-airtable_login_")
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Secure"):
        assert attribute in cookie
    assert "Domain" not in cookie


async def test_browser_keeps_eight_logins_and_lets_the_oldest_go(
    browser: httpx.AsyncClient,
) -> None:
    """Otherwise cookies would pile up until a proxy refuses the request."""
    names: list[str] = []
    for _ in range(12):
        await begin(browser)
        names += [name for name in browser.cookies if name not in names]
    assert list(browser.cookies) == names[-8:]


@pytest.mark.parametrize("value", ["junk", "", ".", "99999999999999999999999999.x", "१२.x"])
async def test_cookie_that_the_service_did_not_make_is_harmless(
    browser: httpx.AsyncClient, value: str
) -> None:
    """Cookies that the service did not make are deleted first."""
    jar = {f"airtable_login_{number}": value for number in range(12)}
    header = "; ".join(f"{name}={value}" for name, value in jar.items())
    response = await browser.get("/authorization-url", headers=[(b"Cookie", header.encode())])
    assert response.status_code == 200
    assert len(response.headers.get_list("set-cookie")) == 1 + 5


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
async def test_only_get_begins_a_login(
    browser: httpx.AsyncClient, store: MemoryStore, method: str
) -> None:
    """Link previews and health checks must not fill the store."""
    response = await browser.request(method, "/authorization-url")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert "set-cookie" not in response.headers
    assert [key async for key in store.scan("airtable:login")] == []


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "bases",
        "",
        "/a\nb",
        "/a b",
        "/" + "a" * 3000,
    ],
)
async def test_return_to_must_be_a_local_path(browser: httpx.AsyncClient, return_to: str) -> None:
    """Any other value would make the end of a login an open redirect."""
    response = await browser.get("/authorization-url", params={"return_to": return_to})
    assert response.status_code == 422
    assert response.json()["error"] == "invalid_request"
    assert "evil" not in response.text


async def test_full_store_is_503(store: MemoryStore, browser: httpx.AsyncClient) -> None:
    """The answer says when to try again."""
    for number in range(100):
        await store.put(f"airtable:login:{number}", b"v", 600)
    response = await browser.get("/authorization-url")
    assert response.status_code == 503
    assert response.json()["error"] == "too_many_logins"
    assert response.headers["retry-after"] == "60"
    assert "set-cookie" not in response.headers
