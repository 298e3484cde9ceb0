import logging
import re
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from airtable_oauth import AirtableOAuth
from airtable_oauth.app import create_app
from airtable_oauth.stores import Entry
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, ORIGIN, begin, make_settings


class BrokenStore(MemoryStore):
    """A store with a bug."""

    async def get(self, key: str) -> Entry | None:
        raise RuntimeError(f"CANARY {key}")

    async def pop(self, key: str) -> bytes | None:
        raise RuntimeError(f"CANARY {key}")

    async def put(self, key: str, value: bytes, ttl: float) -> None:
        raise RuntimeError(f"CANARY {key} {value!r} {ttl}")


def client_of(app: FastAPI, base_url: str = "http://localhost:3000") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


async def many_statuses(**overrides: Any) -> dict[int, httpx.Response]:
    """One answer of each status that is easy to provoke."""
    app = create_app(make_settings(**overrides), store=MemoryStore(limits={"airtable:login": 0}))
    broken = create_app(make_settings(**overrides), store=BrokenStore())
    origin = {"Origin": ORIGIN}
    async with client_of(app) as client, client_of(broken) as breaking:
        answers = [
            await client.get("/health/live", headers=origin),
            await client.get("/nowhere", headers=origin),
            await client.put("/token-exchange", headers=origin),
            await client.post("/token-exchange", json={}, headers=origin | CSRF),
            await client.post("/token-exchange", content=b"x", headers=origin | CSRF),
            await client.post("/token-exchange", json=["x" * 20_000], headers=origin | CSRF),
            await client.get("/authorization-url", headers=origin),
            await client.get("/authorization-url", headers=origin | {"Sec-Fetch-Site": "none"}),
            await breaking.get("/authorization-url", headers=origin),
        ]
    return {answer.status_code: answer for answer in answers}


