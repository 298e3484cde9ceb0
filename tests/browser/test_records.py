"""Bases, tables and records, as a person reads them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.held import hold
from tests.browser.test_connect import click, connect, expect_heading
from tests.one_origin import one_origin
from tests.processes import Stack, stack

pytestmark = pytest.mark.browser

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
    return page.get_by_role("row").filter(has=page.get_by_role("button", name=name, exact=True))


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
    expect(page.get_by_text("Records 1–100")).to_be_visible()
    expect(row(page, "#1099")).to_be_attached()
    refreshes = service.token_requests()
    service.advance_clock(3700)
    click(page, "Next")
    expect(page.get_by_text("Records 101–140")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert service.token_requests() == refreshes + 1
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    expect(row(page, "#1139")).to_contain_text("Fabrikam" if 139 % 5 == 1 else "Adventure Works")
    click(page, "Previous")
    expect(page.get_by_text("Records 1–100")).to_be_visible()

    control(service, "POST", "revocation")
    click(page, "Next")
    expect(page.get_by_role("alert")).to_contain_text("no longer accepts this access")
    page.reload()
    expect_heading(page, "Airtable no longer lets this app in")
    click(page, "Reconnect Airtable")
    click(page, "Grant access")
    expect_heading(page, "Inventory and orders")
    expect(page.get_by_text("Records 1–100")).to_be_visible()

    page.get_by_role("link", name="All bases").click()
    click(page, "Log out")
    expect(page.get_by_text("Disconnected: this app has forgotten its access.")).to_be_visible()
    page.goto("/bases/appUr68e2Kkinyc2T")
    expect(page.get_by_text("Connect first to see that page.")).to_be_visible()


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
    expect(row(page, "Pricing page live")).to_contain_text("80 %")


def test_record_opens_in_full(page: Page, service: Stack) -> None:
    """It shows empty fields, too. Escape closes it and returns the focus."""
    connect(page)
    open_base(page, "Product launch")
    button = page.get_by_role("button", name="Record the product tour")
    button.click()
    dialog = page.get_by_role("dialog", name="Record the product tour")
    expect(dialog).to_contain_text("To do")
    expect(dialog).to_contain_text("Jonas Lind")
    expect(dialog).to_contain_text("Public launch")
    expect(dialog.get_by_text("Empty", exact=True)).to_have_count(1)
    expect(dialog.get_by_text("No", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    page.get_by_role("link", name="All bases").click()
    open_base(page, "Content calendar")
    click(page, "A field guide to webhooks")
    files = page.get_by_role("dialog").get_by_role("figure")
    expect(files).to_have_count(2)
    expect(files.get_by_role("link", name="outline.txt")).to_be_visible()


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
    expect(page).to_have_title("Inventory and orders · Connect Airtable")
    page.goto("/bases/appUnknown")
    expect(page.get_by_role("alert")).to_contain_text("not shared with this app")


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 503, "body": "{}"}, "Airtable did not answer as expected"),
        (
            {"status": 422, "body": '{"error":{"type":"LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}'},
            "Start from the first page",
        ),
        (
            {
                "status": 403,
                "body": '{"error":{"type":"INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}}',
            },
            "not shared with this app",
        ),
    ],
)
def test_failure_is_shown_and_can_be_retried(
    page: Page, service: Stack, fault: dict[str, Any], words: str
) -> None:
    """The message replaces only the table; the rest of the page stays."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(page.get_by_text("Records 1–100")).to_be_visible()
    control(service, "POST", "faults", {"path": "/v0/app", **fault})
    click(page, "Next")
    expect(page.get_by_role("alert")).to_contain_text(words)
    expect_heading(page, "Inventory and orders")
    click(page, "Try again")
    first = "Records 1–100" if "first page" in words else "Records 101–140"
    expect(page.get_by_text(first)).to_be_visible()


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
    click(page, markup)
    expect(page.get_by_role("dialog")).to_contain_text(markup)
    expect(page).to_have_title("Content calendar · Connect Airtable")


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
    click(page, "Unnamed record")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Empty", exact=True)).to_have_count(3)
    expect(dialog).not_to_contain_text("native code")


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
def test_pager_waits_while_a_page_loads(page: Page, service: Stack) -> None:
    """A second click would skip a page."""
    connect(page)
    open_base(page, "Inventory and orders", "Orders")
    expect(page.get_by_text("Records 1–100")).to_be_visible()
    held = hold(page, "**/v0/app*/tbl*offset=*")
    click(page, "Next")
    for name in ("Next", "Previous"):
        expect(page.get_by_role("button", name=name)).to_be_disabled()
    held.first().continue_()
    expect(page.get_by_text("Records 101–140")).to_be_visible()
    expect(page.get_by_role("button", name="Previous")).to_be_enabled()
    assert len(held.routes) == 1


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
    expect(page.get_by_role("status")).to_have_text("Loading the base…")
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
    page.get_by_role("button", name="#1000").click()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    context.close()


@pytest.mark.parametrize("service", ["two origins"], indirect=True)
@pytest.mark.parametrize(
    ("scopes", "heading", "words"),
    [
        ("schema.bases:read", "Content calendar", "may not see the data in records"),
        ("data.records:read", "Your Airtable is connected", "may not see which bases there are"),
    ],
)
def test_missing_scope_is_explained(
    chromium: Browser, tmp_path: Path, scopes: str, heading: str, words: str
) -> None:
    """The page offers to grant the scope and sends no request that Airtable would refuse."""
    with stack(tmp_path, SCOPES=scopes) as service:
        context = chromium.new_context(base_url=service.pages)
        page = context.new_page()
        connect(page)
        if scopes == "schema.bases:read":
            open_base(page, "Content calendar")
        expect_heading(page, heading)
        expect(page.get_by_text(words)).to_be_visible()
        expect(page.get_by_role("button", name="Connect again")).to_be_visible()
        assert [each for each in service.seen() if each["status"] == 403] == []
        context.close()


PRECISE = {"precision": 1}
CELLS: list[tuple[dict[str, Any], Any, str | None]] = [
    ({"type": "checkbox"}, False, None),
    ({"type": "aiText"}, {"state": "empty", "isStale": False, "value": None}, None),
    ({"type": "aiText"}, {"state": "generated", "isStale": False, "value": "A poem"}, "A poem"),
    ({"type": "barcode"}, {"type": "ean8"}, None),
    ({"type": "button"}, {"label": "Open", "url": "javascript:alert(1)"}, "Open"),
    ({"type": "duration"}, 5400, "1:30"),
    ({"type": "duration", "options": {"durationFormat": "h:mm"}}, -5400, "−1:30"),
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
        "12.5 %",
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
    ({"type": "date"}, "soon", "Invalid Date"),
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
