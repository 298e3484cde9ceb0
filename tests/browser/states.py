"""The states of the pages. Each function brings a new tab into one."""

from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page, Route, expect

from tests.browser.held import hold
from tests.processes import Stack


def login(page: Page, _: Stack) -> None:
    page.goto("/")
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_enabled()


def login_clicked_before_scripts(page: Page, service: Stack) -> None:
    hold(page, f"{service.pages}/app.js")
    page.goto("/", wait_until="commit")
    expect(page.locator("h1")).to_be_focused()
    button = page.get_by_role("button", name="Connect Airtable")
    button.dispatch_event("click")  # leaves the focus where it is
    expect(button).to_have_attribute("aria-busy", "true")


def login_with_notice(page: Page, _: Stack) -> None:
    page.goto("/login-success")
    expect(page.get_by_text("Connect Airtable to view that page.").last).to_be_visible()


def loading(page: Page, service: Stack) -> None:
    hold(page, f"{service.api}/session")
    page.goto("/login-success")
    expect(page.get_by_role("main")).to_have_attribute("aria-busy", "true")


def server_away(page: Page, service: Stack) -> None:
    page.route(f"{service.api}/**", lambda route: route.abort())
    page.goto("/login-success")
    expect_heading(page, "We can't reach the server")


def callback(page: Page, service: Stack) -> None:
    hold(page, f"{service.api}/session", "POST")
    grant(page)
    expect_heading(page, "Connecting to Airtable…")


def callback_without_answer(page: Page, service: Stack) -> None:
    page.route(f"{service.api}/session", lambda route: abort(route, "POST"))
    grant(page)
    expect_heading(page, "We couldn't confirm the connection")


def declined(page: Page, _: Stack) -> None:
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Deny")
    expect_heading(page, "Access wasn't granted")


def login_expired(page: Page, service: Stack) -> None:
    refuse(page, f"{service.api}/session", 400, "login_not_found", "restart_login", method="POST")
    grant(page)
    expect_heading(page, "This sign\u2011in has expired")


def not_set_up(page: Page, service: Stack) -> None:
    refuse(page, f"{service.api}/session", 500, "invalid_client", "fix_config", method="POST")
    grant(page)
    expect_heading(page, "This app isn't set up correctly")


def home(page: Page, _: Stack) -> None:
    grant(page)
    expect_heading(page, "Airtable is connected")
    expect(page.get_by_role("link", name="Product launch")).to_be_visible()
    expect(page.get_by_text("mina@example.com").first).to_be_visible()


def home_without_bases(page: Page, _: Stack) -> None:
    page.goto("/")
    click(page, "Connect Airtable")
    expect(page.get_by_role("button", name="Grant access")).to_be_visible()
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    click(page, "Grant access")
    expect(page.get_by_text("No bases shared yet.")).to_be_visible()


def home_with_declined_scopes(page: Page, service: Stack) -> None:
    declined = ["schema.bases:read", "user.email:read"]
    decline_scopes(page, service, declined)
    grant(page)
    expect(page.get_by_text("so some features won't work").first).to_be_visible()


def home_without_answer(page: Page, service: Stack) -> None:
    bases = f"{service.api}/airtable/v0/meta/bases*"
    refuse(page, bases, 429, "rate_limited", "retry", retry_after=30)
    grant(page)
    expect(page.get_by_text("Couldn't load your bases.").first).to_be_visible()


def base(page: Page, _: Stack) -> None:
    grant(page)
    page.get_by_role("link", name="Inventory and orders").click()
    expect(page.get_by_text("Walnut pen tray")).to_be_visible()


def base_with_pages(page: Page, service: Stack) -> None:
    base(page, service)
    page.get_by_role("link", name="Orders", exact=True).click()
    expect(page.get_by_role("button", name="Next")).to_be_enabled()


def base_that_is_gone(page: Page, _: Stack) -> None:
    grant(page)
    expect_heading(page, "Airtable is connected")
    page.goto("/bases/appAAAAAAAAAAAAAA")
    expect(page.get_by_text("Couldn't open this base").first).to_be_visible()


def base_without_scope(page: Page, service: Stack) -> None:
    decline_scopes(page, service, ["data.records:read"])
    base_page(page, "Product launch")
    expect(page.get_by_text("You didn't grant this permission.").first).to_be_visible()