async def test_every_answer_has_cors_and_security_headers() -> None:
    """Without CORS headers on an error, a browser could not read it."""
    answers = await many_statuses()
    assert set(answers) == {200, 403, 404, 405, 413, 415, 422, 500, 503}
    for answer in answers.values():
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "Origin" in answer.headers["vary"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        csp = "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["content-security-policy"] == csp
        assert "strict-transport-security" not in answer.headers


async def test_every_error_has_the_one_body() -> None:
    """This holds for errors of the service, FastAPI and Starlette. The id is also in a header."""
    for status, answer in (await many_statuses()).items():
        if status == 200:
            continue
        body = answer.json()
        assert set(body) == {"error", "error_description", "action", "request_id"}
        assert body["action"] in ("retry", "restart_login", "reconnect", "fix_config")
        assert body["request_id"] == answer.headers["x-request-id"]
        assert answer.headers["cache-control"] == "no-store"


async def test_https_brings_hsts() -> None:
    """The header depends on `PUBLIC_URL`."""
    for answer in (await many_statuses(public_url="https://api.example.com")).values():
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example"])
async def test_unlisted_origin_gets_no_cors_headers(
    browser: httpx.AsyncClient, origin: str
) -> None:
    """This holds for requests and preflights."""
    preflight = {"Access-Control-Request-Method": "POST"}
    for answer in (
        await browser.get("/health/live", headers={"Origin": origin}),
        await browser.get("/authorization-url", headers={"Origin": origin}),
        await browser.options("/token-exchange", headers={"Origin": origin} | preflight),
    ):
        assert "access-control-allow-origin" not in answer.headers
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
async def test_preflight_of_a_listed_origin(browser: httpx.AsyncClient, method: str) -> None:
    """It allows the methods and headers that the endpoints need."""
    answer = await browser.options(
        "/token-exchange",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type,x-csrf",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_unexpected_error_reveals_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets an id, and the log has the traceback under that id."""
    answer = (await many_statuses())[500]
    assert "CANARY" not in answer.text
    assert answer.json()["request_id"] in caplog.text
    assert "builtins.RuntimeError" in caplog.text
    assert "test_app.py" in caplog.text
    assert "CANARY" not in caplog.text


async def test_crash_outside_our_routes_reaches_no_other_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The server would log the message. The service answers, and logs the type once."""
    app = create_app(make_settings())

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("CANARY")

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as client:
        answer = await client.get("/crash", headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert caplog.text.count("builtins.RuntimeError") == 1
    assert "CANARY" not in caplog.text + answer.text


async def test_slash_at_the_end_is_not_redirected(browser: httpx.AsyncClient) -> None:
    """A redirect would repeat the code in its URL."""
    answer = await browser.get("/token-exchange/", params={"code": "CANARY", "state": "x"})
    assert answer.status_code == 404
    assert "CANARY" not in str(answer.headers)


async def test_log_line_has_no_query_and_no_control_characters(
    browser: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A code in a URL must not be logged, and a request must not forge log lines."""
    caplog.set_level(logging.DEBUG, "airtable_oauth")
    answer = await browser.get("/token-exchange%0aINFO%1b[31m", params={"code": "CANARY"})
    lines = [record.getMessage() for record in caplog.records if "404" in record.getMessage()]
    assert len(lines) == 1
    assert lines == [r"GET /token-exchange\nINFO\x1b[31m 404"]
    assert answer.status_code == 404


def test_telemetry_of_the_framework_is_off() -> None:
    """FastAPI's telemetry records query strings, so a code in a URL would end up in a span."""
    app = create_app(make_settings())
    assert not app._native_telemetry.enabled()  # noqa: SLF001 (no public API shows it)
    assert app._telemetry["tracing"] is False  # noqa: SLF001


def documented_operations(app: FastAPI) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    ]


def test_openapi_documents_every_route_and_its_errors() -> None:
    """Every error has the common body, and every 2xx its own."""
    app = create_app(make_settings())
    operations = documented_operations(app)
    assert {(path, method) for path, method, _ in operations} == {
        ((context.path or "").replace("{path:path}", "{path}"), method.lower())
        for context in iter_route_contexts(app.routes)
        for method in context.methods or ()
        if getattr(context, "include_in_schema", True) and context.path != "/openapi.json"
    }
    for path, _method, operation in operations:
        responses = operation["responses"]
        assert "500" in responses, path
        if path.startswith("/airtable/"):  # Airtable defines these bodies
            responses = {key: each for key, each in responses.items() if key.startswith(("4", "5"))}
        for status, response in responses.items():
            schema = response["content"]["application/json"]["schema"]["$ref"]
            assert ("Error" in schema) == (status >= "400"), (path, status)
            assert "HTTPValidationError" not in schema


def test_openapi_names_the_code_of_a_token_request_that_has_to_wait_too_long() -> None:
    """Every route that sends one may answer with it."""
    assert {
        (path, method)
        for path, method, operation in documented_operations(create_app(make_settings()))
        if "`temporarily_unavailable`: Too many token requests"
        in operation["responses"].get("503", {}).get("description", "")
    } == {
        ("/token-exchange", "get"),
        ("/token-exchange", "post"),
        ("/token-refresh", "post"),
        ("/session", "post"),
    }


def test_openapi_names_the_codes_of_a_record_that_cannot_be_read() -> None:
    """Every route that reads a session or a login may answer with them."""
    assert {
        (path, method)
        for path, method, operation in documented_operations(create_app(make_settings()))
        if "`unknown_encryption_key`"
        not in operation["responses"].get("503", {}).get("description", "")
    } == {("/token-refresh", "post"), ("/health/live", "get"), ("/health/ready", "get")}


def test_openapi_documents_the_statuses_of_the_contract() -> None:
    """Other tests of this suite provoke each of these statuses."""
    documented = {
        (path, method): set(operation["responses"])
        for path, method, operation in documented_operations(create_app(make_settings()))
    }
    exchange = {"200", "400", "403", "422", "500", "502", "503", "504"}
    assert documented == {
        ("/authorization-url", "get"): {"200", "403", "422", "500", "503"},
        ("/token-exchange", "get"): exchange,
        ("/token-exchange", "post"): exchange | {"413", "415"},
        ("/token-refresh", "post"): {
            *("200", "400", "409", "413", "415", "422", "500", "502", "503", "504"),
        },
        ("/session", "post"): exchange - {"200"} | {"201", "413", "415"},
        ("/session", "get"): {"200", "401", "403", "500", "503"},
        ("/session", "delete"): {"200", "401", "403", "500", "503"},
        **{
            ("/airtable/{path}", method): {
                *("200", "default", "400", "401", "403", "413", "415", "429"),
                *("500", "502", "503", "504"),
            }
            for method in ("get", "post", "patch", "put", "delete")
        },
        ("/health/live", "get"): {"200", "500"},
        ("/health/ready", "get"): {"200", "500", "503"},
    }


@pytest.mark.parametrize(
    ("model", "field", "words"),
    [
        ("BegunSession", "return_to", "absent if there was none"),
        ("SessionHealth", "reason", "null if it need not be"),
        ("AirtableUser", "email", "`user.email:read`"),
        ("Disconnected", "provider_revoked", "no revocation endpoint"),
        ("LoginTokens", "refresh_expires_in", "Seconds until the refresh token expires"),
        ("Tokens", "scope", "separated by spaces"),
        ("LoginErrorBody", "return_to", "absent if there was none"),
        ("ErrorBody", "action", "What the client should do"),
    ],
)
def test_openapi_describes_the_fields_of_answers(model: str, field: str, words: str) -> None:
    """Readers of `/docs` learn what a null means, and the unit of a number."""
    fields = create_app(make_settings()).openapi()["components"]["schemas"][model]["properties"]
    assert words in fields[field]["description"]


@pytest.mark.parametrize("model", ["ErrorBody", "LoginErrorBody"])
def test_openapi_names_the_actions_that_the_service_sends(model: str) -> None:
    """`fix_request` is for the errors of Airtable's Web API in a host's own routes."""
    fields = create_app(make_settings()).openapi()["components"]["schemas"][model]["properties"]
    assert fields["action"]["enum"] == ["retry", "restart_login", "reconnect", "fix_config"]


async def test_docs_come_from_us_alone(browser: httpx.AsyncClient) -> None:
    """They use no CDN and no inline script, and have their own policy."""
    page = await browser.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].split("style-src")[0]
    for asset in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert (await browser.get(f"/{asset}")).status_code == 200
    assert (await browser.get("/docs/%2e%2e/__init__.py")).status_code == 404
    assert (await browser.get("/docs/redoc.standalone.js")).status_code == 404


