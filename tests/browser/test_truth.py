"""The pages show only what is known, one statement at a time."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import on_server_every_day
from tests.browser.held import hold
from tests.browser.states import decline_scopes, grant, refuse
from tests.browser.test_connect import click, connect, disconnect, expect_heading
from tests.browser.test_tokens import asked, control, in_browser, on_server
from tests.processes import Stack

pytestmark = pytest.mark.browser

GUARDED = "/login-success?from=bookmark"


def answer(service: Stack, status: int, body: Any, **headers: str) -> Callable[[Route], None]:
    """Answer a page's request in place of the service. A `str` is not JSON."""
    allowed = {
        "Access-Control-Allow-Origin": service.pages,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Retry-After, X-Request-ID",
    } | headers
    content = {"body": body} if isinstance(body, str) else {"json": body}
    return lambda route: route.fulfill(status=status, headers=allowed, **content)


def notice(page: Page) -> Any:
    return page.get_by_role("main").locator(".notice")


DOWN = {"error": "store_unavailable", "action": "retry", "error_description": "…"}


@on_server
@pytest.mark.parametrize(
    ("status", "body"),
    [(None, ""), (503, DOWN), (502, "<html>Bad gateway"), (200, "<html>Sign in to the Wi-Fi")],
)
@pytest.mark.parametrize("path", ["/", GUARDED, "/reconnect", "/bases/appUnknown"])
def test_server_that_is_away_is_not_a_lost_connection(
    page: Page, service: Stack, path: str, status: int | None, body: Any
) -> None:
    """The page says so at the same address, and asks again without beginning a login."""
    connect(page)
    begun = asked(page, service, "/authorization-url")
    fails = answer(service, status, body) if status else lambda route: route.abort()
    page.route(f"{service.api}/session", fails)
    page.goto(path)
    expect_heading(page, "We can't reach the server")
    expect(page).to_have_title("We can't reach the server · Connect Airtable")
    expect(page.get_by_role("main")).not_to_contain_text("connected")
    assert page.url == service.pages + path
    click(page, "Try again")
    again = page.get_by_role("button", name="Try again")
    expect(again).not_to_have_attribute("aria-busy", "true")  # the second answer is there
    expect_heading(page, "We can't reach the server")
    page.unroute_all()
    click(page, "Try again")
    expect(page.get_by_text("mina@example.com")).to_be_visible()
    assert begun == []
    assert page.url == service.pages + ("/login-success" if path in {"/", "/reconnect"} else path)


@on_server
def test_server_that_is_not_set_up_offers_no_retry(page: Page, service: Stack) -> None:
    """The details, with the request's id, are for support."""
    body = {"error": "unknown_encryption_key", "action": "fix_config", "request_id": "abc123"}
    page.route(f"{service.api}/session", answer(service, 503, body))
    page.goto("/")
    expect_heading(page, "This app isn't set up correctly")
    expect(page.get_by_role("alert")).to_contain_text("Contact support")
    expect(page.get_by_text("abc123")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)


@on_server
def test_login_that_needs_the_operator_offers_no_retry(page: Page, service: Stack) -> None:
    """The failure page shows the request's id."""
    body = {"error": "invalid_client", "action": "fix_config", "request_id": "abc123"}
    page.route(f"{service.api}/authorization-url", answer(service, 502, body))
    page.goto("/")
    click(page, "Connect Airtable")
    expect_heading(page, "This app isn't set up correctly")
    expect(page.get_by_text("abc123")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)


@on_server
def test_connected_person_can_tell_support_what_failed(page: Page, service: Stack) -> None:
    """They stay on the page of their connection, so the details are there."""
    connect(page)
    body = {"error": "invalid_client", "action": "fix_config", "request_id": "abc123"}
    page.route(f"{service.api}/authorization-url*", answer(service, 502, body))
    click(page, "Choose bases")
    expect(notice(page)).to_contain_text("Your connection hasn't changed.")
    notice(page).get_by_text("Details").click()
    expect(notice(page).get_by_text("abc123")).to_be_visible()


@on_server_every_day
def test_login_that_cannot_begin_says_so_beside_its_button(page: Page, service: Stack) -> None:
    """The same button tries again; the focus stays on it."""
    page.goto("/")
    page.route(f"{service.api}/authorization-url", lambda route: route.abort())
    click(page, "Connect Airtable")
    expect(page.get_by_role("alert")).to_contain_text("We can't reach the server")
    expect_heading(page, "Connect your Airtable bases")
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_focused()
    page.unroute_all()
    click(page, "Connect Airtable")
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()


