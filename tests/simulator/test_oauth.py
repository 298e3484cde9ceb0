"""Every rule of Airtable's OAuth reference, with its documented error."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from airtable_oauth.oauth import pkce
from airtable_oauth.simulator import Simulator
from tests.helpers import AIRTABLE, REDIRECT_URI, SCOPES, decide, make_simulator, query_of

VERIFIER = "v" * 64
AUTHORIZATION: dict[str, str] = {
    "client_id": "test-client",
    "redirect_uri": REDIRECT_URI,
    "response_type": "code",
    "scope": " ".join(SCOPES),
    "state": "s" * 16,
    "code_challenge": pkce.code_challenge(VERIFIER),
    "code_challenge_method": "S256",
}
BASIC = ("test-client", "test-secret")


@pytest.fixture
async def person(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(simulator) as client:
        yield client


def client_of(simulator: Simulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(simulator.app), base_url=AIRTABLE)


async def ask(person: httpx.AsyncClient, *parameters: tuple[str, str]) -> httpx.Response:
    return await person.get("/oauth2/v1/authorize", params=list(parameters))


async def new_code(person: httpx.AsyncClient, **changes: str) -> str:
    url = httpx.URL("/oauth2/v1/authorize", params=AUTHORIZATION | changes)
    return (await decide(person, str(url)))["code"]


def exchange_form(code: str, **changes: str) -> dict[str, str]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
    }
    return form | changes


async def send(person: httpx.AsyncClient, form: Any, **options: Any) -> httpx.Response:
    return await person.post("/oauth2/v1/token", data=form, **({"auth": BASIC} | options))


async def connect(person: httpx.AsyncClient, **changes: str) -> dict[str, Any]:
    answer = await send(person, exchange_form(await new_code(person, **changes)))
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def refresh_form(tokens: dict[str, Any], **changes: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]} | changes


def assert_refused(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]


# Authorization requests


async def test_consent_page_shows_what_is_asked_for(person: httpx.AsyncClient) -> None:
    """The page lists the integration, the scopes in words, and the bases."""
    page = await ask(person, *AUTHORIZATION.items())
    assert page.status_code == 200
    for text in ("Demo integration", "See the data in records", "Product launch", "Deny"):
        assert text in page.text


async def test_consent_brings_code_and_state(person: httpx.AsyncClient) -> None:
    """The redirect has no other parameters."""
    url = httpx.URL("/oauth2/v1/authorize", params=AUTHORIZATION)
    assert set(await decide(person, str(url))) == {"code", "state"}


async def test_denial_brings_an_error(person: httpx.AsyncClient) -> None:
    """The redirect has a description and the state."""
    url = httpx.URL("/oauth2/v1/authorize", params=AUTHORIZATION)
    parameters = await decide(person, str(url), decision="deny")
    assert set(parameters) == {"error", "error_description", "state"}
    assert parameters["error"] == "access_denied"


async def test_consent_page_works_once(person: httpx.AsyncClient) -> None:
    """Its form cannot be submitted twice. The second answer says what the person can do."""
    page = await ask(person, *AUTHORIZATION.items())
    consent = page.text.partition('name="consent" value="')[2].partition('"')[0]
    form = {"consent": consent, "decision": "grant"}
    assert (await person.post("/oauth2/v1/authorize", data=form)).status_code == 302
    again = await person.post("/oauth2/v1/authorize", data=form)
    assert again.status_code == 400
    assert "Go back to your app and connect again." in again.text
    assert "redirect URI" not in again.text


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "unknown"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": REDIRECT_URI + "/"},
        {"redirect_uri": REDIRECT_URI.replace("localhost", "127.0.0.1")},
        {"redirect_uri": REDIRECT_URI.replace("callback", "%63allback")},
    ],
)
async def test_unknown_client_or_redirect_uri_never_comes_back(
    person: httpx.AsyncClient, changes: dict[str, str | None]
) -> None:
    """The user sees an error page. The redirect URI is compared byte for byte."""
    wanted = {name: value for name, value in (AUTHORIZATION | changes).items() if value}
    page = await ask(person, *wanted.items())
    assert page.status_code == 400
    assert page.headers["content-type"].startswith("text/html")
    assert "location" not in page.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "data.records:read data.records:read"}, "invalid_scope"),
        ({"scope": "data.records:write"}, "invalid_scope"),
        ({"scope": "data.records:read  schema.bases:read"}, "invalid_scope"),
        ({"state": None}, "invalid_request"),
        ({"state": "s" * 15}, "invalid_request"),
        ({"state": "s" * 1025}, "invalid_request"),
        ({"state": "s" * 16 + "~"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "c" * 42}, "invalid_request"),
        ({"code_challenge": "c" * 43 + "="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
async def test_faulty_request_comes_back_with_an_error(
    person: httpx.AsyncClient, changes: dict[str, str | None], error: str
) -> None:
    """The redirect has the state, if the request had one."""
    wanted = {name: value for name, value in (AUTHORIZATION | changes).items() if value is not None}
    answer = await ask(person, *wanted.items())
    assert answer.status_code == 302
    parameters = query_of(answer.headers["location"])
    assert parameters["error"] == error
    assert parameters.get("state") == wanted.get("state")


@pytest.mark.parametrize("name", ["response_type", "scope", "state", "code_challenge"])
async def test_repeated_parameter_is_refused(person: httpx.AsyncClient, name: str) -> None:
    answer = await ask(person, *AUTHORIZATION.items(), (name, AUTHORIZATION[name]))
    assert query_of(answer.headers["location"])["error"] == "invalid_request"


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
async def test_repeated_client_or_redirect_uri_is_an_error_page(
    person: httpx.AsyncClient, name: str
) -> None:
    """The redirect target is ambiguous then."""
    assert (await ask(person, *AUTHORIZATION.items(), (name, "x"))).status_code == 400


# Code exchange


async def test_tokens_of_a_code(person: httpx.AsyncClient) -> None:
    """The answer has every field of Airtable's reference."""
    tokens = await connect(person)
    assert tokens["access_token"]
    assert tokens["refresh_token"]
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert (tokens["scope"], tokens["refresh_expires_in"]) == (" ".join(SCOPES), 5184000)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
async def test_basic_in_either_alphabet(encode: Any) -> None:
    """The reference says base64url, but Airtable's own example sends base64."""
    simulator = make_simulator(client_secret="s??>>")
    async with client_of(simulator) as person:
        header = f"Basic {encode(b'test-client:s??>>').decode()}"
        answer = await send(
            person,
            exchange_form(await new_code(person)),
            auth=None,
            headers={"Authorization": header},
        )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        {"auth": None},
        {"auth": ("test-client", "wrong")},
        {"auth": ("unknown", "test-secret")},
        {"auth": ("test-client", "")},
        {"auth": None, "headers": {"Authorization": "Basic !!!"}},
        {"auth": None, "headers": {"Authorization": "Bearer x"}},
    ],
)
async def test_client_with_a_secret_must_authenticate(
    person: httpx.AsyncClient, options: dict[str, Any]
) -> None:
    """A secret in the body does not count."""
    form = exchange_form("c", client_id="test-client", client_secret="test-secret")
    assert_refused(await send(person, form, **options), 401, "invalid_client")


