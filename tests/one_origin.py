"""Service and pages as one origin, behind a real nginx with `deploy/nginx.conf`."""

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
    """Where a browser finds all of it."""

    url: str
    logs: Path
    service: Stack

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.logs.glob("nginx-*.log")))


@contextmanager
def one_origin(directory: Path, host: str = "", **options: str) -> Iterator[Origin]:
    """Start all of it, with the deployed configuration moved to this machine.

    With a `host` it is https://host:port, by the certificate `tls.pem` in the directory.
    """
    url = f"{f'https://{host}' if host else 'http://localhost'}:{free_port()}"
    port = url.rpartition(":")[2]
    tls = f" ssl; ssl_certificate {directory}/tls.pem; ssl_certificate_key {directory}/tls.pem;"
    settings: Any = {
        "PUBLIC_URL": f"{url}/api",
        "REDIRECT_URI": f"{url}/auth-callback",
        "ALLOWED_ORIGINS": "",
        "FORWARDED_ALLOW_IPS": "127.0.0.0/8",
    } | options
    with stack(directory, **settings) as service:
        configuration = moved(
            (ROOT / "deploy/nginx.conf").read_text(),
            {
                " /tmp/": f" {directory}/",
                "server service:3000;": f"server {service.api.removeprefix('http://')};",
                "listen 8080;": f"listen {port}{tls if host else ';'}",
                "/srv/frontend": str(ROOT / "frontend"),
                "root /srv;": f"root {ROOT / 'deploy'};",
                "https://*.airtableusercontent.com": service.airtable,
                "/dev/stderr": str(directory / "nginx-error.log"),
                "/dev/stdout": str(directory / "nginx-access.log"),
            },
        )
        (directory / "nginx.conf").write_text(configuration)
        with nginx(directory):
            wait_until(lambda: listens(int(port)))
            yield Origin(url, directory, service)


def moved(text: str, places: dict[str, str]) -> str:
    for there, here in places.items():
        assert there in text, there
        text = text.replace(there, here)
    return text


@contextmanager
def nginx(directory: Path) -> Iterator[None]:
    arguments = ["-p", str(directory), "-c", "nginx.conf", "-g", "daemon off;", "-e", "/dev/null"]
    process = subprocess.Popen(["nginx", *arguments])
    try:
        yield
    finally:
        process.terminate()
        process.wait()
