"""Where tokens are stored and how a connection ends, in both modes of the pages."""

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Response, Route, expect

from tests.browser.test_connect import click, connect, disconnect, expect_heading, state_key
from tests.processes import Stack

pytestmark = pytest.mark.browser

on_server = pytest.mark.parametrize("service", ["server"], indirect=True)
in_browser = pytest.mark.parametrize("service", ["browser"], indirect=True)


def control(service: Stack, method: str, path: str, body: Any = None) -> None:
    answer = httpx.request(method, f"{service.airtable}/_simulator/{path}", json=body)
    assert answer.status_code < 300, answer.text


def tokens_seen(service: Stack) -> set[str]:
    """Every access token that the simulator received in a request."""
    authorized = {each["headers"].get("authorization", "") for each in service.seen()}
    return {value.removeprefix("Bearer ") for value in authorized if value.startswith("Bearer ")}


@on_server
def test_browser_never_sees_a_token(page: Page, service: Stack) -> None:
    """A token is in no storage, in no cookie that scripts can read, and in no response."""
    bodies: list[str] = []

    def note(response: Response) -> None:
        has_data = response.request.resource_type in ("document", "fetch")
        is_read = response.request.method != "OPTIONS" and response.status not in (204, 302, 307)
        if has_data and is_read:
            bodies.append(f"{response.all_headers()} {response.text()}")

    page.on("response", note)
    connect(page)
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    kept = page.evaluate(
        "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, history.state])"
    )
    tokens = tokens_seen(service)
    assert len(tokens) >= 1
    assert any("Product launch" in body for body in bodies), "the bodies were not seen"
    for text in (kept, *bodies):
        assert "oaa" not in text
        assert "oar" not in text
        assert not [token for token in tokens if token in text]
    assert json.loads(kept)[2] == ""
    (cookie,) = [
        cookie
        for cookie in page.context.cookies(service.api)
        if cookie["name"] == "airtable_session"
    ]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"


@on_server
def test_page_calls_airtable_through_the_service_only(page: Page, service: Stack) -> None:
    """The page's content security policy allows only the service."""
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/v0")[0]))
    connect(page)
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    assert f"{service.api}/airtable" in hosts
    assert service.airtable not in {host for host in hosts if "/oauth2" not in host}
    policy = httpx.get(service.pages).headers["content-security-policy"]
    assert f"connect-src {service.api};" in policy


@on_server
def test_expired_access_is_renewed_unnoticed(page: Page, service: Stack) -> None:
    """A reload an hour later shows the same page."""
    connect(page)
    control(service, "POST", "clock", {"advance": 3601})
    before = service.token_requests()
    page.reload()
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    assert service.token_requests() == before + 1


@on_server
def test_revoked_access_offers_to_reconnect(page: Page, service: Stack) -> None:
    """The page says why, returns to the same address, and works again afterwards."""
    connect(page)
    control(service, "POST", "revocation")
    page.goto("/login-success?from=bookmark")
    expect_heading(page, "This app's access was revoked")
    expect(page).to_have_url(f"{service.pages}/reconnect")
    click(page, "Reconnect")
    click(page, "Grant access")
    expect(page).to_have_url(f"{service.pages}/login-success?from=bookmark")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    page.goto("/reconnect")
    expect_heading(page, "Airtable is connected")


@on_server
def test_guard_asks_the_server(page: Page, service: Stack) -> None:
    """The page does not rely on what it remembers."""
    connect(page)
    page.context.clear_cookies(name="airtable_session")
    page.goto("/login-success")
    expect_heading(page, "Connect your Airtable bases")


def test_disconnect_says_what_it_cannot_do(page: Page, service: Stack) -> None:
    """Airtable still lists the integration, and the page links to where it can be removed."""
    connect(page)
    disconnect(page)
    main = page.get_by_role("main")  # the live region says the same
    expect(main.get_by_text("Disconnected. We've deleted this app's access.")).to_be_visible()
    link = page.get_by_role("link", name="your integrations")
    expect(link).to_have_attribute("href", "https://airtable.com/?integrations=thirdParty")


@on_server
def test_disconnect_that_fails_is_not_reported_as_done(page: Page, service: Stack) -> None:
    """If the service does not answer, the user stays connected and the page says so."""
    connect(page)
    page.route(f"{service.api}/session", lambda route: route.abort())
    disconnect(page)
    dialog = page.get_by_role("dialog", name="Disconnect Airtable?")
    expect(dialog.get_by_role("alert")).to_contain_text("You may still be connected")
    page.unroute_all()
    answer = {"error": "store_unavailable", "action": "retry"}
    headers = {
        "Access-Control-Allow-Origin": service.pages,
        "Access-Control-Allow-Credentials": "true",
    }
    page.route(
        f"{service.api}/session",
        lambda route: route.fulfill(status=503, json=answer, headers=headers),
    )
    dialog.get_by_role("button", name="Disconnect").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The server has a problem right now.")
    expect(dialog.get_by_role("alert")).to_contain_text("You may still be connected.")
    page.unroute_all()
    page.reload()
    expect_heading(page, "Airtable is connected")


@in_browser
def test_access_that_expired_is_refreshed_by_hand(page: Page, service: Stack) -> None:
    """The page explains Airtable's 401 and refreshes only when the user asks for it."""
    connect(page)
    expect(page.get_by_text("Access expires")).to_be_visible()
    control(service, "POST", "clock", {"advance": 3601})
    before = service.token_requests()
    page.reload()
    expect_heading(page, "Your access expired")
    assert service.token_requests() == before
    click(page, "Refresh access")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    assert service.token_requests() == before + 1


# The module that apps copy, `airtable-oauth.js`


