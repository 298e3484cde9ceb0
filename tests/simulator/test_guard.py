"""Who may use the control API, and what it shows: over real sockets, with a browser's headers."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from airtable_oauth.simulator import Fault, Integration, Simulator
from airtable_oauth.simulator.recording import MASK, MOST_BYTES, MOST_REQUESTS
from tests.helpers import CONTROL, REDIRECT_URI, SCOPES, free_port, make_simulator
from tests.processes import command, wait_for
from tests.simulator.test_oauth import AUTHORIZATION, client_of

INTEGRATION = Integration("test-client", (REDIRECT_URI,), SCOPES, "test-secret")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A simulator that listens on all addresses of this machine."""
    port = free_port()
    directory = tmp_path_factory.mktemp("simulator")
    arguments = ["simulator", "--host", "0.0.0.0", "--port", str(port)]  # noqa: S104
    with command([*arguments, "--control-host", "airtable.test:8080"], directory):
        wait_for(f"http://127.0.0.1:{port}")
        warning = (directory / "simulator.log").read_text()
        assert "Warning: the simulator listens on 0.0.0.0." in warning
        assert "only this machine and requests to airtable.test:8080" in warning
        yield "127.0.0.1", port


def ask(
    address: tuple[str, int],
    method: str = "DELETE",
    path: str = "/_simulator/faults",
    *,
    host: str | None = None,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> int:
    """Send one request with exactly these headers and return its status."""
    url = f"http://{address[0]}:{address[1]}{path}"
    host = f"localhost:{address[1]}" if host is None else host.format(port=address[1])
    sent = {name: value.format(port=address[1]) for name, value in (headers or {}).items()}
    answer = httpx.request(method, url, content=content, headers={"Host": host} | sent)
    assert answer.status_code < 400 or answer.json()["error"]
    return answer.status_code


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_this_machine_may_use_the_control_api(address: tuple[str, int], name: str) -> None:
    """This holds for each of its names, for scripts and for the simulator's own page."""
    own = {"Origin": f"http://{name.lower()}:{{port}}", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, own):
        assert ask(address, host=f"{name}:{{port}}", headers=headers) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example:{port}",
        "localhost",
        "localhost:1",
        "127.0.0.1.nip.io:{port}",
        "airtable.test",
        "airtable.test:{port}",
        "",
    ],
)
def test_name_that_leads_here_by_dns_rebinding_is_refused(
    address: tuple[str, int], host: str
) -> None:
    """The domain of a hostile page may resolve to 127.0.0.1."""
    assert ask(address, host=host) == 403
    assert ask(address, "GET", "/_simulator/requests", host=host) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:5173"},
        {"Origin": "https://localhost:{port}"},
        {"Origin": "http://127.0.0.1:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_website_is_refused(address: tuple[str, int], headers: dict[str, str]) -> None:
    """A form or script of another website can do harm without reading the answer."""
    assert ask(address, "POST", "/_simulator/revocation", headers=headers) == 403
    body = b'{"advance": 1}'
    assert ask(address, "POST", "/_simulator/clock", content=body, headers=headers | JSON) == 403
    assert ask(address, "GET", "/_simulator/requests", headers=headers) == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_body_must_be_json(address: tuple[str, int], kind: str) -> None:
    """An HTML form cannot send JSON."""
    body = b'{"advance": 1}'
    headers = {"Content-Type": kind}
    assert ask(address, "POST", "/_simulator/clock", content=body, headers=headers) == 415
    assert ask(address, "POST", "/_simulator/clock", content=body, headers=JSON) == 200


def test_body_is_capped(address: tuple[str, int]) -> None:
    """The limit is 64 KiB for the control API and 8 MiB for Airtable's routes."""
    large = b" " * 70_000
    assert ask(address, "POST", "/_simulator/clock", content=large, headers=JSON) == 413
    assert ask(address, "POST", "/oauth2/v1/token", content=large) == 400
    assert ask(address, "POST", "/oauth2/v1/token", content=b" " * (8 * 1024 * 1024 + 1)) == 413


def test_other_machine_may_use_the_control_api_by_a_name_that_was_configured(
    address: tuple[str, int],
) -> None:
    """A remote client that sends `Host: localhost` is still refused."""
    elsewhere = own_address()
    if elsewhere is None:
        pytest.skip("this machine has loopback addresses only")
    there = (elsewhere, address[1])
    assert ask(there, host="localhost:{port}") == 403
    assert ask(there, host="127.0.0.1:{port}") == 403
    assert ask(there, host="airtable.test:8080") == 200
    assert ask(there, host="airtable.test:8080", headers={"Origin": "http://evil.example"}) == 403


def own_address() -> str | None:
    """An address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a UDP socket sends nothing here
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", {"times": "often"}),
        ("faults", {"status": 99}),
        ("faults", {"junk": "nonsense"}),
        ("faults", {"delay": -1}),
        ("lifetimes", {"access_token": "x"}),
        ("lifetimes", {"__class__": 1}),
        ("refusal", {"error": 1}),
        ("grants", {"count": 1e999}),
        ("clock", {"advance": float("nan")}),
        ("clock", None),
    ],
)
def test_control_request_that_makes_no_sense_is_422(
    address: tuple[str, int], path: str, body: Any
) -> None:
    """Otherwise a later request would fail."""
    content = json.dumps(body).encode()
    assert ask(address, "POST", f"/_simulator/{path}", content=content, headers=JSON) == 422
    content = b"[" * 50_000
    assert ask(address, "POST", f"/_simulator/{path}", content=content, headers=JSON) == 422


# The recorded requests


async def test_secrets_of_requests_are_masked() -> None:
    """Secrets of a login, a call and a refresh are masked. Other parameters stay readable."""
    simulator = Simulator([INTEGRATION])
    secret = "CANARY-0123456789-secret"
    async with client_of(simulator) as person:
        await person.get("/oauth2/v1/authorize", params=AUTHORIZATION | {"state": secret})
        referer = {"Referer": f"http://127.0.0.1:4300/oauth2/v1/authorize?state={secret}"}
        await person.post("/oauth2/v1/authorize", data={"consent": secret}, headers=referer)
        form = {"grant_type": "authorization_code", "code": secret, "code_verifier": secret}
        await person.post("/oauth2/v1/token", data=form, auth=("test-client", secret))
        form = {"grant_type": "refresh_token", "refresh_token": secret, "client_secret": secret}
        await person.post("/oauth2/v1/token", data=form | {secret: "x"})
        await person.post("/oauth2/v1/token", json={"refresh_token": f"a={secret}"})
        headers = {"Authorization": f"Bearer {secret}", "Cookie": f"a={secret}"}
        parameters = {"pageSize": "10", "api_key": secret, "access_token": secret}
        await person.get("/v0/meta/bases", params=parameters, headers=headers)
        await person.get("/v0/meta/bases", headers={"Authorization": secret, "X-Api-Key": secret})
        recorded = (await person.get(f"{CONTROL}/requests")).json()
    assert secret not in json.dumps(recorded)
    assert secret not in str(list(simulator.requests))
    assert "pageSize=10" in recorded[5]["query"]
    assert recorded[5]["headers"]["authorization"] == f"Bearer {MASK}"
    assert [seen.form.get("grant_type") for seen in simulator.token_requests()] == [
        "authorization_code",
        "refresh_token",
        None,
    ]


async def test_secrets_are_recorded_for_those_who_ask() -> None:
    """Tests that check where secrets go need to compare them."""
    simulator = make_simulator()
    async with client_of(simulator) as person:
        await person.post("/oauth2/v1/token", data={"code": "the-code"})
    assert simulator.token_requests()[0].form == {"code": "the-code"}


async def test_log_is_bounded() -> None:
    """The number of requests, the size of one body and the total size are bounded."""
    simulator = make_simulator()
    async with client_of(simulator) as person:
        await person.post("/oauth2/v1/token", content=b"x" * 1_000_000)
        (seen,) = simulator.requests
        assert len(seen.body) == 16 * 1024
        for _ in range(MOST_BYTES // (16 * 1024) + 10):
            simulator.requests.append(seen)
        assert len(simulator.requests) <= MOST_BYTES // (16 * 1024)
        simulator.requests.clear()
        await person.get("/nothing")
        (small,) = simulator.requests
        for _ in range(MOST_REQUESTS + 10):
            simulator.requests.append(small)
    assert len(simulator.requests) == MOST_REQUESTS


async def test_planned_faults_are_bounded() -> None:
    """Faults that have fired are dropped first. At most a thousand others can be planned."""
    simulator = make_simulator()
    for _ in range(1000):
        simulator.faults.add(Fault(fired=1))
    simulator.faults.add(Fault())
    assert len(simulator.faults.planned) == 1
    for _ in range(999):
        simulator.faults.add(Fault())
    with pytest.raises(ValueError, match="planned already"):
        simulator.faults.add(Fault())