def bases_url(service: Stack) -> str:
    host = f"{service.api}/airtable" if service.tokens == "server" else service.airtable
    return f"{host}/v0/meta/bases"


def test_part_that_fails_is_loaded_again_alone(page: Page, service: Stack) -> None:
    """The rest of the page stays."""
    connect(page)
    page.route(bases_url(service), lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text(
        "Couldn't load your bases. We can't reach the server."
    )
    permission = page.get_by_text("See your email address")
    before = permission.element_handle()
    page.unroute_all()
    click(page, "Try again")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    assert before is not None
    assert before.evaluate("element => element.isConnected")


@on_server
def test_seconds_until_a_retry_count_down(page: Page, service: Stack) -> None:
    """They come from `Retry-After`."""
    connect(page)
    page.clock.install()
    body = {"error": "rate_limited", "action": "retry"}
    headers = {"Retry-After": "30"}
    page.route(bases_url(service), answer(service, 429, body, **headers))
    page.reload()
    expect(page.get_by_text("Try again in 30 seconds.")).to_be_visible()
    page.clock.run_for(10_000)
    expect(page.get_by_text("Try again in 20 seconds.")).to_be_visible()
    page.clock.run_for(21_000)
    expect(page.get_by_role("main").get_by_text("You can try again now.")).to_be_visible()


@on_server
def test_monthly_limit_offers_no_retry(page: Page, service: Stack) -> None:
    """Airtable's answer is a 429 as well, but it would be the same in a moment."""
    connect(page)
    body = {"error": {"type": "PUBLIC_API_BILLING_LIMIT_EXCEEDED", "message": "Limit reached"}}
    page.route(bases_url(service), answer(service, 429, body))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("monthly limit of API calls")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)


@on_server
def test_grant_that_ends_leads_to_its_page(page: Page, service: Stack) -> None:
    """The page of a connection shows no error, and the user returns to it after reconnecting."""
    connect(page)
    control(service, "POST", "revocation")
    page.goto(GUARDED)
    expect_heading(page, "This app's access was revoked")
    expect(page).to_have_url(f"{service.pages}/reconnect")
    click(page, "Reconnect")
    click(page, "Grant access")
    expect(page).to_have_url(service.pages + GUARDED)


@on_server
def test_session_that_ends_leads_to_the_login_page(page: Page, service: Stack) -> None:
    """The login page says that it ended, and leads back."""
    connect(page)
    page.get_by_role("link", name="Product launch").click()
    expect_heading(page, "Product launch")
    address = page.url
    page.context.clear_cookies(name="airtable_session")
    page.get_by_role("link", name="All bases").click()
    expect_heading(page, "Connect your Airtable bases")
    expect(notice(page)).to_have_text("You're no longer connected.")
    expect(page.get_by_role("button", name="Disconnect")).to_have_count(0)
    page.go_back()
    expect_heading(page, "Connect your Airtable bases")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect(page).to_have_url(address)


@on_server
def test_refusal_that_the_session_does_not_know_offers_to_reconnect(
    page: Page, service: Stack
) -> None:
    """The guard would lead back to the same page, again and again."""
    connect(page)
    body = {"error": "reconnect_required", "action": "reconnect"}
    sent: list[str] = []
    refuse = answer(service, 401, body)

    def note(route: Route) -> None:
        sent.append(route.request.url)
        refuse(route)

    page.route(bases_url(service), note)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("access expired or was revoked")
    expect(page.get_by_role("button", name="Reconnect")).to_be_visible()
    page.wait_for_timeout(500)
    assert len(sent) == 1


@in_browser
def test_access_that_expired_is_refreshed_in_its_place(page: Page, service: Stack) -> None:
    """The address stays the same, and nothing else is on the page."""
    connect(page)
    page.get_by_role("link", name="Product launch").click()
    expect_heading(page, "Product launch")
    address = page.url
    page.add_init_script("const now = Date.now; Date.now = () => now() + 7200_000;")
    page.reload()
    expect_heading(page, "Your access expired")
    page.route(f"{service.api}/token-refresh", lambda route: route.abort())
    click(page, "Refresh access")
    expect(page.get_by_role("alert")).to_contain_text("Couldn't refresh access")
    page.unroute_all()
    click(page, "Refresh access")
    expect_heading(page, "Product launch")
    assert page.url == address


