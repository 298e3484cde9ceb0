"""What `deploy/nginx.conf` passes to the service, and what it answers itself."""

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from airtable_oauth.web.server import LimitedProtocol, Wait
from tests.helpers import free_port
from tests.one_origin import ROOT, nginx

pytestmark = pytest.mark.integration

UPLOAD = "/api/airtable/v0/app1/rec1/fld1/uploadAttachment"


@dataclass
class Edge:
    """Nginx and a server behind it that records its requests."""

    port: int
    targets: list[str] = field(default_factory=list)
    clients: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def send(self, head: str) -> bytes:
        """Send a request with exactly this head. Returns the whole answer."""
        with socket.create_connection(("localhost", self.port), timeout=20) as connection:
            connection.sendall(head.encode() + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            begun = connection.recv(65536)
            connection.shutdown(socket.SHUT_WR)  # or nginx waits five seconds for an announced body
            return begun + b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Nginx that trusts a TLS proxy at 127.0.0.250."""
    directory = tmp_path_factory.mktemp("nginx")
    (directory / "real_ip.conf").write_text(
        "real_ip_header X-Forwarded-For; set_real_ip_from 127.0.0.250;"
    )
    made = Edge(free_port())

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made.targets.append(self.path)
            made.clients.append(self.headers["X-Forwarded-For"])
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 (the name that http.server requires)

        def log_request(self, code: object = "", size: object = "") -> None:
            """Do not log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with nginx(directory, made.port, f"http://127.0.0.1:{server.server_port}", airtable="x"):
            yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "target",
    [
        "/airtable/v0/app1/A%2FB",
        "/airtable/v0/app1/A%252FB",
        "/airtable/v0/app1//x",
        "/airtable/v0/app1/%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB?filterByFormula=%7Ba%7D%2F2&a=%20",
        "/airtable/v0/app1/a%3Bb%3Fc",
        "/session",
        "/authorization-url?return_to=%2Fbases",
    ],
)
def test_target_arrives_as_it_was_sent(edge: Edge, target: str) -> None:
    """A slash in the name of a table stays encoded, and two slashes stay two."""
    edge.targets.clear()

    answer = edge.send(f"GET /api{target} HTTP/1.1")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert edge.targets == [target]


@pytest.mark.parametrize(
    "target",
    [
        *("/%61pi/token-refresh", "/x/../api/token-refresh"),
        *("//api/token-refresh", "/api%2Ftoken-refresh"),
    ],
)
def test_disguised_path_leads_nowhere(edge: Edge, target: str) -> None:
    """A path that names the service only after decoding does not reach one of its routes."""
    edge.targets.clear()

    edge.send(f"GET {target} HTTP/1.1")

    assert edge.targets in ([], ["/no-such-path"])


@pytest.mark.parametrize(
    ("head", "status", "error"),
    [
        ("GET /api/%zz HTTP/1.1", 400, "invalid_request"),
        ("POST /login-success HTTP/1.1", 405, "method_not_allowed"),
        ("POST /api/session HTTP/1.1\r\nContent-Length: 2097153", 413, "content_too_large"),
        (f"POST {UPLOAD} HTTP/1.1\r\nContent-Length: 7340033", 413, "content_too_large"),
        (f"GET /api/{'a' * 21_000} HTTP/1.1", 414, "uri_too_long"),
        (f"GET /api/session HTTP/1.1\r\nX-Long: {'a' * 21_000}", 431, "headers_too_large"),
        ("POST /api/session HTTP/1.1\r\nTransfer-Encoding: unknown", 500, "server_error"),
    ],
)
def test_errors_of_nginx_have_the_one_error_body(
    edge: Edge, head: str, status: int, error: str
) -> None:
    """A client that can read the service's errors can read these."""
    answer = edge.send(head)

    head_of_answer, _, body = answer.partition(b"\r\n\r\n")
    assert head_of_answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/json" in head_of_answer
    assert b"Cache-Control: no-store" in head_of_answer
    parsed = httpx.Response(status, content=body).json()
    assert parsed["error"] == error
    assert set(parsed) == {"error", "error_description", "action", "request_id"}


@pytest.mark.parametrize(("path", "size"), [("/api/session", 2_000_000), (UPLOAD, 7_000_000)])
def test_bodies_of_the_services_size_pass(edge: Edge, path: str, size: int) -> None:
    """Nginx has the service's limits: two MiB, and seven for an upload."""
    assert httpx.post(edge.url + path, content=b"x" * size).status_code == 200


def test_address_of_a_client_behind_another_proxy_counts(edge: Edge) -> None:
    """Nginx accepts the client's address only from the proxy in its configuration."""
    edge.clients.clear()
    for address in ("127.0.0.250", "127.0.0.251"):
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(transport=transport, base_url=edge.url) as proxy:
            statuses = [
                proxy.get(
                    "/api/authorization-url", headers={"X-Forwarded-For": f"203.0.113.{number}"}
                ).status_code
                for number in range(30)
            ]
        assert (429 in statuses) == (address == "127.0.0.251"), address
    assert edge.clients[:30] == [f"203.0.113.{number}" for number in range(30)]
    assert set(edge.clients[30:]) == {"127.0.0.251"}


def test_nginx_ends_idle_connections_before_the_service_does() -> None:
    """Otherwise nginx may use a connection that the service is closing, and answer 502."""
    configuration = (ROOT / "deploy/nginx.conf").read_text()
    upstream = configuration.partition("upstream service {")[2].partition("}")[0]
    found = re.search(r"keepalive_timeout (\d+)s;", upstream)

    assert found
    assert int(found[1]) < LimitedProtocol.seconds[Wait.NEXT]
