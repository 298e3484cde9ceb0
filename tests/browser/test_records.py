"""Bases, tables and records, as a person reads them."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from airtable_oauth.simulator.sample import sample_bases
from tests.browser.held import hold
from tests.browser.test_connect import click, connect, disconnect, expect_heading
from tests.helpers import query_of
from tests.one_origin import one_origin
from tests.processes import Stack, stack

pytestmark = pytest.mark.browser

HOME = "Airtable is connected"
RECORDS = "**/v0/app*/tbl*"


@pytest.fixture(
    scope="module",
    params=[
        "two origins",
        pytest.param("one origin", marks=pytest.mark.thorough),
        "tokens in the browser",
    ],
)
def service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    stack_with_tokens: Callable[[str], Stack],
) -> Iterator[Stack]:
    """Pages and service on two origins, on one origin behind nginx, and without sessions."""
    if request.param == "one origin":
        with one_origin(tmp_path_factory.mktemp("records")) as origin:
            yield replace_origin(origin.service, origin.url)
    else:
        tokens = "browser" if request.param == "tokens in the browser" else "server"
        yield stack_with_tokens(tokens)


def replace_origin(service: Stack, url: str) -> Stack:
    return replace(service, pages=url, api=f"{url}/api")


@pytest.fixture(autouse=True)
def _pause(service: Stack) -> None:
    """Advance Airtable's clock, so that its rate limit forgets the previous test's requests."""
    service.advance_clock(31)


def control(service: Stack, method: str, path: str, body: Any = None) -> None:
    answer = httpx.request(method, f"{service.airtable}/_simulator/{path}", json=body)
    assert answer.status_code < 300, answer.text


def open_base(page: Page, base: str, table: str | None = None) -> None:
    page.get_by_role("link", name=base).click()
    expect_heading(page, base)
    if table is not None:
        page.get_by_role("link", name=table, exact=True).click()
        expect(page.get_by_role("link", name=table, exact=True)).to_have_attribute(
            "aria-current", "page"
        )


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=record_link(page, name))


def record_link(page: Page, name: str) -> Locator:
    """The link of a row, which opens the record."""
    return page.get_by_role("rowheader").get_by_role("link", name=name, exact=True)


on_server = pytest.mark.parametrize(
    "service",
    ["two origins", pytest.param("one origin", marks=pytest.mark.thorough)],
    indirect=True,
)


@on_server
def test_connect_browse_expire_revoke_reconnect_disconnect(page: Page, service: Stack) -> None:
    """The token expires unnoticed, and a revoked connection can be reconnected."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
    expect(row(page, "#1099")).to_be_attached()
    refreshes = service.token_requests()
    service.advance_clock(3700)
    click(page, "Next")
    expect(page.get_by_role("main").get_by_text("Records 101–140")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert service.token_requests() == refreshes + 1
    expect(page.get_by_role("button", name="Next")).to_have_attribute("aria-disabled", "true")
    expect(row(page, "#1139")).to_contain_text("Adventure Works")
    click(page, "Previous")
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()

    control(service, "POST", "revocation")
    click(page, "Next")
    expect_heading(page, "This app's access was revoked")
    click(page, "Reconnect")
    click(page, "Grant access")
    expect_heading(page, "Inventory and orders")
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()

    disconnect(page)
    expect(page.get_by_role("main").get_by_text("Disconnected.")).to_be_visible()
    page.goto("/bases/appUr68e2Kkinyc2T")
    expect(page.get_by_role("main")).to_contain_text("Connect Airtable to view that page.")


def test_cells_read_as_a_person_expects(page: Page, service: Stack) -> None:
    """Cells follow the type of their field, and pictures load under the content security policy."""
    connect(page)
    open_base(page, "Inventory and orders")
    sleeve = row(page, "Felt laptop sleeve 14″")
    expect(sleeve).to_contain_text("€49.00")
    expect(sleeve.get_by_role("img", name="3 of 5")).to_be_visible()
    expect(sleeve.get_by_role("img", name="Yes")).to_be_visible()
    expect(row(page, "Desk lamp, brass").get_by_role("img", name="Yes")).to_have_count(0)
    picture = sleeve.get_by_role("img", name="slv-140.svg")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("image => image.naturalWidth") > 0

    page.get_by_role("link", name="Orders", exact=True).click()
    order = row(page, "#1003")
    expect(order).to_contain_text("Linen notebook A5")
    expect(order).to_contain_text("€59.60")
    expect(order).to_contain_text("6 Jan 2026")
    expect(order.get_by_text("New", exact=True)).to_have_attribute("data-colour", "gray")

    page.get_by_role("link", name="All bases").click()
    open_base(page, "Content calendar", "Authors")
    author = row(page, "Mina Okafor")
    expect(author.get_by_role("link", name="mina@example.com")).to_have_attribute(
        "href", "mailto:mina@example.com"
    )
    expect(author.get_by_role("link", name="https://example.com/mina")).to_have_attribute(
        "rel", "noreferrer"
    )
    page.get_by_role("link", name="All bases").click()
    open_base(page, "Product launch", "Milestones")
    expect(row(page, "Pricing page live")).to_contain_text("80%")


def test_record_opens_from_anywhere_in_its_row_and_has_an_address(
    page: Page, service: Stack
) -> None:
    """Back closes it, forward opens it again, and a reload shows it over its table."""
    connect(page)
    open_base(page, "Product launch")
    link = record_link(page, "Record the product tour")
    table = page.url
    row(page, "Record the product tour").get_by_role("cell").nth(2).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Record the product tour")
    expect(dialog).to_contain_text("Jonas Lind")
    expect(dialog).to_contain_text("Public launch")
    expect(page).to_have_url(re.compile(r"/bases/app\w{14}/tbl\w{14}/rec\w{14}$"))
    address = page.url
    assert link.evaluate("link => link.href") == address
    page.go_back()
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(table)
    page.go_forward()
    expect(dialog).to_contain_text("Record the product tour")
    service.advance_clock(31)
    page.reload()
    expect(dialog).to_contain_text("Record the product tour")
    expect(row(page, "Agree on list prices")).to_be_attached()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page).to_have_url(table_of(address))