def test_bar_says_who_is_connected(page: Page, service: Stack) -> None:
    """It does so on every page of a connection."""
    service.advance_clock(31)  # other tests may have reached Airtable's rate limit
    connect(page)
    bar = page.get_by_role("banner")
    expect(bar).to_contain_text("mina@example.com")
    page.get_by_role("link", name="Product launch").click()
    expect_heading(page, "Product launch")
    expect(bar).to_contain_text("mina@example.com")
    expect(bar.get_by_role("button", name="Disconnect")).to_be_visible()
    disconnect(page)
    expect_heading(page, "Connect your Airtable bases")
    expect(bar).not_to_contain_text("mina@example.com")


@on_server_every_day
def test_disconnect_asks_once(page: Page) -> None:
    """Cancel and Escape change nothing, and the focus returns to the button."""
    connect(page)
    dialog = page.get_by_role("dialog", name="Disconnect Airtable?")
    click(page, "Disconnect")
    expect(dialog).to_contain_text("You'll need to connect again")
    page.keyboard.press("Enter")  # the focus is on Cancel
    expect(dialog).to_have_count(0)
    click(page, "Disconnect")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Disconnect")).to_be_focused()
    page.reload()
    expect_heading(page, "Airtable is connected")
    disconnect(page)
    expect_heading(page, "Connect your Airtable bases")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


@on_server_every_day
def test_reload_does_not_say_disconnected_again(page: Page) -> None:
    """Neither does the way back to that entry of the history."""
    connect(page)
    disconnect(page)
    expect(notice(page)).to_contain_text("Disconnected.")
    page.reload()
    expect_heading(page, "Connect your Airtable bases")
    expect(notice(page)).to_have_count(0)
    page.goto("about:blank")
    page.go_back()
    expect_heading(page, "Connect your Airtable bases")
    expect(notice(page)).to_have_count(0)


@on_server
def test_other_tab_learns_of_a_disconnect(person: BrowserContext, service: Stack) -> None:
    """It shows the login page, and later the page of the new connection."""
    first, second = person.new_page(), person.new_page()
    connect(first)
    second.goto(GUARDED)
    expect_heading(second, "Airtable is connected")
    disconnect(first)
    expect(notice(first)).to_contain_text("Disconnected.")
    expect_heading(second, "Connect your Airtable bases")
    expect(notice(second)).to_have_text("You're no longer connected.")
    expect(second.get_by_role("banner")).not_to_contain_text("mina@example.com")
    connect(first)
    expect_heading(second, "Airtable is connected")
    expect(second).to_have_url(service.pages + GUARDED)


@on_server_every_day
def test_declined_reconnect_leaves_the_connection(page: Page, service: Stack) -> None:
    """The failure page does not say "nothing was connected" to someone who is connected."""
    connect(page)
    click(page, "Choose bases")
    click(page, "Deny")
    expect_heading(page, "Airtable is connected")
    expect(page).to_have_url(f"{service.pages}/login-success")
    expect(notice(page)).to_have_text("Access wasn't granted. Your connection hasn't changed.")
    page.reload()
    expect_heading(page, "Airtable is connected")
    expect(notice(page)).to_have_count(0)


@on_server_every_day
def test_failure_page_of_a_connected_person_leads_home(page: Page, service: Stack) -> None:
    """The failure that the history still holds no longer applies."""
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Deny")
    expect_heading(page, "Access wasn't granted")
    expect(page).to_have_title("Access wasn't granted · Connect Airtable")
    page.get_by_role("link", name="Back to home").click()
    expect_heading(page, "Connect your Airtable bases")
    expect(page).to_have_title("Connect your Airtable bases · Connect Airtable")
    expect(notice(page)).to_have_count(0)
    connect(page)
    while page.evaluate("navigation.canGoBack"):
        page.go_back()
        if page.url == "about:blank":
            break
        expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("main")).not_to_contain_text("Access wasn't granted")
    page.goto("/login-failure")
    expect(page).to_have_url(f"{service.pages}/login-success")