OLD_BROWSER = (
    "delete URLSearchParams.prototype.size; delete URL.canParse; delete Array.prototype.at;"
)


def asked(page: Page, service: Stack, path: str, method: str = "GET") -> list[str]:
    """The URLs of this tab's requests to a route of the service. The list grows with each."""
    seen: list[str] = []
    page.on(
        "request",
        lambda request: (
            seen.append(request.url)
            if request.method == method and request.url.startswith(service.api + path)
            else None
        ),
    )
    return seen


@on_server
def test_reconnect_names_its_connection_in_an_old_browser(page: Page, service: Stack) -> None:
    """Browsers before 2023 lack `URLSearchParams.size`; an unnamed login makes a new connection."""
    page.add_init_script(OLD_BROWSER)
    page.goto("/login-failure")
    begun = asked(page, service, "/authorization-url")
    page.route(f"{service.api}/authorization-url*", lambda route: route.abort())
    page.evaluate(
        """async () => {
            const oauth = await (await import("/client.js")).createClient();
            await oauth.connect({ returnTo: "/bases", connection: "con_1" }).catch(() => {});
            await oauth.connect().catch(() => {});
        }"""
    )
    assert begun == [
        f"{service.api}/authorization-url?connection=con_1&return_to=%2Fbases",
        f"{service.api}/authorization-url",
    ]


def test_pages_work_in_an_old_browser(page: Page, service: Stack) -> None:
    """This includes records and links in cells."""
    page.add_init_script(OLD_BROWSER)
    service.advance_clock(31)
    connect(page)
    page.get_by_role("link", name="Content calendar").click()
    page.get_by_role("link", name="Authors", exact=True).click()
    expect(page.get_by_role("link", name="https://example.com/mina")).to_be_visible()


def test_second_click_sends_nothing(page: Page, service: Stack) -> None:
    """It sends no second login, and no second refresh, which would reuse a refresh token."""
    connect(page)
    begun = asked(page, service, "/authorization-url")
    renewed = asked(page, service, "/token-refresh", "POST")
    ended = asked(page, service, "/session", "DELETE")
    page.route(f"{service.api}/authorization-url*", lambda route: route.abort())
    page.evaluate(
        """async () => {
            const oauth = await (await import("/client.js")).createClient();
            const ignore = () => {};
            const twice = (call) => Promise.all([call().catch(ignore), call().catch(ignore)]);
            await twice(() => oauth.connect({ returnTo: "/bases" }));
            if (oauth.renew) await twice(() => oauth.renew());
            await twice(() => oauth.disconnect());
            await oauth.connect({ returnTo: "/bases" }).catch(ignore); // later, so a new one
        }"""
    )
    assert len(begun) == 2
    assert len(renewed) == (1 if service.tokens == "browser" else 0)
    assert len(ended) == (0 if service.tokens == "browser" else 1)


@on_server
def test_login_whose_answer_is_lost_is_finished_by_another_try(page: Page, service: Stack) -> None:
    """The service has finished the login, but the tab keeps its state until an answer arrives."""
    before = service.token_requests()
    finishing = asked(page, service, "/session", "POST")

    def lose(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        route.fetch()
        route.abort()

    page.route(f"{service.api}/session", lose)
    page.goto("/")
    click(page, "Connect Airtable")
    click(page, "Grant access")
    expect(page.get_by_role("alert")).to_contain_text("You may already be connected")
    page.unroute_all()
    click(page, "Try again")
    expect_heading(page, "Airtable is connected")
    assert len(finishing) == 2
    assert service.token_requests() == before + 1
    assert page.evaluate("key => sessionStorage.getItem(key)", state_key(service)) is None


def test_foreign_callback_leaves_the_login_of_the_tab_alone(page: Page, service: Stack) -> None:
    """Such a callback once deleted the tab's state, so that the user's own login failed."""
    page.goto("/")
    page.evaluate(
        "entry => sessionStorage.setItem(...entry)", [state_key(service), "the-state-of-this-tab"]
    )
    page.goto("/auth-callback?code=foreign&state=foreign-state-of-another")
    expect_heading(page, "This sign\u2011in wasn't started in this tab")
    kept = page.evaluate("key => sessionStorage.getItem(key)", state_key(service))
    assert kept == "the-state-of-this-tab"


@in_browser
def test_status_of_tokens_in_the_tab_is_right(page: Page, service: Stack) -> None:
    """If a refresh would help, the status is neither `connected` nor a reason to reconnect."""
    connect(page)
    control(service, "POST", "clock", {"advance": 3601})
    page.reload()
    expect(page.get_by_role("button", name="Refresh access")).to_be_visible()
    expect(page.get_by_role("button", name="Reconnect")).to_have_count(0)
    page.reload()
    expect_heading(page, "Your access expired")
    click(page, "Refresh access")
    expect_heading(page, "Airtable is connected")

    control(service, "POST", "revocation")
    page.reload()
    click(page, "Refresh access")
    expect_heading(page, "This app's access was revoked")
    expect(page).to_have_url(f"{service.pages}/reconnect")
    click(page, "Reconnect")
    click(page, "Grant access")
    expect_heading(page, "Airtable is connected")


@in_browser
@pytest.mark.parametrize(
    ("days", "heading"),
    [(0.1, "Your access expired"), (61, "Your connection expired")],
)
def test_time_ends_tokens_in_the_tab(page: Page, service: Stack, days: float, heading: str) -> None:
    """The tab knows the tokens' dates and sends no request to Airtable."""
    connect(page)
    seconds = int(days * 24 * 3600)
    page.add_init_script(f"const now = Date.now; Date.now = () => now() + {seconds * 1000};")
    page.reload()
    expect_heading(page, heading)