def table_of(record_url: str) -> str:
    return record_url.rpartition("/")[0]


def test_back_button_does_not_open_a_closed_record_again(page: Page, service: Stack) -> None:
    """The keyboard alone opens and closes it. The focus returns to its row."""
    connect(page)
    open_base(page, "Product launch")
    before = page.url
    link = record_link(page, "Agree on list prices")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Agree on list prices")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(link).to_be_focused()
    expect(page).to_have_url(before)
    page.go_back()
    expect_heading(page, HOME)


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_click_that_means_something_else_does_not_open_the_record(
    page: Page, service: Stack
) -> None:
    """To select text, to follow a link in a cell, or to open the record in another tab."""
    connect(page)
    open_base(page, "Content calendar", "Authors")
    cells = row(page, "Mina Okafor").get_by_role("cell")
    table = page.url
    box = cells.nth(0).bounding_box()
    assert box is not None
    cells.nth(0).get_by_role("link").evaluate("link => link.removeAttribute('href')")
    cells.nth(0).get_by_role("link").or_(cells.nth(0)).first.click()
    page.mouse.move(box["x"] + 14, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert page.evaluate("getSelection().toString()") != ""
    expect(page).to_have_url(table)
    page.evaluate("getSelection().removeAllRanges()")
    with page.context.expect_page() as opened:
        row(page, "Jonas Lind").click(modifiers=["Control"], position={"x": 400, "y": 2})
    expect(opened.value.get_by_role("dialog")).to_contain_text("Jonas Lind")
    opened.value.close()
    expect(page).to_have_url(table)


@on_server
def test_tables_can_be_reloaded_and_bookmarked(page: Page, service: Stack) -> None:
    """Reload, the back button and a bookmark work, and the page reports an unknown base."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    place = page.url
    page.reload()
    expect(row(page, "#1000")).to_be_visible()
    page.get_by_role("link", name="Products", exact=True).click()
    expect(row(page, "Walnut pen tray")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(place)
    expect(row(page, "#1000")).to_be_visible()
    expect(page).to_have_title("Orders · Inventory and orders · Connect Airtable")
    page.goto(f"{place.rpartition('/')[0]}/tblUnknown")
    expect(page.get_by_text("Couldn't find this table.")).to_be_visible()
    page.goto("/bases/appUnknown")
    expect(page.get_by_role("alert")).to_contain_text("shared with this app")


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "words", "button"),
    [
        ({"status": 503, "body": "{}"}, "Couldn't load records.", "Try again"),
        (
            {"status": 422, "body": '{"error":{"type":"LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}'},
            "This list has expired.",
            "Back to first page",
        ),
    ],
)
def test_page_stays_when_the_next_one_fails(
    page: Page, service: Stack, fault: dict[str, Any], words: str, button: str
) -> None:
    """The message is beside the pager, with the button that helps."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(row(page, "#1099")).to_contain_text("Linen notebook A5")  # the names are there, too
    control(service, "POST", "faults", {"path": "/v0/app", **fault})
    click(page, "Next")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect(row(page, "#1099")).to_be_attached()
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
    click(page, button)
    first = "Records 1–100" if button == "Back to first page" else "Records 101–140"
    expect(page.get_by_role("main").get_by_text(first)).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_text_of_others_stays_text(page: Page, service: Stack) -> None:
    """Markup, a `javascript:` URL and unknown shapes appear as text. An empty table says so."""
    connect(page)
    records: dict[str, list[dict[str, Any]]] = {"records": []}
    page.route(RECORDS, lambda route: route.fulfill(json=records, headers=cors(service)))
    open_base(page, "Content calendar", "Authors")
    expect(page.get_by_text("This table has no records yet.")).to_be_visible()
    markup = "<img src=x onerror=document.title='owned'>"
    cells = {"Name": markup, "Email": 7, "Phone": markup, "Site": "javascript:alert(1)"}
    records["records"].append(
        {"id": "rec1", "createdTime": "2026-01-05T00:00:00.000Z", "fields": cells}
    )
    page.reload()
    shown = row(page, markup)
    expect(shown).to_contain_text("javascript:alert(1)")
    expect(shown.get_by_role("link", name="javascript")).to_have_count(0)
    record_link(page, markup).click()
    expect(page.get_by_role("dialog")).to_contain_text(markup)
    expect(page).to_have_title(f"{markup} · Authors · Connect Airtable")


INHERITED = ("constructor", "__proto__", "toString", "hasOwnProperty")


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_field_that_is_called_like_an_inherited_property_is_empty(
    page: Page, service: Stack
) -> None:
    """This holds in the grid, in an opened record, and for the primary field."""
    connect(page)
    fields = [
        {"id": f"fld{number}", "name": name, "type": "singleLineText"}
        for number, name in enumerate(INHERITED)
    ]
    table = {"id": "tbl1", "name": "Odd", "primaryFieldId": "fld0", "fields": fields, "views": []}
    record = {"id": "rec1", "createdTime": "2026-01-05T00:00:00.000Z", "fields": {}}
    headers = cors(service)
    page.route("**/tables", lambda route: route.fulfill(json={"tables": [table]}, headers=headers))
    page.route(RECORDS, lambda route: route.fulfill(json={"records": [record]}, headers=headers))
    open_base(page, "Content calendar")
    expect(row(page, "Unnamed record").get_by_role("cell")).to_have_text(["", "", ""])
    record_link(page, "Unnamed record").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Empty", exact=True)).to_have_count(3)
    expect(dialog).not_to_contain_text("native code")


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_paging_keeps_the_focus_and_where_the_page_is_scrolled(page: Page, service: Stack) -> None:
    """Two clicks are one request. While it runs, the buttons do nothing."""
    page.set_viewport_size({"width": 800, "height": 600})
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
    page.evaluate("scrollTo(0, 800)")
    sheet(page).evaluate("body => { body.scrollLeft = 200; }")
    held = hold(page, "**/v0/app*/tbl*offset=*")
    page.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    for name in ("Next", "Previous"):
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-disabled", "true")
    held.first().continue_()
    expect(page.get_by_role("main").get_by_text("Records 101–140")).to_be_visible()
    expect(page.get_by_role("button", name="Next")).to_be_focused()
    expect(page.get_by_role("button", name="Previous")).to_be_enabled()
    assert sheet(page).evaluate("body => body.scrollLeft") == 200
    assert page.evaluate("scrollY") == 800
    assert len(held.routes) == 1


def sheet(page: Page) -> Locator:
    """The rows of the grid, which scroll sideways."""
    return page.locator("tbody")


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_last_request_wins(page: Page, service: Stack) -> None:
    """A request that takes longer than the one after it is cancelled, and changes nothing."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
    held = hold(page, "**/v0/app*/tbl*offset=*")
    with page.expect_event("requestfailed"):
        click(page, "Next")
        held.first()
        click(page, "Customer")
    expect(row(page, "#1004")).to_be_visible()  # Adventure Works
    expect(page.get_by_role("columnheader", name="Customer")).to_have_attribute(
        "aria-sort", "ascending"
    )
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_heading_sorts_up_then_down_then_not(page: Page, service: Stack) -> None:
    """Airtable sorts, from the first page. Links and attachments have no such button."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
    click(page, "Next")
    expect(page.get_by_role("main").get_by_text("Records 101–140")).to_be_visible()
    heading = page.get_by_role("columnheader", name="Quantity")
    expect(heading).to_have_attribute("aria-sort", "none")
    first = page.get_by_role("rowheader").first
    for direction, quantity in (("ascending", "1"), ("descending", "9"), ("none", None)):
        click(page, "Quantity")
        expect(heading).to_have_attribute("aria-sort", direction)
        expect(page.get_by_role("main").get_by_text("Records 1–100")).to_be_visible()
        expect(page.get_by_role("button", name="Quantity")).to_be_focused()
        if quantity is not None:
            expect(page.get_by_role("row").nth(1).get_by_role("cell").nth(2)).to_have_text(quantity)
    expect(first).to_have_text("#1000")
    linked = page.get_by_role("columnheader", name="Product")
    expect(linked.get_by_role("button")).to_have_count(0)
    assert linked.get_attribute("aria-sort") is None
    sorts = [
        query_of(f"?{each['query']}").get("sort[0][direction]")
        for each in record_requests(service, "Orders")
    ]
    assert sorts[-3:] == ["asc", "desc", None]


@on_server
def test_refresh_shows_what_has_changed(page: Page, service: Stack) -> None:
    """It reads the page that is shown again, and says when that was."""
    connect(page)
    open_base(page, "Product launch", "Milestones")
    expect(page.get_by_role("main").get_by_text("4 records")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Updated \d\d:\d\d$"))).to_be_visible()
    base, table = page.url.split("/")[-2:]
    (tokens,) = httpx.post(f"{service.airtable}/_simulator/grants", json={"count": 1}).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    url = f"{service.airtable}/v0/{base}/{table}"
    service.advance_clock(31)
    answer = httpx.post(url, json={"fields": {"Name": "Retrospective"}}, headers=headers)
    made = answer.raise_for_status().json()
    try:
        click(page, "Refresh")
        expect(row(page, "Retrospective")).to_be_visible()
        expect(page.get_by_role("main").get_by_text("5 records")).to_be_visible()
        expect(page.get_by_role("button", name="Refresh")).to_be_focused()
    finally:
        service.advance_clock(31)
        httpx.delete(f"{url}/{made['id']}", headers=headers).raise_for_status()
    expect(page.get_by_role("link", name="Open in Airtable")).to_have_attribute(
        "href", f"https://airtable.com/{base}/{table}"
    )


def test_names_of_linked_records_cost_one_request_a_page(page: Page, service: Stack) -> None:
    """It names the records of the page, and reads only the primary field."""
    before = len(service.seen())
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(row(page, "#1002")).to_contain_text("Walnut pen tray")
    click(page, "Next")
    expect(page.get_by_role("main").get_by_text("Records 101–140")).to_be_visible()
    expect(row(page, "#1139")).to_contain_text("Desk lamp, black")
    asked = [
        query_of(f"?{each['query']}")
        for each in record_requests(service, "Products", since=before)
        if "filterByFormula" in each["query"]
    ]
    assert len(asked) == 1, "the second page has no product that the first one had not"
    assert asked[0]["fields[]"] == "Product"
    assert asked[0]["filterByFormula"].count("RECORD_ID()=") == 6


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_head_and_first_column_stay_in_sight(page: Page, service: Stack) -> None:
    """The page scrolls, not the table in it. Head and rows scroll sideways together."""
    page.set_viewport_size({"width": 700, "height": 600})
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(row(page, "#1000")).to_be_visible()
    frame = page.locator(".sheet")
    expect(frame).to_have_attribute("data-after", "")
    expect(frame).not_to_have_attribute("data-before", "")
    page.evaluate("scrollTo(0, 1500)")
    head = page.locator("thead")
    assert top(head) == 0
    expect(page.get_by_role("button", name="Next")).to_be_in_viewport()
    for scroller, other in ((sheet(page), head), (head, sheet(page))):
        left = 150 if scroller is not head else 300
        scroller.evaluate("(element, left) => { element.scrollLeft = left; }", left)
        page.wait_for_function(
            "([element, left]) => element.scrollLeft === left", arg=[other.element_handle(), left]
        )
    expect(frame).to_have_attribute("data-before", "")
    assert columns(page.get_by_role("columnheader")) == columns(
        page.get_by_role("row").nth(40).locator("th, td")
    )
    assert columns(page.get_by_role("columnheader"))[0][0] < 40
    sheet(page).evaluate("body => { body.scrollLeft = 5000; }")
    expect(frame).not_to_have_attribute("data-after", "")
    assert page.evaluate("document.documentElement.scrollHeight") > 3000


def top(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return box["y"]


def columns(cells: Locator) -> list[tuple[float, float]]:
    """Where each cell begins, and how wide it is."""
    found: list[list[float]] = cells.evaluate_all(
        "cells => cells.map((cell) => cell.getBoundingClientRect()).map(({x, width}) => [x, width])"
    )
    return [(x, width) for x, width in found]


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
@pytest.mark.parametrize(("touch", "height"), [(False, 36), (True, 45)])
def test_rows_are_of_one_height(
    chromium: Browser, service: Stack, *, touch: bool, height: int
) -> None:
    """They are higher on touch screens."""
    context = chromium.new_context(base_url=service.pages, has_touch=touch, is_mobile=touch)
    page = context.new_page()
    connect(page)
    open_base(page, "Content calendar")
    expect(row(page, "Now in Portuguese")).to_be_visible()
    heights: list[float] = page.get_by_role("row").evaluate_all(
        "rows => rows.map((row) => row.getBoundingClientRect().height)"
    )
    assert {round(each) for each in heights} == {height}
    context.close()


def made_up_table(
    page: Page, service: Stack, fields: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> None:
    """Let the pages get this table for every base."""
    described = [{"id": f"fld{number}", **field} for number, field in enumerate(fields)]
    table = {
        "id": "tbl1",
        "name": "Odd",
        "primaryFieldId": "fld0",
        "fields": described,
        "views": [],
    }
    records = [
        {"id": f"rec{number}", "createdTime": "2026-01-05T00:00:00.000Z", "fields": cells}
        for number, cells in enumerate(rows)
    ]
    headers = cors(service)
    page.route("**/tables", lambda route: route.fulfill(json={"tables": [table]}, headers=headers))
    page.route(RECORDS, lambda route: route.fulfill(json={"records": records}, headers=headers))


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_hundred_columns_take_less_than_a_second(page: Page, service: Stack) -> None:
    """With a hundred records: the time that the page's thread works until they are seen."""
    kinds: list[dict[str, Any]] = [
        {"type": "singleLineText"},
        {"type": "number", "options": {"precision": 2}},
        {"type": "currency", "options": {"symbol": "$", "precision": 2}},
        {"type": "singleSelect", "options": {"choices": [{"name": "Done", "color": "redLight2"}]}},
        {"type": "dateTime", "options": {"timeZone": "utc", "timeFormat": {"format": "HH:mm"}}},
    ]
    values = ["Some text", 1234.5, -2.5, "Done", "2026-01-05T09:00:00.000Z"]
    fields = [{"name": f"Field {number}", **kinds[number % 5]} for number in range(100)]
    cells = {f"Field {number}": values[number % 5] for number in range(100)}
    connect(page)
    made_up_table(page, service, fields, [cells] * 100)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})  # not other threads' time

    def worked() -> float:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        found = {each["name"]: float(each["value"]) for each in metrics}
        return found["TaskDuration"]

    before = worked()
    page.get_by_role("link", name="Product launch").click()
    expect(page.get_by_role("row")).to_have_count(101)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert worked() - before < 1


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_many_items_of_a_cell_are_counted_and_names_stay_whole(page: Page, service: Stack) -> None:
    """An emoji is not cut in two, and a name may be written from right to left."""
    people = [{"id": f"usr{number}", "name": "👩‍🚀 Jo"} for number in range(36)]
    connect(page)
    made_up_table(
        page,
        service,
        [
            {"name": "Name", "type": "singleLineText"},
            {"name": "Team", "type": "multipleCollaborators"},
            {"name": "Tags", "type": "multipleSelects"},
        ],
        [{"Name": "🎉 مشروع جديد", "Team": people, "Tags": ["a" * 20, "b" * 20, "c"]}],
    )
    open_base(page, "Product launch")
    cells = row(page, "🎉 مشروع جديد").get_by_role("cell")
    expect(cells.nth(0)).to_have_text("👩‍🚀 Jo👩‍🚀 Jo+34")
    assert cells.nth(0).locator(".person").first.get_attribute("data-initial") == "👩‍🚀"
    expect(cells.nth(1)).to_have_text(f"{'a' * 20}+2")
    link = record_link(page, "🎉 مشروع جديد")
    assert link.evaluate("link => getComputedStyle(link).direction") == "rtl"
    more = cells.nth(0).get_by_text("+34")
    expect(more).to_be_in_viewport(ratio=1)
    record_link(page, "🎉 مشروع جديد").click()
    expect(page.get_by_role("dialog").locator(".person")).to_have_count(36)


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_number_of_hidden_items_is_within_the_cell(page: Page, service: Stack) -> None:
    """However wide the column is. A date in words is whole."""
    dates = [f"2026-0{month}-28" for month in range(1, 5)]
    in_words = {"dateFormat": {"name": "friendly", "format": "LL"}}
    connect(page)
    made_up_table(
        page,
        service,
        [
            {"name": "Name", "type": "singleLineText"},
            {"name": "Day", "type": "date", "options": in_words},
            {
                "name": "Days",
                "type": "multipleLookupValues",
                "options": {"result": {"type": "date", "options": {}}},
            },
            {"name": "Tags", "type": "multipleSelects"},
            *({"name": f"Other {number}", "type": "singleLineText"} for number in range(8)),
        ],
        [
            {
                "Name": "One",
                "Day": "2026-09-30",
                "Days": dates,
                "Tags": ["Alpha", "Beta", "Gamma", "D"],
            }
        ],
    )
    open_base(page, "Product launch")
    cells = row(page, "One").get_by_role("cell")
    for place in range(3):
        cell = cells.nth(place)
        assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth"), place
    expect(cells.nth(1)).to_have_text(re.compile(r"\+[23]$"))
    cut = (
        cells.nth(2)
        .locator(".chip")
        .evaluate_all("chips => chips.filter((chip) => chip.scrollWidth > chip.clientWidth).length")
    )
    assert cut == 0


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_tab_of_the_open_table_is_in_sight(page: Page, service: Stack) -> None:
    """A base may have more tables than fit beside each other."""
    headers = cors(service)
    tables = [
        {
            "id": f"tbl{number:014}",
            "name": f"A table with the number {number}",
            "primaryFieldId": "fld1",
            "fields": [{"id": "fld1", "name": "Name", "type": "singleLineText"}],
            "views": [],
        }
        for number in range(20)
    ]
    connect(page)
    open_base(page, "Product launch")
    page.route("**/tables", lambda route: route.fulfill(json={"tables": tables}, headers=headers))
    page.route(RECORDS, lambda route: route.fulfill(json={"records": []}, headers=headers))
    page.goto(f"{page.url.rsplit('/', 1)[0]}/{tables[17]['id']}")
    expect(page.get_by_role("link", name="A table with the number 17")).to_be_in_viewport(ratio=0.9)


def record_requests(service: Stack, table: str, *, since: int = 0) -> list[dict[str, Any]]:
    """The listings of a table of the orders' base that the simulator received."""
    tables = {
        each.name: each.id for base in sample_bases() for each in base.tables if each.name == table
    }
    return [
        each
        for each in service.seen()[since:]
        if each["method"] == "GET" and tables[table] in each["path"]
    ]


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_second_try_is_sent_once(page: Page, service: Stack) -> None:
    """A double click sends one request."""
    connect(page)
    open_base(page, "Inventory and orders")
    page.route("**/tables", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute_all()
    held = hold(page, "**/tables")
    page.get_by_role("button", name="Try again").evaluate(
        "button => [button.click(), button.click()]"
    )
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    held.first().continue_()
    expect(row(page, "Walnut pen tray")).to_be_visible()
    assert len(held.routes) == 1


def cors(service: Stack) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": service.pages,
        "Access-Control-Allow-Credentials": "true",
    }


@pytest.mark.parametrize(
    "width", [320, *(pytest.param(w, marks=pytest.mark.thorough) for w in (390, 1280))]
)
@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_wide_tables_scroll_within_the_page(chromium: Browser, service: Stack, width: int) -> None:
    """The page itself is no wider than the window."""
    context = chromium.new_context(base_url=service.pages, viewport={"width": width, "height": 800})
    page = context.new_page()
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(row(page, "#1000")).to_be_visible()
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
    record_link(page, "#1000").click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    context.close()


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
@pytest.mark.parametrize(
    ("scopes", "heading", "words"),
    [
        ("schema.bases:read", "Content calendar", "doesn't have permission to view records"),
        ("data.records:read", HOME, "doesn't have permission to list your bases"),
    ],
)
def test_missing_scope_is_explained(
    chromium: Browser, tmp_path: Path, scopes: str, heading: str, words: str
) -> None:
    """The app does not request this permission. The page sends no request that would be refused."""
    with stack(tmp_path, SCOPES=scopes) as service:
        context = chromium.new_context(base_url=service.pages)
        page = context.new_page()
        connect(page)
        if scopes == "schema.bases:read":
            open_base(page, "Content calendar")
        expect_heading(page, heading)
        expect(page.get_by_text(words)).to_contain_text("isn't set up to request it")
        expect(page.get_by_role("button", name="Reconnect")).to_have_count(0)
        assert [each for each in service.seen() if each["status"] == 403] == []
        context.close()


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("schema.bases:read", "This app doesn't have permission to view base structure."),
        ("data.records:read", "This app doesn't have permission to view records."),
    ],
)
def test_scope_that_was_not_granted_can_be_granted_now(
    page: Page, service: Stack, scope: str, words: str
) -> None:
    """The button leads to Airtable, and then back to the base."""
    connect(page)
    open_base(page, "Content calendar")
    address = page.url

    def decline(route: Route) -> None:
        answer = route.fetch()
        session = answer.json()
        session["scopes"].remove(scope)
        route.fulfill(response=answer, json={**session, "missing_scopes": [scope]})

    page.route("**/session", decline)
    page.reload()
    expect(page.get_by_text(words)).to_contain_text("You didn't grant this permission.")
    page.unroute_all()
    click(page, "Reconnect")
    click(page, "Grant access")
    expect(page).to_have_url(address)
    expect(row(page, "Now in Portuguese")).to_be_visible()