@on_server_every_day
def test_bases_are_chosen_again_by_a_reconnect(page: Page, service: Stack) -> None:
    """A person without a base, or with too few, finds the button on the list."""
    page.goto("/")
    click(page, "Connect Airtable")
    for name in ("Product launch", "Content calendar", "Inventory and orders"):
        page.get_by_label(name).uncheck()
    page.get_by_label("Product launch").check()
    click(page, "Grant access")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    expect(page.get_by_text("Content calendar", exact=True)).to_have_count(0)
    click(page, "Choose bases")
    page.get_by_label("Content calendar").check()
    click(page, "Grant access")
    expect(page.get_by_text("Content calendar", exact=True)).to_be_visible()
    expect(page).to_have_url(f"{service.pages}/login-success")


def test_page_says_until_when_to_reconnect(page: Page, service: Stack) -> None:
    """The date is that of the session or of the connection, whichever is earlier."""
    connect(page)
    label = "Expires if unused" if service.tokens == "server" else "Reconnect by"
    term = page.get_by_role("term").filter(has_text=label)
    expect(term).to_be_visible()
    date = page.locator("dd time").last
    expect(date).to_have_attribute("datetime", page.evaluate(RECONNECT_BY))


RECONNECT_BY = """async () => {
    const oauth = await (await import("/client.js")).createClient();
    return (await oauth.session()).reconnectBy.toISOString();
}"""


def test_something_is_shown_before_the_scripts_run(page: Page, service: Stack) -> None:
    """The skeleton is in the document, and its words are read."""
    hold(page, f"{service.pages}/app.js")
    page.goto(GUARDED, wait_until="commit")
    expect_skeleton(page)
    expect(page.get_by_role("main")).to_contain_text("Loading…")
    expect(page.get_by_text("Reload the page")).to_be_hidden()


def test_login_page_is_shown_before_the_scripts_run(page: Page, service: Stack) -> None:
    """A click does what it says as soon as it can."""
    scripts = hold(page, f"{service.pages}/app.js")
    page.goto("/", wait_until="commit")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("main")).not_to_have_attribute("aria-busy", "true")
    click(page, "Connect Airtable")
    button = page.get_by_role("button", name="Connect Airtable")
    expect(button).to_have_attribute("aria-busy", "true")
    button.dispatch_event("click")
    begun = hold(page, f"{service.api}/authorization-url")
    scripts.first().continue_()
    begun.first()
    busy = page.get_by_role("button", name="Opening Airtable…")
    expect(busy).to_be_focused()
    expect(page.get_by_text("Reload the page")).to_have_count(0)
    begun.first().continue_()
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()
    assert len(begun.routes) == 1


@on_server
def test_login_page_stays_while_the_session_is_asked_for(page: Page, service: Stack) -> None:
    """It gets its actions without moving the focus: the user may have pressed Tab."""
    page.clock.install()
    session = hold(page, f"{service.api}/session")
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.keyboard.press("Tab")
    session.first()
    page.clock.run_for(1_000)  # longer than the page before stays otherwise
    button = page.get_by_role("button", name="Connect Airtable")
    expect(button).to_be_focused()
    session.first().continue_()
    expect(page).to_have_title("Connect your Airtable bases · Connect Airtable")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()


@on_server
def test_early_click_outlives_another_navigation(page: Page, service: Stack) -> None:
    """The session has not answered yet when the user clicks the name of the app."""
    page.clock.install()
    session = hold(page, f"{service.api}/session")
    page.goto("/")
    click(page, "Connect Airtable")
    session.first()
    page.get_by_role("banner").get_by_role("link").click()
    page.clock.run_for(1_000)
    button = page.get_by_role("button", name="Connect Airtable")
    expect(button).to_have_attribute("aria-busy", "true")
    for route in session.routes:
        route.continue_()
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()


@on_server_every_day
def test_click_before_scripts_that_are_late_offers_a_reload(page: Page, service: Stack) -> None:
    """The text is there after twenty seconds, by a style. The focus survives its removal."""
    scripts = hold(page, f"{service.pages}/app.js")
    page.goto("/", wait_until="commit")
    click(page, "Connect Airtable")
    late = page.get_by_role("main").get_by_text("This is taking longer than usual.")
    expect(late).to_be_hidden()
    page.evaluate(
        "document.getAnimations().find((each) => each.animationName === 'appear').finish()"
    )
    expect(late).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Reload the page")).to_be_focused()
    hold(page, f"{service.api}/authorization-url")
    scripts.first().continue_()
    expect(late).to_have_count(0)
    expect(page.get_by_role("button", name="Opening Airtable…")).to_be_focused()