async def test_client_without_a_secret_must_not_authenticate() -> None:
    """Such a client sends its id in the body."""
    async with client_of(make_simulator(client_secret="")) as person:
        form = exchange_form(await new_code(person), client_id="test-client")
        refused = await send(person, form, auth=("test-client", ""))
        assert_refused(refused, 401, "invalid_client")
        form = exchange_form(await new_code(person))
        assert_refused(await send(person, form, auth=None), 400, "invalid_request")
        form = exchange_form(await new_code(person), client_id="test-client")
        assert (await send(person, form, auth=None)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"redirect_uri": "http://localhost:4200/other"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code_verifier": "v" * 42}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"code_verifier": "v" * 63 + "~"}, "invalid_request"),
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"client_id": "other"}, "invalid_request"),
    ],
)
async def test_failed_attempt_spends_the_code(
    person: httpx.AsyncClient, changes: dict[str, str], error: str
) -> None:
    """The code is spent whatever was wrong with the first attempt."""
    code = await new_code(person)
    assert_refused(await send(person, exchange_form(code, **changes)), 400, error)
    assert_refused(await send(person, exchange_form(code)), 400, "invalid_grant")


async def test_code_is_good_once(person: httpx.AsyncClient) -> None:
    code = await new_code(person)
    assert (await send(person, exchange_form(code))).status_code == 200
    assert_refused(await send(person, exchange_form(code)), 400, "invalid_grant")


