"""A user's actions, in a real browser against the real processes."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from tests.browser.conftest import on_server_every_day
from tests.browser.held import hold
from tests.cli.helpers import KEY
from tests.helpers import free_port, query_of
from tests.processes import Stack, command, stack, wait_for

pytestmark = pytest.mark.browser


def click(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def expect_heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    expect(page.get_by_role("main")).not_to_contain_text("undefined")


def state_key(service: Stack) -> str:
    """Where the browser module stores the state of a login."""
    return f"airtable-oauth {service.api} state"


def connect(page: Page) -> None:
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect_heading(page, "Airtable is connected")


def disconnect(page: Page) -> None:
    """Disconnect, and confirm it."""
    click(page, "Disconnect")
    page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()


def stopped_at_callback(page: Page, service: Stack) -> str:
    """Grant access without following Airtable's redirect. Returns the URL of the redirect."""
    urls: list[str] = []

    def note(route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
            return
        urls.append(route.fetch(max_redirects=0).headers["location"])
        route.fulfill(status=200, content_type="text/plain", body="stopped")

    page.route(f"{service.airtable}/oauth2/v1/authorize*", note)
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect(page.get_by_text("stopped")).to_be_visible()
    page.unroute_all()
    assert urls[0].startswith(f"{service.redirect_uri}?")
    return urls[0]


def finish_path(service: Stack) -> str:
    """The path of the `POST` that finishes a login."""
    return "/session" if service.tokens == "server" else "/token-exchange"


def finish_requests(page: Page, service: Stack) -> list[Request]:
    """The requests that finish a login. The list grows with each."""
    seen: list[Request] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url == service.api + finish_path(service):
            seen.append(request)

    page.on("request", note)
    return seen


def test_connect_browse_reload_disconnect(page: Page, service: Stack) -> None:
    """The whole flow, without a failure."""
    connect(page)
    expect(page).to_have_url(f"{service.pages}/login-success")
    expect(page.get_by_text("mina@example.com")).to_be_visible()
    for base in ("Product launch", "Content calendar", "Inventory and orders"):
        expect(page.get_by_text(base, exact=True)).to_be_visible()
    for scope in ("data.records:read", "schema.bases:read", "user.email:read"):
        expect(page.get_by_text(scope, exact=True)).to_be_visible()

    page.reload()
    expect_heading(page, "Airtable is connected")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()

    disconnect(page)
    expect_heading(page, "Connect your Airtable bases")
    assert (
        page.evaluate("Object.keys(sessionStorage).length + Object.keys(localStorage).length") == 0
    )
    page.goto("/login-success")
    expect(page).to_have_url(f"{service.pages}/")
    expect_heading(page, "Connect your Airtable bases")


@on_server_every_day
def test_guard_leads_to_login_and_back(page: Page, service: Stack) -> None:
    """A page that needs a connection asks for one first, then opens."""
    page.goto("/login-success?from=bookmark")
    expect(page).to_have_url(f"{service.pages}/")
    notice = page.get_by_role("main").get_by_text("Connect Airtable to view that page.")
    expect(notice).to_be_visible()
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect(page).to_have_url(f"{service.pages}/login-success?from=bookmark")
    expect_heading(page, "Airtable is connected")


@on_server_every_day
def test_only_the_chosen_bases_show(page: Page) -> None:
    """The user chooses the bases on the consent page."""
    page.goto("/")
    click(page, "Connect Airtable")
    page.get_by_label("Content calendar").uncheck()
    click(page, "Grant access")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    expect(page.get_by_text("Content calendar", exact=True)).to_have_count(0)


@on_server_every_day
def test_denied_consent_says_so_and_offers_another_try(page: Page, service: Stack) -> None:
    """Nothing is connected, and the second try works."""
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Deny")
    expect_heading(page, "Access wasn't granted")
    expect(page).to_have_url(f"{service.pages}/login-failure")
    page.goto("/login-success")
    expect_heading(page, "Connect your Airtable bases")
    page.go_back()
    expect_heading(page, "Access wasn't granted")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect_heading(page, "Airtable is connected")


def test_code_leaves_address_bar_and_history(page: Page, service: Stack) -> None:
    """The page removes it as soon as it has read it; the back button does not show it again."""
    opened: list[str] = []
    page.on("framenavigated", lambda frame: opened.append(frame.url))
    connect(page)
    assert any("code=" in url for url in opened), "the callback was never opened"
    addresses = [page.url]
    for _ in range(3):
        page.go_back()
        addresses.append(page.url)
    assert [url for url in addresses if "code=" in url] == []


def test_code_leaves_the_address_bar_before_the_answer_comes(page: Page, service: Stack) -> None:
    """Meanwhile an extension, a shared screen or a crash report could see the address."""
    held = hold(page, service.api + finish_path(service), "POST")
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    first = held.first()
    expect_heading(page, "Connecting to Airtable…")
    assert page.url == f"{service.pages}/auth-callback"
    first.continue_()
    expect_heading(page, "Airtable is connected")


def test_callback_that_this_tab_did_not_begin_is_refused(
    page: Page, chromium: Browser, service: Stack
) -> None:
    """An attacker's link must not connect this browser to the attacker's Airtable account."""
    stranger = chromium.new_context(base_url=service.pages)
    url = stopped_at_callback(stranger.new_page(), service)
    cookies = stranger.cookies()
    stranger.close()

    for cookie in cookies:  # not even with the attacker's login cookie
        page.context.add_cookies(
            [{"name": cookie["name"], "value": cookie["value"], "url": service.api}]
        )
    exchanges = finish_requests(page, service)
    page.goto(url)
    expect_heading(page, "This sign\u2011in wasn't started in this tab")
    assert exchanges == []
    page.goto("/login-success")
    expect_heading(page, "Connect your Airtable bases")


def test_login_finishes_only_in_the_browser_that_began_it(
    page: Page, chromium: Browser, service: Stack
) -> None:
    """Another browser with the right state cannot finish it, and does not spend the code."""
    url = stopped_at_callback(page, service)
    before = service.token_requests()
    (cookie,) = page.context.cookies(service.api)

    elsewhere = chromium.new_context(base_url=service.pages)
    forged = f"{cookie['value'].partition('.')[0]}.{'A' * 43}"
    elsewhere.add_cookies([{"name": cookie["name"], "value": forged, "url": service.api}])
    other = elsewhere.new_page()
    other.goto("/")
    other.evaluate(
        "entry => sessionStorage.setItem(...entry)", [state_key(service), query_of(url)["state"]]
    )
    other.goto(url)
    expect_heading(other, "This sign\u2011in has expired")
    elsewhere.close()
    assert service.token_requests() == before

    page.goto(url)
    expect_heading(page, "Airtable is connected")


def test_two_tabs_that_begin_at_the_same_moment_both_finish(
    person: BrowserContext, service: Stack
) -> None:
    """They finish in reverse order."""
    tabs = [person.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto("/")
    for tab in tabs:  # both click at the same moment
        tab.evaluate("setTimeout(() => document.querySelector('button.primary').click(), 200)")
    for tab in tabs:
        expect(tab.get_by_role("button", name="Grant access")).to_be_visible()
    for tab in reversed(tabs):
        click(tab, "Grant access")
        expect_heading(tab, "Airtable is connected")


def test_choosing_bases_keeps_the_connection(chromium: Browser, tmp_path: Path) -> None:
    """It does for the same Airtable user. Another user's connection replaces it."""
    store = f"sqlite:///{tmp_path}/store.db"
    with stack(tmp_path, users=2, STORE_URL=store, ENCRYPTION_KEYS=KEY) as service:

        def ids() -> set[str]:
            listing = [*Stack.command, "connections", "list", "--json"]
            ran = subprocess.run(
                listing, env=os.environ | service.environment, capture_output=True, check=True
            )
            return {json.loads(line)["id"] for line in ran.stdout.splitlines()}

        page = chromium.new_context(base_url=service.pages).new_page()
        connect(page)
        (known,) = ids()
        click(page, "Choose bases")
        page.get_by_role("checkbox", name="Content calendar").uncheck()
        click(page, "Grant access")
        expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
        expect(page.get_by_text("Content calendar", exact=True)).to_have_count(0)
        assert ids() == {known}
        click(page, "Choose bases")
        page.get_by_role("combobox", name="Signed in as").select_option(index=1)
        click(page, "Grant access")
        expect(page.get_by_role("banner")).to_contain_text("user1@example.com")
        (other,) = ids()
        assert other != known
        page.context.close()


def test_callback_that_runs_twice_sends_one_exchange(page: Page, service: Stack) -> None:
    """A framework may run it twice: the second run gets the first run's result."""
    url = stopped_at_callback(page, service)
    before = service.token_requests()
    page.goto("/login-failure")
    returned = page.evaluate(
        """async (query) => {
            const oauth = await (await import("/client.js")).createClient();
            const parameters = new URLSearchParams(query);
            return Promise.all([oauth.finish(parameters), oauth.finish(parameters)]);
        }""",
        urlsplit(url).query,
    )
    assert returned == [{"returnTo": None}, {"returnTo": None}]
    assert service.token_requests() == before + 1


def test_callback_opened_again_keeps_the_connection(page: Page, service: Stack) -> None:
    """A restored tab or a bookmark of the callback changes nothing."""
    opened: list[str] = []
    page.on("framenavigated", lambda frame: opened.append(frame.url))
    connect(page)
    before = service.token_requests()
    page.goto(next(url for url in opened if "code=" in url))
    expect_heading(page, "Airtable is connected")
    assert service.token_requests() == before


@on_server_every_day
def test_back_button_after_connecting_keeps_the_connection(page: Page) -> None:
    """The start page leads to the guarded page."""
    connect(page)
    page.goto("/")
    expect_heading(page, "Airtable is connected")
    page.go_back()
    expect_heading(page, "Airtable is connected")


def test_back_button_after_disconnecting_does_not_connect(page: Page) -> None:
    """The back button does not show the guarded page again."""
    connect(page)
    disconnect(page)
    expect_heading(page, "Connect your Airtable bases")
    page.go_back()
    expect_heading(page, "Connect your Airtable bases")


@on_server_every_day
def test_callback_without_parameters_leads_to_the_start(page: Page) -> None:
    """There is nothing to finish. A user may open it by hand."""
    page.goto("/auth-callback")
    expect_heading(page, "Connect your Airtable bases")


@pytest.mark.parametrize("service", ["server"], indirect=True)
def test_reload_of_the_callback_shows_that_the_login_is_finished(
    page: Page, service: Stack
) -> None:
    """The answer is lost, and the code has left the address: only the session knows."""
    finished: list[int] = []

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            finished.append(route.fetch().status)
        else:
            route.continue_()

    page.route(f"{service.api}/session", lose)
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect_heading(page, "Connecting to Airtable…")
    while not finished:
        page.wait_for_timeout(10)
    page.unroute_all()
    page.reload()
    expect_heading(page, "Airtable is connected")
    expect(page.get_by_role("main")).not_to_contain_text("sign-in")


@on_server_every_day
def test_unknown_path_leads_to_the_start(page: Page, service: Stack) -> None:
    """The server answers every path with the app, and the app knows its routes."""
    page.goto("/somewhere/else")
    expect(page).to_have_url(f"{service.pages}/")


@on_server_every_day
def test_page_of_an_unlisted_origin_gets_nothing(
    person: BrowserContext, service: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same pages are served on a port that is not in the list."""
    port = free_port()
    pages = ["pages", "--port", str(port), "--api-url", service.api]
    with command(pages, tmp_path_factory.mktemp("unlisted")):
        wait_for(f"http://localhost:{port}")
        page = person.new_page()
        page.goto(f"http://localhost:{port}/")
        expect_heading(page, "We can't reach the server")
        answer = page.evaluate(
            "url => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')",
            f"{service.api}/health/live",
        )
        click(page, "Try again")
        expect_heading(page, "We can't reach the server")
    assert answer == "refused"
    assert person.cookies(service.api) == []


def test_login_cookie_is_out_of_reach_for_scripts(page: Page, service: Stack) -> None:
    """The cookie is `HttpOnly` and strict."""
    page.goto("/")
    click(page, "Connect Airtable")
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()
    cookies = page.context.cookies(service.api)
    assert len(cookies) == 1
    assert cookies[0].get("httpOnly")
    assert cookies[0].get("sameSite") == "Strict"
    page.goto("/")
    assert page.evaluate("document.cookie") == ""


@on_server_every_day
def test_loopback_address_leads_to_localhost(page: Page, service: Stack) -> None:
    """On 127.0.0.1 the login cookie would be lost, so the page redirects to localhost."""
    page.goto(service.pages.replace("localhost", "127.0.0.1"))
    expect(page).to_have_url(f"{service.pages}/")


@on_server_every_day
def test_keyboard_is_enough(page: Page) -> None:
    """Tab reaches the buttons, Enter presses them, and the focus moves to the new heading."""
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_focused()
    page.keyboard.press("Enter")
    click(page, "Grant access")
    expect_heading(page, "Airtable is connected")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page).to_have_title("Airtable is connected · Connect Airtable")


@on_server_every_day
def test_failure_is_announced(page: Page) -> None:
    """Screen readers read an alert, whose details the user can pass on."""
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Deny")
    expect(page.get_by_role("alert")).to_contain_text("You declined the request")
    page.get_by_text("Details").click()
    expect(page.get_by_text("access_denied")).to_be_visible()


@on_server_every_day
@pytest.mark.parametrize(
    "width", [320, *(pytest.param(w, marks=pytest.mark.thorough) for w in (390, 1280))]
)
def test_nothing_is_cut_off(chromium: Browser, service: Stack, width: int) -> None:
    """At no width does a page scroll sideways."""
    context = chromium.new_context(base_url=service.pages, viewport={"width": width, "height": 800})
    page = context.new_page()
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    page.goto("/")
    assert page.evaluate(overflow) == 0
    click(page, "Connect Airtable")
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()
    assert page.evaluate(overflow) == 0
    click(page, "Grant access")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    assert page.evaluate(overflow) == 0
    page.goto("/login-failure")
    assert page.evaluate(overflow) == 0
    context.close()


@on_server_every_day
def test_docs_work_under_their_policy(page: Page, service: Stack) -> None:
    """Swagger UI loads only the service's own files, and *Try it out* reaches the service."""
    others: list[str] = []
    page.on(
        "request",
        lambda request: (
            others.append(request.url)
            if not request.url.startswith((service.api, "data:"))
            else None
        ),
    )
    page.goto(f"{service.api}/docs")
    page.get_by_text("Begin a login").click()
    click(page, "Try it out")
    click(page, "Execute")
    expect(page.get_by_text('"authorizationUrl"').first).to_be_visible()
    assert others == []