def test_connected_person_does_not_see_the_login_page_first(page: Page, service: Stack) -> None:
    """The browser remembers that it has a connection, and forgets it with the connection."""
    connect(page)
    scripts = hold(page, f"{service.pages}/app.js")
    page.goto("/", wait_until="commit")
    expect_skeleton(page)
    scripts.first().continue_()
    expect_heading(page, "Airtable is connected")
    page.unroute_all()
    disconnect(page)
    expect_heading(page, "Connect your Airtable bases")
    hold(page, f"{service.pages}/app.js")
    page.goto("about:blank")
    page.goto("/", wait_until="commit")
    expect_heading(page, "Connect your Airtable bases")


def test_tabs_remember_the_connection_that_they_share(
    person: BrowserContext, service: Stack
) -> None:
    """With tokens in the browser, another tab has none: its login page is shown at once."""
    first, second = person.new_page(), person.new_page()
    connect(first)
    if service.tokens == "browser":
        second.goto("/")
        expect(second).to_have_title("Connect your Airtable bases · Connect Airtable")
    for page in (first, second):
        hold(page, f"{service.pages}/app.js")
        page.goto("/", wait_until="commit")
    expect_skeleton(first)
    if service.tokens == "browser":
        expect_heading(second, "Connect your Airtable bases")
    else:
        expect_skeleton(second)


@on_server
@pytest.mark.parametrize("said", ['{state: {from: "/bases"}}', "{flash: {disconnected: true}}"])
def test_login_page_with_a_notice_is_not_shown_without_it(
    page: Page, service: Stack, said: str
) -> None:
    """The notice would move the button while someone is about to click it."""
    page.goto("/")
    expect_heading(page, "Connect your Airtable bases")
    page.evaluate(f"history.replaceState({said}, '')")
    scripts = hold(page, f"{service.pages}/app.js")
    page.reload(wait_until="commit")
    expect_skeleton(page)
    scripts.first().continue_()
    expect(notice(page)).to_be_visible()


@on_server
def test_login_page_needs_no_storage(page: Page, service: Stack) -> None:
    """Browsers can block it. Reading the property then throws."""
    page.add_init_script("""for (const name of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(globalThis, name, { get() { throw new DOMException("blocked"); } });
    }""")
    scripts = hold(page, f"{service.pages}/app.js")
    page.goto("/", wait_until="commit")
    click(page, "Connect Airtable")
    scripts.first().continue_()
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()


@in_browser
def test_memory_of_sessions_is_erased_if_tokens_are_in_the_browser(
    page: Page, service: Stack
) -> None:
    """The pages may have been set up the other way before."""
    page.goto("/")
    page.evaluate("localStorage.setItem('connect-airtable:connected', 'yes')")
    page.reload()
    expect_heading(page, "Connect your Airtable bases")
    hold(page, f"{service.pages}/app.js")
    page.reload(wait_until="commit")
    expect_heading(page, "Connect your Airtable bases")


@on_server
def test_session_that_the_browser_has_forgotten_leads_home(page: Page, service: Stack) -> None:
    """Its storage was cleared, but not its cookies: a click that came too early begins no login."""
    connect(page)
    page.evaluate("localStorage.clear()")
    held = hold(page, f"{service.api}/session")
    begun = hold(page, f"{service.api}/authorization-url")
    page.goto("/")
    click(page, "Connect Airtable")
    held.first().continue_()
    page.unroute(f"{service.api}/session")
    expect_heading(page, "Airtable is connected")
    assert begun.routes == []


@on_server
def test_early_click_on_a_server_that_is_away_begins_no_login_later(
    page: Page, service: Stack
) -> None:
    """The page says so. After *Try again* the button waits for a new click."""
    scripts = hold(page, f"{service.pages}/app.js")
    page.route(f"{service.api}/**", lambda route: route.abort())
    page.goto("/", wait_until="commit")
    click(page, "Connect Airtable")
    scripts.first().continue_()
    expect_heading(page, "We can't reach the server")
    page.unroute(f"{service.api}/**")
    click(page, "Try again")
    expect_heading(page, "Connect your Airtable bases")
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_enabled()


def expect_skeleton(page: Page) -> None:
    """The page says that it is loading."""
    main = page.get_by_role("main")
    expect(main).to_have_attribute("aria-busy", "true")
    expect(main.locator(".ghost").first).to_be_visible()


