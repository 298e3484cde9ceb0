"""The samples of docs/frontend.md, built with their frameworks, in a real browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from airtable_oauth.cli.simulator import DEMO_SCOPES
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

ENTRIES = {
    "main.js": None,
    "spa.ts": None,
    "react.jsx": REACT,
    "vue.js": VUE,
    "angular.ts": ANGULAR,
}
"""The apps. `main.js` is complete on the page, and `spa.ts` is in tests/node."""


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
        stack(
            directory, REDIRECT_URI=callback, ALLOWED_ORIGINS=mine, SCOPES=DEMO_SCOPES
        ) as service,
        process(words, directory),
    ):
        write_browser_samples(directory, service.api)
        wait_until(lambda: listens(port))
        yield mine


@pytest.fixture
def page(chromium: Browser, origin: str) -> Iterator[Page]:
    """A tab, in which no script may fail."""
    person = chromium.new_context(base_url=origin)
    person.set_default_timeout(15_000)
    page = person.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    person.close()
    assert troubles == []


def build(directory: Path, entry: str) -> None:
    """Make `bundle.js` of a file in `directory`."""
    subprocess.run([str(NODE), str(BUILD), str(directory), entry], check=True, timeout=60)


def connect(page: Page) -> None:
    page.goto("/bases")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Grant access").click()
    expect(page.get_by_role("listitem")).to_have_count(3)


@pytest.mark.parametrize(("entry", "text"), ENTRIES.items(), ids=list(ENTRIES))
def test_app_of_the_samples_connects(
    page: Page, directory: Path, origin: str, entry: str, text: str | None
) -> None:
    """The user first denies access and sees the reason, then connects and sees the bases."""
    if text is not None:
        (directory / entry).write_text(text)
    build(directory, entry)
    page.goto("/bases")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    connect(page)
    expect(page.get_by_text("Product launch")).to_be_visible()
    assert page.url == f"{origin}/bases"


def test_plain_app_hears_of_other_tabs(page: Page, directory: Path) -> None:
    """A disconnect in one tab shows in the other. The app connects again from there."""
    build(directory, "main.js")
    connect(page)
    other = page.context.new_page()
    other.goto("/bases")
    other.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_visible()
    expect(other.get_by_role("button", name="Connect Airtable")).to_be_visible()


def test_app_in_typescript_changes_a_record(page: Page, directory: Path) -> None:
    """It was written from the page alone: it opens a base, renames a record, and disconnects."""
    build(directory, "spa.ts")
    connect(page)
    page.get_by_role("button", name="Product launch").click()
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    page.get_by_label("Task").first.fill("Write the announcement twice")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_role("status")).to_have_text("Saved.")
    page.reload()
    page.get_by_role("button", name="Product launch").click()
    expect(page.get_by_label("Task").first).to_have_value("Write the announcement twice")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_visible()


def test_samples_read_and_write_records(page: Page, directory: Path) -> None:
    """Every function of `tasks.js` does what the page says. A cancelled search is null."""
    build(directory, "main.js")
    connect(page)
    entry = (
        'export * from "./tasks.js";\nexport * from "./search.js";\nexport * from "./airtable.js";'
    )
    (directory / "records.js").write_text(entry)
    build(directory, "records.js")
    seen = page.evaluate(
        """async () => {
            const samples = await import("/bundle.js?records");
            const { id: base } = (await samples.airtable.bases())[0];
            const open = async () => (await samples.openTasks(base)).map(({ title }) => title);
            const before = await open();
            const { id } = await samples.addTask(base, "Try the samples");
            const added = await open();
            await samples.finishTask(base, id);
            const finished = await open();
            const { deleted } = await samples.deleteTask(base, id);
            const { records } = await samples.addTasks(base, ["One", "Two"]);
            const page = await samples.firstTasks(base);
            const search = () => samples.search(base, "TRUE()").catch(({ code }) => code);
            const [first] = await Promise.all([search(), search()]);
            return {
              before: before.length, added: added.length, finished: finished.length,
              deleted, created: records.length, page: page.records.length,
              hasMore: Boolean(page.offset), first,
            };
        }"""
    )
    assert seen == {
        "before": 5,
        "added": 6,
        "finished": 5,
        "deleted": True,
        "created": 2,
        "page": 3,
        "hasMore": True,
        "first": None,
    }
