import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, unquote

import httpx
import pytest

from airtable_oauth.app import create_app
from airtable_oauth.simulator import Fault, Simulator
from airtable_oauth.stores.memory import MemoryStore
from tests.helpers import CSRF, ORIGIN, FakeClock, make_settings
from tests.web.routers.test_session import error_of, log_in

BASES = "/airtable/v0/meta/bases"


class Upstream(httpx.AsyncBaseTransport):
    """The simulator. Records the requests, and can give other answers."""

    def __init__(self, simulator: Simulator) -> None:
        self.seen: list[httpx.Request] = []
        self.answers: list[httpx.Response] = []
        self._transport = httpx.ASGITransport(simulator.app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/oauth2"):
            return await self._transport.handle_async_request(request)
        self.seen.append(request)
        if self.answers and request.url.path != "/v0/meta/whoami":
            return self.answers.pop(0)
        return await self._transport.handle_async_request(request)


@pytest.fixture
def upstream(simulator: Simulator) -> Upstream:
    return Upstream(simulator)


@pytest.fixture
async def browser(
    upstream: Upstream, simulator: Simulator, store: MemoryStore, clock: FakeClock
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is logged in."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)
        clock.advance(seconds)
        simulator.clock.advance(seconds)

    app = create_app(make_settings(), store=store, transport=upstream, monotonic=clock, sleep=sleep)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost:3000"
    ) as client:
        assert (await log_in(client, simulator)).status_code == 201
        upstream.seen.clear()
        yield client


def expire(simulator: Simulator, clock: FakeClock) -> None:
    clock.advance(3601)
    simulator.clock.advance(3601)


async def test_bases_come_through(browser: httpx.AsyncClient) -> None:
    """Status, body and content type are Airtable's."""
    answer = await browser.get(BASES)
    assert answer.status_code == 200
    assert answer.json()["bases"][0]["name"] == "Product launch"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_query_and_path_go_through_as_they_are(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """Encoded slashes, brackets, plus signs and repeated parameters stay unchanged."""
    path = "/v0/appX/A%2FB%20%C3%BC%25?fields%5B%5D=a+b&fields%5B%5D=c%26d&sort[0][field]=x"
    await browser.get(f"/airtable{path}")
    assert upstream.seen[0].url.raw_path.decode() == path


@pytest.mark.parametrize(
    "name",
    [
        "👩\u200d💻 People",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u202bשלום\u202c, עולם\u200f",
        "می\u200cخواهم",
        "soft\u00adhyphen",
        "no\u00a0break",
        "\U000fffff",
        "v1.2 (…)",
        "50%",
        "50%25",
        "a/b",
        "#?&=+;:@",
    ],
)
async def test_table_may_have_any_name_that_people_write(
    browser: httpx.AsyncClient, upstream: Upstream, name: str
) -> None:
    """Invisible characters join emoji and mark right-to-left text."""
    path = f"/v0/appX/{quote(name, safe='')}"
    await browser.get(f"/airtable{path}")
    assert upstream.seen[0].url.raw_path.decode() == path


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_methods_and_bodies_go_through(
    browser: httpx.AsyncClient, upstream: Upstream, method: str
) -> None:
    """The body arrives byte for byte."""
    body = b'{"records": [{"fields": {"N\xc3\xa4me": 1.0e0}}]}'
    upstream.answers = [httpx.Response(200, json={"ok": True})]
    headers = CSRF | {"Content-Type": "application/json; charset=utf-8"}
    answer = await browser.request(method, "/airtable/v0/appX/T", content=body, headers=headers)
    assert answer.json() == {"ok": True}
    assert (upstream.seen[0].method, upstream.seen[0].content) == (method, body)
    assert upstream.seen[0].headers["content-type"] == "application/json"


async def test_errors_of_airtable_come_through(browser: httpx.AsyncClient) -> None:
    """They keep Airtable's body. The service's own errors have its own body."""
    answer = await browser.get("/airtable/v0/appUnknown/Table")
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"


async def test_without_a_session_nothing_is_asked(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """The answer is a 401 with the service's error body."""
    browser.cookies.clear()
    assert error_of(await browser.get(BASES)) == (401, "not_connected", "restart_login")
    assert upstream.seen == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_unsafe_method_needs_the_csrf_header(
    browser: httpx.AsyncClient, upstream: Upstream, method: str
) -> None:
    """The cookie alone does not show that the user meant the request."""
    answer = await browser.request(method, "/airtable/v0/appX/T", json={})
    assert error_of(answer) == (403, "cross_site_request", "fix_config")
    assert upstream.seen == []


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE"])
async def test_other_methods_are_not_served(
    browser: httpx.AsyncClient, upstream: Upstream, method: str
) -> None:
    assert (await browser.request(method, BASES)).status_code == 405
    assert upstream.seen == []


TRICKS = [
    "",
    "v0",
    "v0/",
    "v1/meta",
    "oauth2/v1/token",
    "V0/meta/bases",
    "%760/meta/bases",
    "https://evil.example/v0/x",
    "https:%2F%2Fevil.example/v0/x",
    "//evil.example/v0/x",
    "/v0/meta/bases",
    "v0//meta",
    "v0/meta/",
    "v0/../oauth2/v1/token",
    "v0/meta/../../oauth2",
    "v0/./meta",
    "v0/%2e%2e/oauth2",
    "v0/%2E%2E/oauth2",
    "v0/.%2e/oauth2",
    "v0/%2e/meta",
    "v0/%252e%252e/oauth2",
    "v0/%25252e%25252e/oauth2",
    "v0/..%2foauth2",
    "v0/..%5coauth2",
    "v0/x%2f..%2f..%2foauth2",
    "v0/x%2f%2e%2e%2f..%2foauth2",
    "v0/..;/oauth2",
    "v0/..%3bx/oauth2",
    "v0/%20../oauth2",
    "v0/..%20/oauth2",
    "v0/%c0%ae%c0%ae/oauth2",
    "v0/%ef%bc%8e%ef%bc%8e/oauth2",
    "v0/\\..\\oauth2",
    "v0/a%00b",
    "v0/a%0d%0aHost:%20evil",
    "v0/a%0ab",
    "v0/a%7fb",
    "v0/a%C2%85b",
    "v0/a%E2%80%A8b",
    "v0/%E2%80%8D..%E2%80%8F/oauth2",
    "v0/%C2%A0..%E3%80%80/oauth2",
    "v0/a%252525253b",
    "v0/a%25252525252e%25252525252e",
]


async def get_raw(
    browser: httpx.AsyncClient, raw_path: str, query: bytes = b""
) -> tuple[int, dict[str, Any]]:
    """`GET` exactly this path, which clients would normalise. Returns status and body."""
    app = browser._transport.app  # type: ignore[attr-defined] # noqa: SLF001 (the service itself)
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    cookie = f"airtable_session={browser.cookies['airtable_session']}".encode()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "server": ("localhost", 3000),
        "root_path": "",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": query,
        "headers": [(b"host", b"localhost:3000"), (b"cookie", cookie)],
    }
    await app(scope, receive, send)
    return messages[0]["status"], json.loads(b"".join(each["body"] for each in messages[1:]))


async def test_query_that_is_not_encoded_arrives_encoded(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """Curl sends such bytes unchanged. An earlier version read them as Latin-1."""
    upstream.answers = [httpx.Response(200, json={})]
    query = "view=ü&a=%C3%BC b\x01".encode()
    assert await get_raw(browser, "/airtable/v0/appX/T", query) == (200, {})
    assert upstream.seen[0].url.query == b"view=%C3%BC&a=%C3%BC%20b%01"


async def test_url_that_is_too_long_for_any_client_is_a_clear_error(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """Servers other than ours may accept such a URL."""
    status, body = await get_raw(browser, "/airtable/v0/appX/T", b"a=" + b"b" * 70_000)
    assert (status, body["error"]) == (400, "invalid_request")
    assert upstream.seen == []


@pytest.mark.parametrize("trick", TRICKS)
async def test_path_that_leads_elsewhere_is_refused(
    browser: httpx.AsyncClient, upstream: Upstream, trick: str
) -> None:
    """In any encoding, such a path is a 4xx and no request is sent."""
    status, body = await get_raw(browser, f"/airtable/{trick}")
    assert status in (400, 404)
    assert body["error"] in ("invalid_request", "not_found")
    assert upstream.seen == []


@pytest.mark.parametrize(
    "path",
    ["v0/" + "a/" * 32_000, "v0/%" + "25" * 32_000, "v0/" + "%2e%2e%2f" * 7_000],
    ids=["slashes", "nested", "encoded"],
)
async def test_long_path_is_refused_at_once(
    browser: httpx.AsyncClient, upstream: Upstream, path: str
) -> None:
    """Such paths once blocked the event loop for up to 21 seconds."""
    started = time.perf_counter()
    status, body = await get_raw(browser, f"/airtable/{path}")
    assert time.perf_counter() - started < 0.25
    assert (status, body["error"]) == (400, "invalid_request")
    assert "8 KiB" in body["error_description"]
    assert upstream.seen == []


@pytest.mark.parametrize(
    "path",
    ["v0" + "/..a" * 2000, "v0/%" + "25" * 4000, "v0/" + "%CC%80%CC%96" * 680, "v0" + "/a" * 4000],
    ids=["dots", "nested", "combining marks", "segments"],
)
async def test_path_of_8_kib_is_checked_in_no_time(
    browser: httpx.AsyncClient, upstream: Upstream, path: str
) -> None:
    """The time of the checks is linear in the length of the path."""
    upstream.answers = [httpx.Response(200, json={})]
    started = time.perf_counter()
    await get_raw(browser, f"/airtable/{path}")
    assert time.perf_counter() - started < 0.25


async def test_only_headers_that_describe_the_body_reach_airtable(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """The client's cookies, authorization and forwarding headers are not sent to Airtable."""
    await browser.get(
        BASES,
        headers={
            "Authorization": "Bearer evil",
            "Cookie": f"airtable_session={browser.cookies['airtable_session']}; a=b",
            "X-Forwarded-For": "1.2.3.4",
            "Forwarded": "for=1.2.3.4",
            "Connection": "close, X-Evil",
            "X-Evil": "1",
            "TE": "trailers",
            "Origin": ORIGIN,
            "Referer": ORIGIN,
            "X-Airtable-Client-Secret": "x",
        },
    )
    sent = upstream.seen[0].headers
    assert set(sent) == {"host", "accept", "accept-encoding", "user-agent", "authorization"}
    assert sent["host"] == "api.airtable.com"
    assert sent["authorization"].startswith("Bearer oaa")
    assert sent["user-agent"].startswith("airtable-oauth/")


async def test_only_headers_that_describe_the_body_reach_the_client(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """Airtable's cookies, CORS headers and redirects are replaced by the service's own headers."""
    upstream.answers = [
        httpx.Response(
            302,
            headers=[
                ("Set-Cookie", "brw=1; Domain=.airtable.com"),
                ("Access-Control-Allow-Origin", "*"),
                ("Location", "https://evil.example"),
                ("Connection", "X-Evil"),
                ("Strict-Transport-Security", "max-age=0"),
                ("Content-Type", "application/json"),
                ("ETag", '"x"'),
            ],
            content=b"{}",
        )
    ]
    answer = await browser.get(BASES, headers={"Origin": ORIGIN})
    assert answer.status_code == 302
    for name in ("set-cookie", "location", "connection", "strict-transport-security"):
        assert name not in answer.headers
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["etag"] == '"x"'


async def test_compressed_answer_stays_compressed(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """The proxy does not decompress: it asks for gzip only if the client accepts gzip."""
    packed = gzip.compress(json.dumps({"a": 1}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    upstream.answers = [httpx.Response(200, headers=headers, content=packed)]
    answer = await browser.get(BASES, headers={"Accept-Encoding": "gzip, br"})
    assert upstream.seen[0].headers["accept-encoding"] == "gzip"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == {"a": 1}
    await browser.get(BASES, headers={"Accept-Encoding": "br"})
    assert upstream.seen[1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "PUT", "DELETE"])
async def test_call_in_flight_when_the_tokens_rotate_succeeds(
    browser: httpx.AsyncClient, upstream: Upstream, method: str
) -> None:
    """Airtable sends 401 before it does anything, so the same request is safe to repeat once."""
    upstream.answers = [
        httpx.Response(401, json={"error": {"type": "AUTHENTICATION_REQUIRED"}}),
        httpx.Response(200, json={"done": True}),
    ]
    options: dict[str, Any] = {} if method == "GET" else {"json": {"a": 1}, "headers": CSRF}
    answer = await browser.request(method, "/airtable/v0/appX/T?x=1", **options)
    assert answer.json() == {"done": True}
    first, second = upstream.seen
    assert (first.method, first.url, first.content) == (second.method, second.url, second.content)
    assert len(upstream.seen) == 2


async def test_second_401_is_passed_on(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    """If a forced refresh did not help, the service does not force another one immediately."""
    upstream.answers = [
        httpx.Response(401, json={"error": {"type": "AUTHENTICATION_REQUIRED"}}) for _ in range(3)
    ]
    answer = await browser.get(BASES)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "AUTHENTICATION_REQUIRED"
    assert len(upstream.seen) == 2
    assert (await browser.get(BASES)).status_code == 401
    assert len(upstream.seen) == 3


async def test_expired_token_is_renewed_first(
    browser: httpx.AsyncClient, upstream: Upstream, simulator: Simulator, clock: FakeClock
) -> None:
    """A hundred calls cause one refresh, and all of them succeed."""
    expire(simulator, clock)
    paths = [BASES for _ in range(100)]
    answers = await asyncio.gather(*(browser.get(path) for path in paths))
    assert {answer.status_code for answer in answers} == {200}
    assert len(simulator.token_requests()) == 2
    assert len(upstream.seen) == 100


async def test_refresh_that_does_not_get_through_is_503(
    browser: httpx.AsyncClient, upstream: Upstream, simulator: Simulator, clock: FakeClock
) -> None:
    """`Retry-After` is the time until the next attempt."""
    expire(simulator, clock)
    simulator.faults.add(Fault(status=502))
    answer = await browser.get(BASES)
    assert error_of(answer) == (503, "access_unavailable", "retry")
    assert answer.headers["retry-after"] == "10"
    assert upstream.seen == []
    assert (await browser.get("/session")).json()["status"] == "refreshing"


async def test_airtable_that_does_not_answer(
    browser: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The answer is a 502 with the service's error body. A `POST` is not sent twice."""
    simulator.faults.add(Fault("/v0/appX", drop=True))
    before = len(simulator.requests)
    answer = await browser.post("/airtable/v0/appX/T", json={}, headers=CSRF)
    assert error_of(answer) == (502, "airtable_error", "retry")
    assert len(simulator.requests) == before + 1


async def test_large_body_is_413(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    headers = CSRF | {"Content-Type": "application/json"}
    content = b"x" * (2 * 1024 * 1024 + 1)
    answer = await browser.post("/airtable/v0/appX/T", content=content, headers=headers)
    assert error_of(answer)[0] == 413
    assert upstream.seen == []


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data", None])
async def test_body_must_be_json(
    browser: httpx.AsyncClient, upstream: Upstream, content_type: str | None
) -> None:
    """Airtable's Web API accepts only JSON."""
    headers = CSRF | ({"Content-Type": content_type} if content_type else {})
    answer = await browser.post("/airtable/v0/appX/T", content=b"{}", headers=headers)
    assert error_of(answer)[0] == 415
    assert upstream.seen == []


async def test_backend_that_forwards_the_cookie_acts_as_the_user(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """A backend in any language can do so while it serves a request of that browser."""
    cookie = {"Cookie": f"airtable_session={browser.cookies['airtable_session']}"}
    browser.cookies.clear()
    user = (await browser.get("/session", headers=cookie)).json()["user"]
    assert user["id"].startswith("usr")
    upstream.answers = [httpx.Response(200, json={"done": True})]
    answer = await browser.post("/airtable/v0/appX/T", json={}, headers=cookie | CSRF)
    assert answer.json() == {"done": True}


# Rate limits


async def test_base_gets_five_requests_a_second(
    browser: httpx.AsyncClient, simulator: Simulator, clock: FakeClock
) -> None:
    """The sixth request waits, so Airtable never answers 429."""
    base = simulator.bases[0].id
    path = f"/airtable/v0/meta/bases/{base}/tables"
    answers = [await browser.get(path) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 12


async def test_request_whose_turn_is_far_off_is_refused(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    """The refusal is a 429 with the time to wait. Other bases are not delayed."""
    upstream.answers = [httpx.Response(200, json={}) for _ in range(200)]
    calls = [browser.get("/airtable/v0/appBusy/T") for _ in range(60)]
    answers = await asyncio.gather(*calls, browser.get("/airtable/v0/appQuiet/T"))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert error_of(refused[0]) == (429, "rate_limited", "retry")
    assert int(refused[0].headers["retry-after"]) >= 2
    assert answers[-1].status_code == 200


LIMITED = {"error": {"type": "RATE_LIMIT_REACHED", "message": "wait"}}


async def test_429_of_airtable_pauses_the_base_for_all_processes(
    browser: httpx.AsyncClient,
    upstream: Upstream,
    simulator: Simulator,
    store: MemoryStore,
    clock: FakeClock,
) -> None:
    """The 429 is passed on with the time to wait. No process asks this base for thirty seconds."""
    upstream.answers = [httpx.Response(429, json=LIMITED)]
    answer = await browser.get("/airtable/v0/appX/T")
    assert (answer.status_code, answer.json()) == (429, LIMITED)
    assert answer.headers["retry-after"] == "30"
    asked = len(upstream.seen)
    other = create_app(
        make_settings(),
        store=store,
        transport=httpx.ASGITransport(simulator.app),
        monotonic=clock,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(other), base_url="http://localhost:3000"
    ) as elsewhere:
        elsewhere.cookies.update(dict(browser.cookies))
        for client in (browser, elsewhere):
            refused = await client.get("/airtable/v0/appX/T")
            assert error_of(refused) == (429, "rate_limited", "retry")
            assert 25 < int(refused.headers["retry-after"]) <= 30
        assert (await browser.get("/airtable/v0/appY/T")).status_code == 403
        assert len(upstream.seen) == asked + 1
        clock.advance(31)
        for client in (browser, elsewhere):
            assert (await client.get("/airtable/v0/appX/T")).status_code == 403


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
async def test_monthly_limit_does_not_pause_the_base(
    browser: httpx.AsyncClient, upstream: Upstream, headers: dict[str, str]
) -> None:
    """Waiting does not help against a monthly limit."""
    body = json.dumps({"error": {"type": "PUBLIC_API_BILLING_LIMIT_EXCEEDED"}}).encode()
    content = gzip.compress(body) if headers else body
    upstream.answers = [httpx.Response(429, headers=headers, content=content) for _ in range(2)]
    for _ in range(2):
        answer = await browser.get("/airtable/v0/appX/T", headers={"Accept-Encoding": "gzip"})
        assert answer.json()["error"]["type"] == "PUBLIC_API_BILLING_LIMIT_EXCEEDED"
        assert "retry-after" not in answer.headers