@on_server
def test_skeleton_is_shown_while_a_guard_waits(page: Page, service: Stack) -> None:
    """The page before stays for a moment, so that quick answers do not flicker."""
    connect(page)
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    held = hold(page, f"{service.api}/session")
    page.get_by_role("link", name="Product launch").click()
    main = page.get_by_role("main")
    expect(main).to_have_attribute("aria-busy", "true")
    expect(main.locator(".skeleton")).to_be_visible()
    held.first().continue_()
    expect_heading(page, "Product launch")
    expect(main).not_to_have_attribute("aria-busy", "true")


@on_server
def test_nothing_waits_for_ever(page: Page, service: Stack) -> None:
    """A service that accepts the request and is silent counts as away after 15 seconds."""
    connect(page)
    page.clock.install()
    held = hold(page, f"{service.api}/session")
    page.goto(GUARDED)
    held.first()
    page.clock.run_for(14_000)
    expect(page.get_by_role("main").locator(".skeleton")).to_be_visible()
    page.clock.run_for(2_000)
    expect_heading(page, "We can't reach the server")


@on_server
def test_busy_button_keeps_its_contrast_and_focus(page: Page, service: Stack) -> None:
    """A second click sends nothing."""
    page.goto("/")
    held = hold(page, f"{service.api}/authorization-url")
    click(page, "Connect Airtable")
    busy = page.get_by_role("button", name="Opening Airtable…")
    expect(busy).to_be_focused()
    expect(busy).to_be_disabled()
    expect(busy).to_have_css("opacity", "1")
    busy.dispatch_event("click")
    held.first()
    page.wait_for_timeout(100)
    assert len(held.routes) == 1


@on_server_every_day
def test_login_page_loads_only_what_it_needs(page: Page, service: Stack) -> None:
    """The grid is loaded with the first base. The document names all of its files."""
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url.removeprefix(service.pages)))
    page.goto("/")
    expect_heading(page, "Connect your Airtable bases")
    named = page.evaluate(
        """[...document.querySelectorAll("link, script")].map(
            each => each.getAttribute("href") ?? each.getAttribute("src"))"""
    )
    others = [path for path in loaded if path.startswith("/") and path not in {"/", *named}]
    tokens = ["/airtable-oauth-tokens.js"] if service.tokens == "browser" else []
    assert others == tokens
    twice = {path for path in loaded if loaded.count(path) > 1}
    assert twice <= {"/icon.svg"}, "only the icon may be loaded twice: for the page and its tab"


@on_server
def test_defect_of_a_page_is_in_the_console(page: Page, service: Stack) -> None:
    """The page does not blame the server for it."""
    logged: list[str] = []
    page.on("console", lambda message: logged.append(message.text))
    page.route(
        f"{service.pages}/pages/login.js",
        lambda route: route.fulfill(
            content_type="text/javascript",
            body='export function login() { throw new TypeError("a defect"); }',
        ),
    )
    page.goto("/")
    expect_heading(page, "Couldn't load this page")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert any("a defect" in text for text in logged)


@on_server
def test_base_that_comes_late_does_not_bring_the_person_back(page: Page, service: Stack) -> None:
    """They have gone to the next page, which is not shown yet."""
    connect(page)
    tables = hold(page, "**/tables")
    page.get_by_role("link", name="Product launch").click()
    expect(page.get_by_text("Loading the base…")).to_be_visible()
    tables.first()
    page.evaluate("() => { globalThis.setTimeout = () => 0; }")  # the page before stays
    session = hold(page, f"{service.api}/session")
    page.get_by_role("link", name="All bases").click()
    session.first()
    tables.first().continue_()
    expect_heading(page, "Product launch")
    session.first().continue_()
    expect_heading(page, "Airtable is connected")
    expect(page).to_have_url(f"{service.pages}/login-success")


@on_server_every_day
def test_second_try_keeps_the_focus(page: Page, service: Stack) -> None:
    """It stays on the button, and goes to what takes the button's place."""
    connect(page)
    page.route(bases_url(service), lambda route: route.abort())
    page.reload()
    again = page.get_by_role("button", name="Try again")
    before = again.element_handle()
    again.focus()
    page.keyboard.press("Enter")
    assert before is not None
    before.wait_for_element_state("hidden")
    expect(again).to_be_focused()
    page.unroute_all()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").locator("a.tile").first).to_be_focused()


