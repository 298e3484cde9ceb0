"""The README's app with `demo --app`, and the simulator's page."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.helpers import free_port
from tests.own_app import own_app
from tests.processes import command, wait_for, wait_until

pytestmark = pytest.mark.browser


@dataclass
class Demo:
    """The addresses of the parts, and the output of the command."""

    app: str
    api: str
    airtable: str
    log: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    directory: Path = tmp_path_factory.mktemp("demo")
    api_port, airtable_port = free_port(), free_port()
    api, airtable = f"http://localhost:{api_port}", f"http://127.0.0.1:{airtable_port}"
    with own_app(directory, api) as app:
        ports = ["--api-port", str(api_port), "--simulator-port", str(airtable_port)]
        with command(["demo", "--app", app, *ports], directory):
            for url in (api, airtable):
                wait_for(url)
            log = directory / "demo.log"
            wait_until(lambda: "Ctrl-C" in log.read_text())
            yield Demo(app, api, airtable, log.read_text())


@pytest.fixture
def person(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(locale="en-GB")
    context.set_default_timeout(15_000)
    yield context
    context.close()


def click(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def connect(page: Page, demo: Demo) -> None:
    page.goto(demo.app)
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect(page.get_by_text("Connected. Your bases: Product launch")).to_be_visible()


def test_own_app_connects_as_the_readme_says(page: Page, demo: Demo) -> None:
    """After the grant is revoked on the simulator's page, the app offers to connect again."""
    connect(page, demo)
    assert page.url == f"{demo.app}/"
    simulator = page.context.new_page()
    simulator.goto(demo.airtable)
    expect(simulator.get_by_text("Mina Okafor", exact=True)).to_be_visible()
    expect(simulator.get_by_text(f"{demo.app}/auth-callback")).to_be_visible()
    expect(simulator.get_by_text("demo-client for mina@example.com, 3 bases")).to_be_visible()
    expect(simulator.get_by_role("row").filter(has_text="code exchange")).to_contain_text("200")
    click(simulator, "Revoke the grants")
    expect(simulator.get_by_role("status")).to_contain_text("All grants have been revoked")
    expect(simulator.get_by_text("No grant is active.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_visible()


def test_each_button_of_the_simulator_causes_its_failure(page: Page, demo: Demo) -> None:
    """Users do not notice expired tokens. They notice a failed refresh, which passes, and a 429."""
    connect(page, demo)
    simulator = page.context.new_page()
    simulator.goto(demo.airtable)
    click(simulator, "Expire the access tokens")
    expect(simulator.get_by_text("access token expired")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Connected.")).to_be_visible()
    expect(simulator.get_by_role("row").filter(has_text="refresh").first).to_contain_text("200")

    click(simulator, "Fail the next refresh")
    expect(simulator.get_by_text("The next refresh will fail.")).to_be_visible()
    click(simulator, "Expire the access tokens")
    page.reload()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(simulator.get_by_text("503", exact=True)).to_be_visible()
    expect(simulator.get_by_text("The next refresh will fail.")).to_be_hidden()

    click(simulator, "Answer 429")
    expect(
        simulator.get_by_text("A fault is planned for the next request below /v0/.")
    ).to_be_visible()
    click(simulator, "Cancel")
    expect(simulator.get_by_role("status")).to_have_text("Planned failures cancelled.")
    click(simulator, "Answer 429")
    answer = httpx.get(f"{demo.airtable}/v0/meta/whoami")
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "RATE_LIMIT_REACHED")
    assert answer.headers["access-control-allow-origin"] == "*"
    click(simulator, "Clear")
    expect(simulator.get_by_text("None yet.")).to_be_visible()


def test_own_app_disconnects(page: Page, demo: Demo) -> None:
    """The service deletes its tokens; the grant stays in Airtable."""
    connect(page, demo)
    ask = page.context.request  # with the browser's cookies
    assert ask.get(f"{demo.api}/session").status == 200
    click(page, "Disconnect")
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_visible()
    assert ask.get(f"{demo.api}/session").status == 401
    page.reload()
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_visible()


def test_simulators_page_is_under_a_strict_policy(page: Page, demo: Demo) -> None:
    """Other sites cannot frame its buttons. The page fits every width."""
    headers = httpx.get(demo.airtable).headers
    assert "script-src 'self'; style-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(demo.airtable)
        expect(page.get_by_role("heading", name="Recent requests")).to_be_visible()
        assert page.evaluate(overflow) == 0


def test_other_website_cannot_press_the_buttons(page: Page, demo: Demo) -> None:
    """Neither a script nor a form from another origin on this machine can."""
    connect(page, demo)
    answer = page.evaluate(
        """async (url) => {
            const post = (options) =>
              fetch(`${url}/_simulator/revocation`, { method: "POST", ...options });
            const readable = await post({}).then((answer) => answer.status, () => "refused");
            await post({ mode: "no-cors", body: "{}" });
            return readable;
        }""",
        demo.airtable,
    )
    assert answer == "refused"
    page.evaluate(
        """(url) => {
            const form = Object.assign(document.createElement("form"), {
              method: "post", action: `${url}/_simulator/revocation`, enctype: "text/plain" });
            document.body.append(form);
            form.submit();
        }""",
        demo.airtable,
    )
    expect(page.get_by_text("does not accept requests from other websites")).to_be_visible()
    page.goto(demo.app)
    expect(page.get_by_text("Connected.")).to_be_visible()


def test_what_the_app_needs_is_printed(demo: Demo) -> None:
    for text in (
        f"Start your app on {demo.app}. Its callback route is {demo.app}/auth-callback",
        "client ID      demo-client",
        "client secret  demo-secret",
    ):
        assert text in demo.log
