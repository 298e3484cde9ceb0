"""An open record: how it is shown, edited and left."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.held import hold
from tests.browser.test_connect import click, connect
from tests.browser.test_records import cors
from tests.helpers import SCOPES
from tests.processes import Stack, stack

pytestmark = pytest.mark.browser

RECORD = re.compile(r"/v0/app\w+/\w+/rec\w+$")


@pytest.fixture(scope="module", params=["server", "browser"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Service, pages and simulator, which also grants `data.records:write`."""
    scopes = " ".join((*SCOPES, "data.records:write"))
    with stack(tmp_path_factory.mktemp("record"), tokens=request.param, SCOPES=scopes) as started:
        yield started


@pytest.fixture(autouse=True)
def _pause(service: Stack) -> None:
    """Advance Airtable's clock, so that its rate limit forgets the previous test's requests."""
    service.advance_clock(31)


on_server = pytest.mark.parametrize("service", ["server"], indirect=True)


def open_record(page: Page, base: str, name: str, table: str | None = None) -> Locator:
    """Connect, and open a record of the base's first table or of the table with this name."""
    connect(page)
    page.get_by_role("link", name=base).click()
    if table is not None:
        page.get_by_role("link", name=table, exact=True).click()
    opener(page, name).click()
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog.get_by_role("button", name="Copy ID")).to_be_visible()
    return dialog


def opener(page: Page, name: str) -> Locator:
    return page.get_by_role("row").get_by_role("link", name=name, exact=True)


def stored(service: Stack, record_id: str) -> dict[str, Any]:
    """The cells of a record in the simulator."""
    service.advance_clock(31)
    grants = httpx.post(f"{service.airtable}/_simulator/grants", json={"count": 1}).json()
    headers = {"Authorization": f"Bearer {grants[0]['access_token']}"}
    with httpx.Client(base_url=f"{service.airtable}/v0", headers=headers) as api:
        for base in api.get("/meta/bases").json()["bases"]:
            for table in api.get(f"/meta/bases/{base['id']}/tables").json()["tables"]:
                for record in api.get(f"/{base['id']}/{table['id']}").json()["records"]:
                    if record["id"] == record_id:
                        cells: dict[str, Any] = record["fields"]
                        return cells
    raise AssertionError(record_id)


def id_of(dialog: Locator) -> str:
    return dialog.get_by_text(re.compile(r"^rec\w{14}$")).inner_text()


