"""The app that the README tells readers to write, on a development server."""

import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.helpers import free_port

_ROOT = Path(__file__).parents[1]
_INDEX = '<!doctype html><div id="app"></div><script type="module" src="/src/main.js"></script>'


@contextmanager
def own_app(directory: Path, api_url: str) -> Iterator[str]:
    """Serve the README's app for a service at `api_url`. Yields the app's origin."""
    section = (_ROOT / "README.md").read_text().partition("### Your own app against the demo")[2]
    (code,) = re.findall(r"   ```js\n(.*?)   ```", section.partition("\n## ")[0], re.DOTALL)
    source = directory / "src"
    source.mkdir()
    (source / "main.js").write_text(textwrap.dedent(code).replace("http://localhost:3000", api_url))
    module = (_ROOT / "frontend/airtable-oauth.js").read_text()
    (source / "airtable-oauth.js").write_text(module)
    (directory / "index.html").write_text(_INDEX)
    port = free_port()
    server = ThreadingHTTPServer(("localhost", port), partial(_Handler, directory=str(directory)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{port}"
    server.shutdown()
    server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    """Answers every route of the app with its page, as development servers do."""

    def do_GET(self) -> None:
        if not self.path.startswith("/src/"):
            self.path = "/index.html"
        super().do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""