def record(page: Page, _: Stack) -> None:
    base_page(page, "Product launch")
    page.get_by_text("Write the launch", exact=False).first.click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Copy ID")).to_be_visible()


def record_being_edited(page: Page, service: Stack) -> None:
    record(page, service)
    page.get_by_role("dialog").get_by_role("button", name="Edit", exact=True).click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Save")).to_be_visible()


def record_with_wrong_value(page: Page, service: Stack) -> None:
    base(page, service)
    page.get_by_text("Walnut pen tray").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Edit", exact=True).click()
    dialog.get_by_label("Price").fill("cheap")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Price")).to_have_attribute("aria-invalid", "true")


def record_left_unsaved(page: Page, service: Stack) -> None:
    record_being_edited(page, service)
    page.get_by_role("dialog").get_by_role("textbox").first.fill("Typed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("alertdialog")).to_be_visible()


def disconnect_dialog(page: Page, service: Stack) -> None:
    home(page, service)
    click(page, "Disconnect")
    expect(page.get_by_role("dialog", name="Disconnect Airtable?")).to_be_visible()


def disconnected(page: Page, service: Stack) -> None:
    disconnect_dialog(page, service)
    page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    expect(page.get_by_text("Disconnected. We've deleted this app's access.").last).to_be_visible()


def reconnect(page: Page, service: Stack) -> None:
    home(page, service)
    httpx.post(f"{service.airtable}/_simulator/revocation").raise_for_status()
    page.reload()
    expect_heading(page, "This app's access was revoked")


State = Callable[[Page, Stack], None]


def access_expired(page: Page, service: Stack) -> None:
    """Only if the browser stores the tokens."""
    home(page, service)
    page.add_init_script("const now = Date.now; Date.now = () => now() + 7200_000;")
    page.reload()
    expect_heading(page, "Your access expired")


def access_not_refreshed(page: Page, service: Stack) -> None:
    access_expired(page, service)
    page.route(f"{service.api}/token-refresh", lambda route: route.abort())
    click(page, "Refresh access")
    expect(page.get_by_role("alert")).to_contain_text("Couldn't refresh access")


STATES: list[State] = [
    login,
    login_clicked_before_scripts,
    login_with_notice,
    loading,
    server_away,
    callback,
    callback_without_answer,
    declined,
    login_expired,
    not_set_up,
    home,
    home_without_bases,
    home_with_declined_scopes,
    home_without_answer,
    base,
    base_with_pages,
    base_that_is_gone,
    base_without_scope,
    record,
    record_being_edited,
    record_with_wrong_value,
    record_left_unsaved,
    disconnect_dialog,
    disconnected,
    reconnect,
]


def click(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def expect_heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def grant(page: Page) -> None:
    """Log in, and grant access to everything."""
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Grant access")


def base_page(page: Page, name: str) -> None:
    grant(page)
    page.get_by_role("link", name=name).click()
    expect_heading(page, name)


def abort(route: Route, method: str) -> None:
    if route.request.method == method:
        route.abort()
    else:
        route.continue_()


def refuse(
    page: Page,
    url: str,
    status: int,
    error: str,
    action: str,
    *,
    method: str = "GET",
    retry_after: int | None = None,
) -> None:
    """Answer the page's requests in place of the service, with an error."""

    def answer(route: Route) -> None:
        if route.request.method != method:
            route.continue_()
            return
        headers = {
            "Access-Control-Allow-Origin": route.request.headers["origin"],
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": "Retry-After",
        }
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        body = {"error": error, "error_description": "…", "action": action, "request_id": "r-1"}
        route.fulfill(status=status, headers=headers, json=body)

    page.route(url, answer)


def decline_scopes(page: Page, service: Stack, scopes: list[str]) -> None:
    """Have the page believe that the user declined these."""

    def answer(route: Route) -> None:
        if route.request.method != "GET":
            route.continue_()
            return
        response = route.fetch()
        session: Any = response.json()
        if response.ok:
            session["scopes"] = [each for each in session["scopes"] if each not in scopes]
            session["missing_scopes"] = scopes
        route.fulfill(response=response, json=session)

    page.route(f"{service.api}/session", answer)
