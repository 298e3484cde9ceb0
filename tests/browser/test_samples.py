"""The samples of docs/frontend.md, built with their frameworks, in a real browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.helpers import free_port
from tests.processes import listens, process, stack, wait_until
from tests.samples import NODE, ROOT, needs_node_packages, write_browser_samples

pytestmark = [pytest.mark.browser, pytest.mark.thorough, needs_node_packages]

BUILD = ROOT / "tests/node/build.mjs"

HOST = """
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

PAGE = '''<!doctype html><link rel="icon" href="data:,">
<app-root id="app"></app-root><script type="module" src="/bundle.js"></script>'''


def page(request: Request) -> Response:
    return FileResponse("bundle.js") if request.url.path == "/bundle.js" else HTMLResponse(PAGE)


app = Starlette(routes=[Route("/{path:path}", page)])
"""
"""A static host that answers unknown paths with the page, as the README requires."""

REACT = """
import { createRoot } from "react-dom/client";
import { BrowserRouter, Route, Routes, useLocation } from "react-router";
import { AirtableCallback } from "./AirtableCallback.jsx";
import { Bases } from "./Bases.jsx";

const Start = () => <p role="alert">{useLocation().state?.failure}</p>;

createRoot(document.getElementById("app")).render(
  <BrowserRouter>
    <Routes>
      <Route path="/" element={<Start />} />
      <Route path="/auth-callback" element={<AirtableCallback />} />
      <Route path="/bases" element={<Bases />} />
    </Routes>
  </BrowserRouter>,
);
"""

VUE = """
import { createApp, h } from "vue";
import { createRouter, createWebHistory, RouterView } from "vue-router";
import AirtableCallback from "./AirtableCallback.vue";
import Bases from "./Bases.vue";

const Start = { render: () => h("p", { role: "alert" }, history.state?.failure) };
const routes = [
  { path: "/", component: Start },
  { path: "/auth-callback", component: AirtableCallback },
  { path: "/bases", component: Bases },
];
createApp(RouterView).use(createRouter({ history: createWebHistory(), routes })).mount("#app");
"""

ANGULAR = """
import "@angular/compiler";
import { Component } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { provideRouter, RouterOutlet } from "@angular/router";
import { connected } from "./airtable.guard";
import { AuthCallbackComponent } from "./auth-callback.component";
import { BasesComponent } from "./bases.component";
import { ConnectComponent } from "./connect.component";

@Component({ selector: "app-root", imports: [RouterOutlet], template: "<router-outlet />" })
class AppComponent {}

const routes = [
  { path: "", component: ConnectComponent },
  { path: "auth-callback", component: AuthCallbackComponent },
  { path: "bases", component: BasesComponent, canActivate: [connected] },
];
bootstrapApplication(AppComponent, { providers: [provideRouter(routes)] });
"""

ENTRIES = {"react.jsx": REACT, "vue.js": VUE, "angular.ts": ANGULAR}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the samples."""
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def origin(directory: Path) -> Iterator[str]:
    """The app's origin, which the service and the simulator know."""
    port = free_port()
    mine = f"http://localhost:{port}"
    (directory / "host.py").write_text(HOST)
    words = [sys.executable, "-m", "uvicorn", "host:app", "--port", str(port)]
    callback = f"{mine}/auth-callback"
    with (
        stack(directory, REDIRECT_URI=callback, ALLOWED_ORIGINS=mine) as service,
        process(words, directory),
    ):
        write_browser_samples(directory, service.api)
        wait_until(lambda: listens(port))
        yield mine


@pytest.mark.parametrize("entry", ENTRIES)
def test_app_of_the_samples_connects(
    chromium: Browser, directory: Path, origin: str, entry: str
) -> None:
    """The user first denies access and sees the reason, then connects and sees the bases."""
    (directory / entry).write_text(ENTRIES[entry])
    build = [str(NODE), str(BUILD), str(directory), entry]
    subprocess.run(build, check=True, timeout=60)
    person = chromium.new_context(base_url=origin)
    person.set_default_timeout(15_000)
    page = person.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))

    page.goto("/bases")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.goto("/bases")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Grant access").click()
    expect(page.get_by_role("listitem")).to_have_count(3)
    expect(page.get_by_text("Product launch")).to_be_visible()
    assert page.url == f"{origin}/bases"
    person.close()
    assert troubles == []