PRECISE = {"precision": 1}
CELLS: list[tuple[dict[str, Any], Any, str | None]] = [
    ({"type": "checkbox"}, False, None),
    ({"type": "aiText"}, {"state": "empty", "isStale": False, "value": None}, None),
    ({"type": "aiText"}, {"state": "generated", "isStale": False, "value": "A poem"}, "A poem"),
    ({"type": "barcode"}, {"type": "ean8"}, None),
    ({"type": "button"}, {"label": "Open", "url": "javascript:alert(1)"}, "Open"),
    ({"type": "duration"}, 5400, "1:30"),
    ({"type": "duration", "options": {"durationFormat": "h:mm"}}, -5400, "-1:30"),
    ({"type": "duration", "options": {"durationFormat": "h:mm:ss"}}, 3723, "1:02:03"),
    ({"type": "duration", "options": {"durationFormat": "h:mm:ss"}}, 59.6, "0:01:00"),
    ({"type": "duration", "options": {"durationFormat": "h:mm:ss.S"}}, 59.96, "0:01:00.0"),
    ({"type": "duration", "options": {"durationFormat": "h:mm:ss.SSS"}}, 3723.4, "1:02:03.400"),
    ({"type": "constructor"}, "a", "a"),
    ({"type": "__proto__"}, {"a": 1}, '{"a":1}'),
    ({"type": "formula", "options": {"result": {"type": "toString"}}}, 5, "5"),
    ({"type": "number", "options": {"precision": 2}}, 1234.5, "1,234.50"),
    ({"type": "date"}, "2026-01-31", "31 Jan 2026"),
    ({"type": "multipleAttachments"}, [{"id": "att1", "filename": "scan.png"}], "scan.png"),
    (
        {"type": "multipleAttachments"},
        [{"id": "att1", "filename": "scan.png", "type": "image/png", "thumbnails": {}}],
        "scan.png",
    ),
    ({"type": "multipleCollaborators"}, [{"id": "usr1"}, {"id": "u2", "name": "Mina"}], "usr1Mina"),
    (
        {"type": "formula", "options": {"result": {"type": "percent", "options": PRECISE}}},
        0.125,
        "12.5%",
    ),
    ({"type": "formula", "options": {}}, {"error": "#ERROR!"}, "#ERROR!"),
    ({"type": "rollup", "options": {"result": {"type": "number"}}}, {"specialValue": "NaN"}, "NaN"),
    (
        {"type": "multipleLookupValues", "options": {"result": {"type": "currency"}}},
        [1, 2.5],
        "1.002.50",
    ),
    (
        {"type": "multipleLookupValues", "options": {"result": {"type": "multipleSelects"}}},
        ["News", "How-to"],
        "NewsHow-to",
    ),
    ({"type": "somethingNew"}, {"a": 1}, '{"a":1}'),
    ({"type": "date"}, "soon", "soon"),
]


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_every_shape_of_a_cell_reads_as_something(page: Page, service: Stack) -> None:
    """This holds in the grid and in an opened record, also for undocumented shapes."""
    page.goto("/")
    for field, value, text in CELLS:
        for function in ("cell", "full"):
            shown = page.evaluate(
                """async ([name, field, value]) => {
                    const found = (await import("/parts/cells.js"))[name](field, value, null);
                    return found?.textContent ?? found;
                }""",
                [function, field, value],
            )
            if function == "full" and field["type"] == "checkbox":
                assert shown == "No"
            elif function == "full" and field["type"] == "multipleAttachments":
                assert shown == "scan.png"
            else:
                assert shown == text, (function, field, value)