def edit(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Edit", exact=True).click()


def save(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Save").click()


def expect_saved(dialog: Locator) -> None:
    expect(dialog.get_by_role("button", name="Edit", exact=True)).to_be_focused()


def bodies(page: Page) -> list[Any]:
    """The bodies of the requests that change a record. The list grows with each."""
    seen: list[Any] = []
    page.on(
        "request", lambda sent: seen.append(sent.post_data_json) if sent.method == "PATCH" else None
    )
    return seen


# Editing


def test_each_kind_of_field_is_edited(page: Page, service: Stack) -> None:
    """Only changed fields are sent, and the grid shows them. Numbers are as Airtable shows them."""
    dialog = open_record(page, "Inventory and orders", "Desk lamp, black")
    record = id_of(dialog)
    before = stored(service, record)
    sent = bodies(page)
    edit(dialog)
    expect(dialog.get_by_label("Product", exact=True)).to_be_focused()
    expect(dialog.get_by_label("Price", exact=True)).to_have_value("69.00")
    dialog.get_by_label("Product", exact=True).fill("Desk lamp, green")
    dialog.get_by_label("Price", exact=True).fill("€1,234.50")
    dialog.get_by_label("In stock", exact=True).fill("")
    dialog.get_by_label("Discontinued", exact=True).check()
    save(dialog)
    dialog = page.get_by_role("dialog", name="Desk lamp, green")
    expect_saved(dialog)
    expect(dialog).to_contain_text("€1,234.50")
    assert sorted(map(str, sent[0].pop("fields").values())) == [
        "1234.5",
        "Desk lamp, green",
        "None",
        "True",
    ]
    assert sent == [{}]
    after = before | {"Product": "Desk lamp, green", "Price": 1234.5, "Discontinued": True}
    del after["In stock"]
    seen = stored(service, record)
    assert {**seen, "Photos": 0} == {**after, "Photos": 0}  # addresses of files change
    page.keyboard.press("Escape")
    expect(page.get_by_role("row").filter(has_text="Desk lamp, green")).to_contain_text("€1,234.50")

    opener(page, "Desk lamp, green").click()
    edit(page.get_by_role("dialog"))
    page.get_by_label("Discontinued", exact=True).uncheck()
    save(page.get_by_role("dialog"))
    expect_saved(page.get_by_role("dialog"))
    assert "Discontinued" not in stored(service, record)


def test_select_and_long_text_are_edited(page: Page, service: Stack) -> None:
    """Fields of other types are shown beside them."""
    dialog = open_record(page, "Product launch", "Set up the status page")
    record = id_of(dialog)
    edit(dialog)
    dialog.get_by_label("Status", exact=True).select_option("In review")
    dialog.get_by_label("Notes", exact=True).fill("First line\nSecond line")
    expect(dialog.get_by_text("Tomás Vega")).to_be_visible()
    expect(dialog.get_by_role("textbox")).to_have_count(3)
    save(dialog)
    expect_saved(dialog)
    cells = stored(service, record)
    assert (cells["Status"], cells["Notes"]) == ("In review", "First line\nSecond line")
    edit(dialog)
    dialog.get_by_label("Status", exact=True).select_option("Empty")
    dialog.get_by_label("Notes", exact=True).fill("")
    save(dialog)
    expect_saved(dialog)
    assert not {"Status", "Notes"} & stored(service, record).keys()


@on_server
def test_percentage_email_phone_and_address_are_edited(page: Page, service: Stack) -> None:
    """A percentage is typed as Airtable shows it."""
    dialog = open_record(page, "Product launch", "First 100 customers", "Milestones")
    record = id_of(dialog)
    edit(dialog)
    expect(dialog.get_by_label("Progress", exact=True)).to_have_value("4")
    dialog.get_by_label("Progress", exact=True).fill("7")
    save(dialog)
    expect_saved(dialog)
    assert stored(service, record)["Progress"] == 0.07

    page.goto("/login-success")
    page.get_by_role("link", name="Content calendar").click()
    page.get_by_role("link", name="Authors", exact=True).click()
    opener(page, "Jonas Lind").click()
    dialog = page.get_by_role("dialog", name="Jonas Lind")
    record = id_of(dialog)
    wanted = {"Email": "jonas@münchen.example", "Phone": "+1 555 9999", "Site": "example.org/jonas"}
    edit(dialog)
    for label, value in wanted.items():
        dialog.get_by_label(label, exact=True).fill(value)
    save(dialog)
    expect_saved(dialog)
    assert stored(service, record) == {"Name": "Jonas Lind", **wanted}


@on_server
def test_nothing_changed_sends_nothing(page: Page, service: Stack) -> None:
    """Saving without a change returns to the record."""
    dialog = open_record(page, "Product launch", "Agree on list prices")
    sent = bodies(page)
    edit(dialog)
    save(dialog)
    expect_saved(dialog)
    edit(dialog)
    dialog.get_by_label("Task", exact=True).fill("Something else")
    dialog.get_by_label("Task", exact=True).fill("Agree on list prices")
    dialog.get_by_role("button", name="Cancel").click()
    expect_saved(dialog)
    assert sent == []


@on_server
def test_computed_fields_are_shown_and_not_editable(page: Page, service: Stack) -> None:
    """This also holds for links to records."""
    dialog = open_record(page, "Inventory and orders", "#1003", "Orders")
    edit(dialog)
    expect(dialog.get_by_text("Total", exact=True)).to_be_visible()
    for name in ("Total", "Product", "Ordered"):
        expect(dialog.get_by_label(name, exact=True)).to_have_count(0)
    expect(dialog.get_by_text("Linen notebook A5")).to_be_visible()
    expect(dialog.get_by_role("textbox")).to_have_count(3)
    expect(dialog.get_by_role("combobox")).to_have_count(1)


def test_without_the_scope_nothing_can_be_edited(
    chromium: Browser, stack_with_tokens: Callable[[str], Stack], service: Stack
) -> None:
    """The record has the other buttons."""
    read_only = stack_with_tokens(service.tokens)
    read_only.advance_clock(31)
    other = chromium.new_context(base_url=read_only.pages).new_page()
    dialog = open_record(other, "Product launch", "Agree on list prices")
    expect(dialog.get_by_role("link", name="Open in Airtable")).to_be_visible()
    expect(dialog.get_by_role("button", name="Edit")).to_have_count(0)
    other.context.close()


@on_server
def test_user_who_may_only_read_the_base_is_offered_no_editing(page: Page, service: Stack) -> None:
    """The app may write, but Airtable would refuse what this user writes."""

    def answer(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        for base in body["bases"]:
            base["permissionLevel"] = "comment" if base["name"] == "Product launch" else "edit"
        route.fulfill(response=response, json=body)

    page.route("**/meta/bases", answer)
    dialog = open_record(page, "Product launch", "Agree on list prices")
    expect(dialog.get_by_role("button", name="Edit")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="All bases").click()
    page.get_by_role("link", name="Content calendar").click()
    opener(page, "Now in Portuguese").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Edit")).to_be_visible()


# Failures


def test_wrong_value_is_said_beside_its_field(page: Page, service: Stack) -> None:
    """Nothing is sent until it is right. The message is tied to the field, which has the focus."""
    dialog = open_record(page, "Inventory and orders", "Monitor shelf, oak")
    sent = bodies(page)
    edit(dialog)
    price = dialog.get_by_label("Price", exact=True)
    price.fill("cheap")
    dialog.get_by_label("SKU", exact=True).fill("SHF-008")
    save(dialog)
    expect(price).to_be_focused()
    expect(price).to_have_attribute("aria-invalid", "true")
    expect(price).to_have_accessible_description(re.compile("Enter a number"))
    assert sent == []
    price.fill("120")
    expect(dialog.get_by_text("Enter a number")).to_have_count(0)
    save(dialog)
    expect_saved(dialog)
    expect(dialog).to_contain_text("€120.00")


def change_schema(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """Have the page believe in another schema, as if a field had been changed in Airtable since."""

    def answer(route: Any) -> None:
        response = route.fetch()
        body = response.json()
        for table in body["tables"]:
            for field in table["fields"]:
                change(field)
        route.fulfill(response=response, json=body)

    page.route("**/tables", answer)


@pytest.mark.parametrize(
    ("table", "name", "label", "value", "words"),
    [
        (None, "Collect beta feedback", "Status", "Lost", "This option was removed in Airtable"),
        ("Milestones", "Public launch", "Reached", "Soon", "Airtable doesn't accept this value"),
    ],
)
def test_value_that_airtable_refuses_is_said_beside_its_field(
    page: Page, service: Stack, table: str | None, name: str, label: str, value: str, words: str
) -> None:
    """Here the field was changed in Airtable since the page was loaded. Nothing typed is lost."""

    def change(field: dict[str, Any]) -> None:
        if field["name"] == "Reached":
            field["type"] = "singleLineText"
        elif field["name"] == "Status":
            field["options"]["choices"].append({"id": "selNew", "name": "Lost"})

    change_schema(page, change)
    dialog = open_record(page, "Product launch", name, table)
    record = id_of(dialog)
    before = stored(service, record)
    edit(dialog)
    refused, first = dialog.get_by_label(label, exact=True), dialog.get_by_role("textbox").first
    first.fill("Typed")
    if label == "Status":
        refused.select_option(value)
    else:
        refused.fill(value)
    save(dialog)
    expect(refused).to_be_focused()
    expect(refused).to_have_accessible_description(re.compile(words))
    expect(refused).to_have_value(value)
    expect(first).to_have_value("Typed")
    assert stored(service, record) == before


def test_lost_network_keeps_what_was_typed(page: Page, service: Stack) -> None:
    """The same values can be sent again: the button has the focus all the time."""
    dialog = open_record(page, "Product launch", "Invite the beta group")
    edit(dialog)
    dialog.get_by_label("Notes", exact=True).fill("Typed")
    page.context.set_offline(True)
    save(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text("We couldn't confirm that")
    expect(dialog.get_by_role("button", name="Try again")).to_be_focused()
    expect(dialog.get_by_label("Notes", exact=True)).to_have_value("Typed")
    page.context.set_offline(False)
    held = hold(page, RECORD, "PATCH")
    page.keyboard.press("Enter")
    busy = dialog.get_by_role("button", name="Saving…")
    expect(busy).to_be_focused()
    expect(busy).to_have_attribute("aria-busy", "true")
    expect(dialog.get_by_role("alert")).to_have_count(0)
    for key in ("Enter", "Escape"):  # neither sends it twice nor leaves it
        page.keyboard.press(key)
    held.first().continue_()
    expect_saved(dialog)
    assert len(held.routes) == 1
    assert stored(service, id_of(dialog))["Notes"] == "Typed"


@pytest.mark.parametrize("way", ["Cancel", "Close"])
def test_change_that_was_stored_without_an_answer_is_shown(
    page: Page, service: Stack, way: str
) -> None:
    """After giving up, the person sees what is stored, in the record and in the grid."""
    name = "Record the product tour"
    dialog = open_record(page, "Product launch", name)
    edit(dialog)
    dialog.get_by_label("Estimate (h)", exact=True).fill("71" if way == "Cancel" else "72")
    save_without_an_answer(page, dialog)
    page.unroute_all()
    dialog.get_by_role("button", name=way).click()
    click(page, "Discard changes")
    estimate = "71" if way == "Cancel" else "72"
    if way == "Cancel":
        expect(dialog.get_by_text(estimate, exact=True)).to_be_visible()
        dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_role("row", name=name)).to_contain_text(estimate)
    expect(opener(page, name)).to_be_focused()


@on_server
def test_change_without_an_answer_that_is_taken_back_is_shown(page: Page, service: Stack) -> None:
    """There is nothing to save then, but the first change may be stored."""
    dialog = open_record(page, "Product launch", "Record the product tour")
    edit(dialog)
    notes = dialog.get_by_label("Notes", exact=True)
    before = notes.input_value()
    notes.fill("Stored without an answer")
    save_without_an_answer(page, dialog)
    page.unroute_all()
    notes.fill(before)
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_text("Stored without an answer", exact=True)).to_be_visible()


def failed_save(page: Page) -> Locator:
    """A record with a change that was sent, while all requests about it fail."""
    dialog = open_record(page, "Product launch", "Record the product tour")
    edit(dialog)
    dialog.get_by_label("Notes", exact=True).fill("Discarded")
    page.route(RECORD, lambda route: route.abort())
    save(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text("We couldn't confirm that")
    return dialog


@on_server
def test_changes_that_were_discarded_are_not_asked_about_again(page: Page, service: Stack) -> None:
    """Here the record cannot be read either."""
    dialog = failed_save(page)
    dialog.get_by_role("button", name="Cancel").click()
    click(page, "Discard changes")
    expect(page.get_by_text("Couldn't load this record.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@on_server
def test_changes_that_were_discarded_do_not_come_back(page: Page, service: Stack) -> None:
    """The tab had kept them, because the connection seemed to have ended."""
    dialog = failed_save(page)
    page.unroute_all()
    refused = {"error": "reconnect_required", "action": "reconnect"}
    page.route(RECORD, lambda route: route.fulfill(status=401, json=refused, headers=cors(service)))
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_role("alert")).not_to_contain_text("We couldn't confirm that")
    page.unroute_all()
    dialog.get_by_role("button", name="Cancel").click()
    click(page, "Discard changes")
    expect(dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()


def save_without_an_answer(page: Page, dialog: Locator) -> None:
    """Airtable stores the change, and the network fails."""

    def lose_the_answer(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(RECORD, lose_the_answer)
    save(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text("We couldn't confirm that")


@pytest.mark.parametrize(
    ("status", "kind", "what", "button"),
    [
        (429, "RATE_LIMIT_REACHED", "Couldn't save.", "Try again"),
        (503, "SERVICE_UNAVAILABLE", "We couldn't confirm", "Try again"),
        (403, "INVALID_PERMISSIONS", "Couldn't save.", "Save"),
        (422, "INVALID_REQUEST_UNKNOWN", "Couldn't save.", "Save"),
    ],
)
@on_server
def test_other_failure_is_said_above_the_buttons(
    page: Page, service: Stack, status: int, kind: str, what: str, button: str
) -> None:
    """*Try again* is offered only where it can help.

    After a 503 the changes may be stored, and the page does not say that they are not.
    """

    def refuse(route: Route) -> None:
        if route.request.method == "PATCH":
            error = {"error": {"type": kind, "message": "No"}}
            route.fulfill(status=status, json=error, headers=cors(service))
        else:
            route.continue_()

    dialog = open_record(page, "Content calendar", "Now in Portuguese")
    edit(dialog)
    dialog.get_by_label("Summary", exact=True).fill(f"Typed {status}")
    page.route(RECORD, refuse)
    save(dialog)
    expect(dialog.get_by_role("alert")).to_contain_text(what)
    expect(dialog.get_by_label("Summary", exact=True)).to_have_value(f"Typed {status}")
    expect(dialog.get_by_role("button", name="Try again")).to_have_count(int(button == "Try again"))
    page.unroute_all()
    dialog.get_by_role("button", name=button).click()
    expect_saved(dialog)
    expect(dialog).to_contain_text(f"Typed {status}")


# Leaving


@on_server
def test_unsaved_changes_are_lost_only_on_purpose(page: Page, service: Stack) -> None:
    """*Close*, *Cancel*, Escape and a click outside ask first. Escape then keeps the changes."""
    dialog = open_record(page, "Product launch", "Load-test the sign-up flow")
    edit(dialog)
    notes = dialog.get_by_label("Notes", exact=True)
    notes.fill("Typed")
    question = page.get_by_role("alertdialog", name="Discard your changes?")
    ways: list[Callable[[], None]] = [
        lambda: dialog.get_by_role("button", name="Close").click(),
        lambda: dialog.get_by_role("button", name="Cancel").click(),
        lambda: page.keyboard.press("Escape"),
        lambda: page.mouse.click(5, 5),
    ]
    for leave in ways:
        leave()
        expect(question).to_be_visible()
        expect(question.get_by_role("button", name="Keep editing")).to_be_focused()
        page.keyboard.press("Escape")
        expect(question).to_have_count(0)
        expect(notes).to_have_value("Typed")
    page.keyboard.press("Escape")
    question.get_by_role("button", name="Discard changes").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener(page, "Load-test the sign-up flow")).to_be_focused()


@on_server
def test_back_closes_and_asks_before_changes_are_lost(page: Page, service: Stack) -> None:
    """An address of its own opens the record again."""
    dialog = open_record(page, "Product launch", "Collect beta feedback")
    place = page.url
    assert place.endswith(f"/{id_of(dialog)}")
    expect(page).to_have_title("Collect beta feedback · Tasks · Connect Airtable")
    page.go_back()
    expect(dialog).to_have_count(0)
    expect(page).to_have_title("Tasks · Product launch · Connect Airtable")
    page.go_forward()
    expect(dialog).to_contain_text("Summary in the shared folder.")
    edit(dialog)
    notes = dialog.get_by_label("Notes", exact=True)
    notes.fill("Typed")
    page.evaluate("history.back()")
    question = page.get_by_role("alertdialog", name="Discard your changes?")
    question.get_by_role("button", name="Keep editing").click()
    expect(notes).to_have_value("Typed")
    expect(page).to_have_url(place)
    page.evaluate("history.back()")
    question.get_by_role("button", name="Discard changes").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).not_to_have_url(place)
    page.goto(place)
    expect(dialog).to_contain_text("Summary in the shared folder.")


@on_server
def test_changes_survive_the_back_button_in_a_browser_that_cannot_ask(
    page: Page, service: Stack
) -> None:
    """Without the Navigation API. They are there again when the record is opened."""
    page.add_init_script("delete globalThis.navigation")
    dialog = open_record(page, "Product launch", "Agree on list prices")
    edit(dialog)
    dialog.get_by_label("Notes", exact=True).fill("Typed")
    dialog.get_by_label("Blocked", exact=True).check()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    opener(page, "Agree on list prices").click()
    expect(dialog).to_contain_text("These changes aren't saved yet.")
    expect(dialog.get_by_label("Blocked", exact=True)).to_be_checked()
    save(dialog)
    expect_saved(dialog)
    cells = stored(service, id_of(dialog))
    assert (cells["Notes"], cells["Blocked"]) == ("Typed", True)
    page.keyboard.press("Escape")
    opener(page, "Agree on list prices").click()
    expect(dialog.get_by_role("button", name="Edit", exact=True)).to_be_visible()


def test_changes_outlast_the_end_of_the_connection(page: Page, service: Stack) -> None:
    """The person reconnects, is back at the record, and can save what was typed."""
    dialog = open_record(page, "Product launch", "Public launch", "Milestones")
    record = id_of(dialog)
    edit(dialog)
    dialog.get_by_label("Progress", exact=True).fill("36")
    httpx.post(f"{service.airtable}/_simulator/revocation").raise_for_status()
    save(dialog)
    if service.tokens == "browser":
        expect(page.locator("button.primary:visible")).to_have_count(1)
        click(page, "Refresh access")
    page.get_by_role("button", name=re.compile("^Reconnect")).first.click()
    service.advance_clock(31)
    click(page, "Grant access")
    expect(dialog).to_contain_text("These changes aren't saved yet.")
    expect(dialog.get_by_label("Progress", exact=True)).to_have_value("36")
    save(dialog)
    expect_saved(dialog)
    assert stored(service, record)["Progress"] == 0.36


@on_server
def test_browser_asks_before_the_page_is_left(page: Page, service: Stack) -> None:
    """It does not ask if nothing was changed."""
    asked: list[str] = []

    def stay(question: Any) -> None:
        asked.append(question.type)
        question.dismiss()

    dialog = open_record(page, "Product launch", "Load-test the sign-up flow")
    page.on("dialog", stay)
    edit(dialog)
    dialog.get_by_label("Notes", exact=True).fill("Typed")
    page.evaluate("location.href = '/login-success'")
    page.wait_for_timeout(300)
    expect(dialog.get_by_label("Notes", exact=True)).to_have_value("Typed")
    assert asked == ["beforeunload"]
    dialog.get_by_role("button", name="Cancel").click()
    click(page, "Discard changes")
    page.goto("/login-success")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert asked == ["beforeunload"]


@on_server
def test_selection_of_text_does_not_close(page: Page, service: Stack) -> None:
    """It may end outside the dialog, or begin there. A click outside closes it."""
    dialog = open_record(page, "Product launch", "Write the launch announcement")
    box = dialog.bounding_box()
    assert box is not None
    inside = (box["x"] + 60, box["y"] + box["height"] / 2)
    for begin, end in ((inside, (5, 5)), ((5, 5), inside)):
        page.mouse.move(*begin)
        page.mouse.down()
        page.mouse.move(*end, steps=4)
        page.mouse.up()
        expect(dialog).to_be_visible()
    page.mouse.click(5, 5)
    expect(page.get_by_role("dialog")).to_have_count(0)


@on_server
def test_keyboard_alone_suffices(page: Page, service: Stack) -> None:
    """From the grid to a stored change and back. The focus is never lost."""
    connect(page)
    page.get_by_role("link", name="Product launch").click()
    opener(page, "Record the product tour").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Record the product tour")
    expect(dialog.get_by_role("heading", level=2)).to_be_focused()
    record = id_of(dialog)
    button = dialog.get_by_role("button", name="Edit", exact=True)
    for _ in range(4):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_label("Task", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("Done")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")  # in a field of one line it saves
    expect_saved(dialog)
    cells = stored(service, record)
    assert (cells["Status"], cells["Blocked"]) == ("Done", True)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener(page, "Record the product tour")).to_be_focused()


# Showing


@on_server
def test_id_is_copied_and_airtable_opens(page: Page, service: Stack) -> None:
    """The copy is announced inside the dialog, because a screen reader ignores what is below."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=service.pages)
    dialog = open_record(page, "Inventory and orders", "Walnut pen tray")
    record = id_of(dialog)
    dialog.get_by_role("button", name="Copy ID").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_focused()
    expect(dialog.locator("[aria-live]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == record
    link = dialog.get_by_role("link", name="Open in Airtable")
    table = re.escape("https://airtable.com/appUr68e2Kkinyc2T/")
    expect(link).to_have_attribute("href", re.compile(rf"^{table}tbl\w+/{record}$"))


OPEN = """async ({ failures, record }) => {
    const { openRecord } = await import("/parts/record.js");
    const calls = (window.calls = []);
    const options = { choices: [{ name: "constructor" }] };
    const table = { id: "tbl1", name: "Things", primaryFieldId: "fld1", fields: [
        { id: "fld1", name: "__proto__", type: "singleLineText" },
        { id: "fld2", name: "Kind", type: "singleSelect", options },
    ] };
    const records = {
        async get(...place) {
            calls.push(["get", ...place.slice(0, 3)]);
            await new Promise((resolve) => { window.answer = resolve; });
            const failure = failures.shift();
            if (failure) throw Object.assign(new Error("No"), failure);
            return record;
        },
        async update(base, table, id, fields) {
            calls.push(["update", id, fields]);
            return { ...record, fields: { ...record.fields, Kind: fields.fld2 } };
        },
    };
    window.closeRecord = openRecord({ oauth: { records }, navigate() {} }, {
        base: { id: "app1" }, table, recordId: "rec1", links: null,
        session: { scopes: ["data.records:read", "data.records:write"], missingScopes: [] },
        onClose: () => calls.push(["close"]),
        onChanged: (changed) => calls.push(["changed", changed.fields.Kind]),
    });
}"""


def open_start(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("button", name="Connect Airtable")).to_be_visible()


THING = {"id": "rec1", "createdTime": "2026-01-05T00:00:00.000Z", "fields": {}}


@on_server
def test_record_is_loaded_and_a_failure_can_be_retried(page: Page, service: Stack) -> None:
    """The dialog opens before the record is there. `onClose` is called once."""
    open_start(page)
    unreachable = {"code": "unreachable", "action": "retry", "status": None}
    page.evaluate(OPEN, {"failures": [unreachable], "record": THING})
    dialog = page.get_by_role("dialog")
    expect(dialog).to_have_attribute("aria-busy", "true")
    expect(dialog.get_by_role("heading")).to_have_text("Loading record…")
    page.evaluate("answer()")
    expect(dialog.get_by_role("alert")).to_contain_text("Couldn't load this record.")
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog).to_have_attribute("aria-busy", "true")
    page.evaluate("answer()")
    expect(dialog.get_by_role("heading")).to_have_text("Unnamed record")
    expect(dialog.get_by_role("heading")).to_be_focused()
    expect(dialog).not_to_have_attribute("aria-busy", "true")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.evaluate("closeRecord()")
    get = ["get", "app1", "tbl1", "rec1"]
    assert page.evaluate("calls") == [get, get, ["close"]]


@on_server
def test_record_that_is_gone_says_so(page: Page, service: Stack) -> None:
    """*Try again* would not help."""
    open_start(page)
    gone = {
        "code": "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "action": "fix_request",
        "status": 403,
    }
    page.evaluate(OPEN, {"failures": [gone], "record": THING})
    page.evaluate("answer()")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("Couldn't load this record.")
    expect(dialog.get_by_role("button", name="Try again")).to_have_count(0)
    dialog.get_by_role("button", name="Close").click()
    assert page.evaluate("calls.at(-1)") == ["close"]


@on_server
def test_page_can_close_it_and_learns_of_edits(page: Page, service: Stack) -> None:
    """It then closes without `onClose`. A field may be `__proto__`, an option `constructor`."""
    open_start(page)
    page.evaluate(OPEN, {"failures": [], "record": THING})
    page.evaluate("answer()")
    dialog = page.get_by_role("dialog", name="Unnamed record")
    edit(dialog)
    dialog.get_by_label("Kind", exact=True).select_option("constructor")
    save(dialog)
    expect_saved(dialog)
    page.evaluate("closeRecord()")
    expect(dialog).to_have_count(0)
    assert page.evaluate("calls.slice(1)") == [
        ["update", "rec1", {"fld2": "constructor"}],
        ["changed", "constructor"],
    ]
