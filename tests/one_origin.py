"""Service and pages on one origin, behind a real nginx with `deploy/nginx.conf`."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.helpers import free_port
from tests.processes import Stack, listens, stack, wait_until

ROOT = Path(__file__).parents[1]


@dataclass
class Origin:
    """The origin's URL, its service, and the directory of nginx's logs."""

    url: str
    logs: Path
    service: Stack

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.logs.glob("nginx-*.log")))


@contextmanager
def one_origin(directory: Path, host: str = "", **options: str) -> Iterator[Origin]:
    """Start everything, with the deployed configuration adapted to this machine.

    If there is a `host`, the URL is https://host:port and `directory` holds `certificate.pem`.
    """
    port = free_port()
    url = f"https://{host}:{port}" if host else f"http://localhost:{port}"
    settings: Any = {
        "PUBLIC_URL": f"{url}/api",
        "REDIRECT_URI": f"{url}/auth-callback",
        "ALLOWED_ORIGINS": "",
        "FORWARDED_ALLOW_IPS": "127.0.0.0/8",
    } | options
    with (
        stack(directory, **settings) as service,
        nginx(directory, port, service.api, airtable=service.airtable, tls=bool(host)),
    ):
        yield Origin(url, directory, service)


@contextmanager
def nginx(
    directory: Path, port: int, service: str, *, airtable: str = "", tls: bool = False
) -> Iterator[None]:
    """Run nginx with the deployed configuration in front of the server at the URL `service`."""
    file = directory / "certificate.pem"
    certificate = f"ssl_certificate {file}; ssl_certificate_key {file};"
    configuration = moved(
        (ROOT / "deploy/nginx.conf").read_text(),
        {
            " /tmp/": f" {directory}/",
            "server service:3000;": f"server {service.removeprefix('http://')};",
            "listen 8080;": f"listen {port} ssl; {certificate}" if tls else f"listen {port};",
            "/srv/frontend": str(ROOT / "frontend"),
            "root /srv;": f"root {ROOT / 'deploy'};",
            "https://*.airtableusercontent.com": airtable,
            "/dev/stderr": str(directory / "nginx-error.log"),
            "/dev/stdout": str(directory / "nginx-access.log"),
        },
    )
    (directory / "nginx.conf").write_text(configuration)
    options = "daemon off; user root;"
    arguments = ["-p", str(directory), "-c", "nginx.conf", "-g", options, "-e", "/dev/null"]
    process = subprocess.Popen(["nginx", *arguments])
    try:
        wait_until(lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait()


def moved(text: str, places: dict[str, str]) -> str:
    for there, here in places.items():
        assert there in text, there
        text = text.replace(there, here)
    return text
