"""Where tokens are, and what becomes of a connection, in both modes of the pages."""

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.test_connect import click, connect, expect_heading
from tests.processes import Stack

pytestmark = pytest.mark.browser

on_server = pytest.mark.parametrize("service", ["server"], indirect=True)
in_browser = pytest.mark.parametrize("service", ["browser"], indirect=True)


def control(service: Stack, method: str, path: str, body: Any = None) -> None:
    answer = httpx.request(method, f"{service.airtable}/_simulator/{path}", json=body)
    assert answer.status_code < 300, answer.text


def given_out(service: Stack) -> set[str]:
    """Every token that the simulator saw being used."""
    authorized = {each["headers"].get("authorization", "") for each in service.seen()}
    return {value.removeprefix("Bearer ") for value in authorized if value.startswith("Bearer ")}


@on_server
def test_browser_never_sees_a_token(page: Page, service: Stack) -> None:
    """No storage, no cookie that scripts can read, and no response holds one."""
    bodies: list[str] = []

    def note(response: Response) -> None:
        if response.request.method != "OPTIONS" and response.status not in (204, 302, 307):
            bodies.append(f"{response.all_headers()} {response.text()}")

    page.on("response", note)
    connect(page)
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    kept = page.evaluate(
        "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, history.state])"
    )
    tokens = given_out(service)
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
    """Its policy allows nothing else."""
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
    """It says why, keeps the way back, and works again afterwards."""
    connect(page)
    control(service, "POST", "revocation")
    page.reload()
    expect(page.get_by_text("Airtable no longer accepts this access")).to_be_visible()
    page.goto("/login-success?from=bookmark")
    expect_heading(page, "Airtable no longer lets this app in")
    expect(page).to_have_url(f"{service.pages}/reconnect")
    click(page, "Reconnect Airtable")
    click(page, "Grant access")
    expect(page).to_have_url(f"{service.pages}/login-success?from=bookmark")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    page.goto("/reconnect")
    expect_heading(page, "Your Airtable is connected")


@on_server
def test_guard_asks_the_server(page: Page, service: Stack) -> None:
    """What the page remembers does not count."""
    connect(page)
    page.context.clear_cookies(name="airtable_session")
    page.goto("/login-success")
    expect_heading(page, "Bring your Airtable bases along")


def test_disconnect_says_what_it_cannot_do(page: Page, service: Stack) -> None:
    """Airtable still lists the integration; the link leads to where it is removed."""
    connect(page)
    click(page, "Log out")
    expect(page.get_by_text("this app has forgotten its access")).to_be_visible()
    link = page.get_by_role("link", name="your integrations")
    expect(link).to_have_attribute("href", "https://airtable.com/?integrations=thirdParty")


@on_server
def test_disconnect_that_fails_is_not_reported_as_done(page: Page, service: Stack) -> None:
    """The service does not answer: the person stays connected, and is told so."""
    connect(page)
    page.route(f"{service.api}/session", lambda route: route.abort())
    click(page, "Log out")
    expect(page.get_by_role("alert")).to_contain_text("you are still connected")
    page.unroute_all()
    page.reload()
    expect_heading(page, "Your Airtable is connected")


@on_server
def test_service_that_is_gone_is_explained(page: Page, service: Stack) -> None:
    """Instead of an empty page."""
    connect(page)
    page.route(f"{service.api}/**", lambda route: route.abort())
    page.reload()
    expect_heading(page, "The service cannot be reached")


@in_browser
def test_access_that_ended_can_be_renewed_by_hand(page: Page, service: Stack) -> None:
    """Airtable's 401 is explained, and nothing is renewed silently."""
    connect(page)
    expect(page.get_by_text("Access ends")).to_be_visible()
    control(service, "POST", "clock", {"advance": 3601})
    before = service.token_requests()
    page.reload()
    expect(page.get_by_text("Airtable no longer accepts this access")).to_be_visible()
    assert service.token_requests() == before
    click(page, "Renew now")
    expect(page.get_by_text("Product launch", exact=True)).to_be_visible()
    assert service.token_requests() == before + 1