@on_server
def test_end_of_the_session_is_noticed_while_a_record_is_opened(page: Page, service: Stack) -> None:
    """The page follows the address to the record; the question about the connection stays open."""
    connect(page)
    page.get_by_role("link", name="Inventory and orders").click()
    record = page.get_by_role("rowheader").get_by_role("link", name="Walnut pen tray", exact=True)
    expect(record).to_be_visible()
    ended = answer(service, 401, {"error": "not_connected", "action": "restart_login"})
    page.route(f"{service.api}/airtable/**", ended)
    session = hold(page, f"{service.api}/session")
    click(page, "Refresh")
    expect(page.get_by_text("Checking your connection…")).to_be_visible()
    session.first()
    record.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.unroute(f"{service.api}/session")
    page.route(f"{service.api}/session", ended)
    for route in session.routes:
        ended(route)
    expect_heading(page, "Connect your Airtable bases")
    expect(notice(page)).to_have_text("You're no longer connected.")


@on_server
def test_failed_login_is_told_after_the_server_was_away(page: Page, service: Stack) -> None:
    """Otherwise a person who declined would read that Airtable is connected, and nothing else."""
    connect(page)

    def fail(route: Route) -> None:
        if route.request.method == "GET":
            route.abort()
        else:
            route.continue_()

    click(page, "Choose bases")
    expect(page.get_by_role("button", name="Deny")).to_be_visible()
    page.route(f"{service.api}/session", fail)
    click(page, "Deny")
    expect_heading(page, "We can't reach the server")
    page.unroute_all()
    click(page, "Try again")
    expect(notice(page)).to_contain_text("Your connection hasn't changed.")


@on_server
def test_login_that_is_not_confirmed_says_why(page: Page, service: Stack) -> None:
    """A server that answers can be reached. It says when to try again."""
    url = f"{service.api}/session"
    refuse(page, url, 503, "store_unavailable", "retry", method="POST", retry_after=60)
    grant(page)
    expect_heading(page, "We couldn't confirm the connection")
    expect(page.get_by_role("alert")).to_contain_text("The server may have a problem right now.")
    expect(page.get_by_role("main")).to_contain_text("Try again in 60 seconds.")
    expect(page.get_by_role("main")).not_to_contain_text("can't reach")


@in_browser
def test_bar_says_who_was_connected_after_the_access_expired(page: Page, service: Stack) -> None:
    """Airtable can no longer be asked, so the tab remembers its answer."""
    connect(page)
    expect(page.get_by_role("banner")).to_contain_text("mina@example.com")
    page.add_init_script("const now = Date.now; Date.now = () => now() + 7200_000;")
    page.reload()
    expect_heading(page, "Your access expired")
    expect(page.get_by_role("banner")).to_contain_text("mina@example.com")


def test_what_was_said_about_a_page_is_not_said_about_the_next(page: Page, service: Stack) -> None:
    """The live region is empty again when another page is shown."""
    connect(page)
    page.get_by_role("link", name="Product launch").click()
    expect(page.locator("#live")).to_have_text("8 records")
    page.get_by_role("link", name="All bases").click()
    expect_heading(page, "Airtable is connected")
    expect(page.locator("#live")).to_have_text("", timeout=1000)


@on_server
def test_declined_permissions_are_listed_with_one_way_to_grant_them(
    page: Page, service: Stack
) -> None:
    """The bases cannot be listed either, and offer the same button."""
    decline_scopes(page, service, ["schema.bases:read", "user.email:read"])
    connect(page)
    missing = page.locator(".missing").get_by_role("listitem")
    expect(missing).to_have_text([re.compile("structure"), re.compile("email address")])
    expect(page.get_by_role("button", name="Reconnect")).to_have_count(1)


@in_browser
def test_refresh_that_needs_the_operator_offers_no_retry(page: Page, service: Stack) -> None:
    """The details are for support."""
    connect(page)
    url = f"{service.api}/token-refresh"
    refuse(page, url, 500, "invalid_client", "fix_config", method="POST")
    click(page, "Refresh access")
    expect(page.get_by_role("alert")).to_contain_text("Contact support")
    expect(page.get_by_role("main")).not_to_contain_text("Try again")


@on_server
def test_disconnect_forgets_what_was_typed(page: Page, service: Stack) -> None:
    """The next person at this tab may be another one."""
    connect(page)
    page.evaluate("() => sessionStorage.setItem('draft usr1 app1 tbl1 rec1', '{}')")
    disconnect(page)
    expect(notice(page)).to_contain_text("Disconnected.")
    assert page.evaluate("() => sessionStorage.getItem('draft usr1 app1 tbl1 rec1')") is None
