"""No secret of a real process reaches its log, not even at debug level."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from airtable_oauth.settings import decode_key
from airtable_oauth.stores.encrypted import EncryptedStore
from airtable_oauth.stores.redis import RedisStore
from tests.helpers import CSRF, begin, decide, query_of
from tests.processes import Stack, stack

pytestmark = pytest.mark.integration

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


class Trial:
    """A browser that records the secrets it sends and receives, the errors, and the request ids."""

    def __init__(self, service: Stack, browser: httpx.AsyncClient) -> None:
        self.service = service
        self.browser = browser
        self.canaries = {"test-secret", base64.b64encode(b"test-client:test-secret").decode()}
        self.errors: list[httpx.Response] = []
        self.ids: list[str] = []

    async def login(self, *, decision: str = "grant") -> dict[str, str]:
        async with httpx.AsyncClient() as person:
            parameters = await decide(person, await begin(self.browser), decision=decision)
        self.canaries |= {parameters["state"], parameters.get("code", parameters["state"])}
        self.canaries |= {value.partition(".")[2] for value in dict(self.browser.cookies).values()}
        return parameters

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await self.browser.request(method, path, **options)
        self.ids.append(answer.headers["x-request-id"])
        if answer.status_code >= 400:
            self.errors.append(answer)
        elif "access_token" in answer.json():
            self.canaries |= {answer.json()["access_token"], answer.json()["refresh_token"]}
        return answer

    async def exchange(self, **changes: str) -> httpx.Response:
        body = await self.login() | changes
        return await self.send("POST", "/token-exchange", json=body, headers=CSRF)

    async def fault(self, **fault: Any) -> None:
        async with httpx.AsyncClient(base_url=self.service.airtable) as control:
            await control.post("/_simulator/faults", json=fault)


async def test_no_secret_reaches_the_log_or_an_error(tmp_path: Path) -> None:
    """A client puts secrets everywhere it can, in requests that succeed and that fail."""
    with stack(tmp_path, LOG_LEVEL="debug", LOG_FORMAT="json", UPSTREAM_TIMEOUT="1") as service:
        async with httpx.AsyncClient(base_url=service.api) as browser:
            trial = Trial(service, browser)
            tokens = (await trial.exchange()).json()
            await trial.send("GET", "/token-exchange", params=await trial.login())
            await trial.send("POST", "/token-refresh", json={"refresh_token": "CANARY-refresh"})
            refresh = {"refresh_token": tokens["refresh_token"]}
            await trial.send("POST", "/token-refresh", json=refresh)
            await trial.exchange(code="CANARY-code")
            await trial.exchange(error="CANARY-error")
            denied = await trial.login(decision="deny")
            await trial.send("GET", "/token-exchange", params=denied)
            for fault in (
                {"status": 500, "body": "CANARY-upstream"},
                {"body": '{"access_token": "CANARY-upstream"}'},
                {"drop": True},
                {"delay": 3},
                {"status": 401, "body": '{"error": "invalid_client", "x": "CANARY-upstream"}'},
            ):
                await trial.fault(**fault)
                await trial.exchange()
            for path in ("/CANARY-path?code=CANARY-code", "/token-exchange?state=CANARY-state"):
                await trial.send("GET", path)
            for content in (b'{"state": "CANARY-state', b'["CANARY-state"]', b"x" * 20_000):
                headers = CSRF | {"Content-Type": "application/json", "Cookie": "a=CANARY-cookie"}
                await trial.send("POST", "/token-exchange", content=content, headers=headers)
            await trial.send("GET", "/authorization-url", headers={"Origin": "https://CANARY-o"})
            await trial.send("PUT", "/token-exchange?code=CANARY-code")
        seen = service.seen()
    log = (tmp_path / "serve.log").read_text()

    verifiers = {httpx.QueryParams(each["body"]).get("code_verifier", "") for each in seen} - {""}
    assert len(verifiers) >= 7
    sent = json.dumps(seen)
    for canary in ("CANARY-code", "CANARY-refresh", *trial.canaries & {tokens["refresh_token"]}):
        assert canary in sent, f"{canary} never arrived where it was sent"
    assert len(trial.errors) >= 15
    lines = [json.loads(line) for line in log.splitlines()]
    logged = {line["request_id"] for line in lines if "request_id" in line}
    assert set(trial.ids) <= logged
    assert len(trial.canaries) > 30
    leaked = [secret for secret in trial.canaries | verifiers if secret in log]
    assert leaked == []
    assert "CANARY" not in log.replace("/CANARY-path", "")
    for answer in trial.errors:
        text = answer.text + str(answer.headers)
        assert not [secret for secret in trial.canaries | verifiers if secret in text]
        assert "CANARY" not in text
        assert answer.json()["request_id"] in logged


async def test_crash_tells_neither_the_client_nor_the_log_what_it_was_about(
    tmp_path: Path, redis_url: str
) -> None:
    """The parser's error for a record that the service did not write contains the record."""
    store = EncryptedStore(RedisStore(redis_url), [decode_key(KEY)])
    with stack(tmp_path, STORE_URL=redis_url, ENCRYPTION_KEYS=KEY, LOG_LEVEL="debug") as service:
        async with httpx.AsyncClient(base_url=service.api) as browser:
            trial = Trial(service, browser)
            parameters = await trial.login()
            for key in [key async for key in store.scan("airtable:login")]:
                await store.put(key, b"CANARY-record", 60)
            answer = await trial.send("POST", "/token-exchange", json=parameters, headers=CSRF)
    await store.close()
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    log = (tmp_path / "serve.log").read_text()
    assert "JSONDecodeError" in log
    assert "in from_bytes" in log
    assert answer.json()["request_id"] in log
    for text in (log, answer.text):
        assert "CANARY" not in text
        assert not [secret for secret in trial.canaries if secret in text]


async def test_console_log_is_for_people(tmp_path: Path) -> None:
    """Each request is one line, even if the client puts a line break into the path."""
    with stack(tmp_path) as service:
        async with httpx.AsyncClient(base_url=service.api) as browser:
            state = query_of(await begin(browser))["state"]
            await browser.get(f"/x%0a%1b[31m{state[:3]}?code=CANARY")
    lines = (tmp_path / "serve.log").read_text().splitlines()
    assert any("GET /authorization-url 200" in line for line in lines)
    assert any(rf"GET /x\n\x1b[31m{state[:3]} 404" in line for line in lines)
    assert not any("\x1b" in line for line in lines)