async def test_code_lives_ten_minutes(person: httpx.AsyncClient, simulator: Simulator) -> None:
    young, old = await new_code(person), await new_code(person)
    simulator.clock.advance(599)
    assert (await send(person, exchange_form(young))).status_code == 200
    simulator.clock.advance(1)
    assert_refused(await send(person, exchange_form(old)), 400, "invalid_grant")


async def test_missing_code(person: httpx.AsyncClient) -> None:
    """`code` is required."""
    assert_refused(await send(person, exchange_form("")), 400, "invalid_request")


async def test_only_forms_are_read(person: httpx.AsyncClient) -> None:
    """A body of another Content-Type is refused."""
    answer = await person.post("/oauth2/v1/token", json=exchange_form("c"), auth=BASIC)
    assert_refused(answer, 400, "invalid_request")


async def test_repeated_field_is_refused(person: httpx.AsyncClient) -> None:
    """See RFC 6749, section 3.2."""
    form = exchange_form("c") | {"code": ["c", "d"]}
    assert_refused(await send(person, form), 400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_token_endpoint_is_for_servers(person: httpx.AsyncClient, method: str) -> None:
    """It accepts POST only and sends no CORS headers, so a browser cannot call it."""
    answer = await person.request(
        method,
        "/oauth2/v1/token",
        headers={"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


# Rotation


async def whoami(person: httpx.AsyncClient, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return (await person.get("/v0/meta/whoami", headers=headers)).status_code


async def test_refresh_kills_the_old_pair_at_once(person: httpx.AsyncClient) -> None:
    """Both the refresh token and the access token become invalid."""
    old = await connect(person)
    answer = await send(person, refresh_form(old))
    assert answer.status_code == 200
    assert await whoami(person, old["access_token"]) == 401
    assert await whoami(person, answer.json()["access_token"]) == 200


async def test_used_refresh_token_is_a_conflict_then_invalid(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    """It is answered 409 for ten seconds, because another process may have the new pair."""
    old = await connect(person)
    await send(person, refresh_form(old))
    simulator.clock.advance(9)
    assert (await send(person, refresh_form(old))).status_code == 409
    simulator.clock.advance(1)
    assert_refused(await send(person, refresh_form(old)), 400, "invalid_grant")


async def test_refresh_token_lives_sixty_days(
    person: httpx.AsyncClient, simulator: Simulator
) -> None:
    young, old = await connect(person), await connect(person)
    simulator.clock.advance(60 * 86400 - 1)
    assert (await send(person, refresh_form(young))).status_code == 200
    simulator.clock.advance(1)
    assert_refused(await send(person, refresh_form(old)), 400, "invalid_grant")


async def test_access_token_lives_an_hour(person: httpx.AsyncClient, simulator: Simulator) -> None:
    tokens = await connect(person)
    simulator.clock.advance(3599)
    assert await whoami(person, tokens["access_token"]) == 200
    simulator.clock.advance(1)
    assert await whoami(person, tokens["access_token"]) == 401


async def test_refresh_for_fewer_scopes(person: httpx.AsyncClient) -> None:
    """A refresh may ask for a subset of the scopes, and for nothing else."""
    tokens = await connect(person)
    more = refresh_form(tokens, scope="data.records:write")
    assert_refused(await send(person, more), 400, "invalid_request")
    answer = await send(person, refresh_form(tokens, scope="user.email:read"))
    assert answer.json()["scope"] == "user.email:read"


@pytest.mark.parametrize("token", ["", "unknown"])
async def test_unknown_refresh_token(person: httpx.AsyncClient, token: str) -> None:
    """A missing token is `invalid_request`, an unknown one `invalid_grant`."""
    answer = await send(person, {"grant_type": "refresh_token", "refresh_token": token})
    assert_refused(answer, 400, "invalid_grant" if token else "invalid_request")