async def test_root_points_to_the_docs(browser: httpx.AsyncClient) -> None:
    """Someone who opens the service's address finds the documentation."""
    answer = await browser.get("/")
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "airtable-oauth",
        "version": version("airtable-oauth"),
        "docs": "http://localhost:3000/docs",
        "openapi": "http://localhost:3000/openapi.json",
    }
    assert (await browser.get(answer.json()["docs"])).status_code == 200
    assert (await browser.get(answer.json()["openapi"])).status_code == 200
    assert (await browser.get("/index.html")).status_code == 404


async def test_docs_can_be_switched_off() -> None:
    """This removes their assets and the schema as well."""
    async with client_of(create_app(make_settings(docs=False))) as client:
        for path in ("/", "/docs", "/openapi.json", "/docs/swagger-ui.css", "/redoc"):
            assert (await client.get(path)).status_code == 404


async def test_two_integrations_share_a_host_app(store: MemoryStore) -> None:
    """Each has its own name, prefix and cookies. They change nothing global."""
    app = FastAPI()
    for name in ("one", "two"):
        airtable = AirtableOAuth(make_settings(name=name, client_id=f"client-{name}"), store=store)
        app.include_router(airtable.router, prefix=f"/{name}")
    async with client_of(app) as client:
        for name in ("one", "two"):
            response = await client.get(f"/{name}/authorization-url")
            assert f"client_id=client-{name}&" in response.json()["authorizationUrl"]
            assert response.headers["cache-control"] == "no-store"
            missing = await client.post(f"/{name}/token-exchange", json={}, headers=CSRF)
            assert missing.json()["error"] == "invalid_request"
    assert sorted(cookie.partition("_login_")[0] for cookie in client.cookies) == ["one", "two"]


async def test_lifespan_closes_what_is_open(store: MemoryStore) -> None:
    """A host enters it in its own lifespan."""
    airtable = AirtableOAuth(make_settings(), store=store)
    app = FastAPI(lifespan=airtable.lifespan)
    app.include_router(airtable.router)
    async with airtable.lifespan(app), client_of(app) as client:
        await begin(client)
        assert [key async for key in store.scan("airtable:login")]
    assert not [key async for key in store.scan("airtable:login")]
