"""Every state of the pages: axe, the keyboard, sizes of targets, forced colours, less motion."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.states import (
    STATES,
    State,
    access_expired,
    access_not_refreshed,
    base_with_pages,
    callback,
    click,
    declined,
    disconnect_dialog,
    expect_heading,
    home,
    loading,
    login,
    login_with_notice,
    record_being_edited,
)
from tests.helpers import SCOPES
from tests.processes import Stack, stack
from tests.samples import NODE_PACKAGES

_AXE = NODE_PACKAGES / "axe-core/axe.min.js"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not _AXE.exists(), reason="axe-core is not installed; scripts/test does it"),
]

_RUN_AXE = """async () => {
  const wcag = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];
  const runOnly = { type: "tag", values: [...wcag, "best-practice"] };
  const { violations } = await axe.run({ runOnly });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) =>
    `${id} at ${target.join(" ")}: ${failureSummary.split("\\n").slice(1).join(";")}`));
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Service, pages and simulator. The pages may change records."""
    scopes = " ".join((*SCOPES, "data.records:write"))
    with stack(tmp_path_factory.mktemp("accessibility"), SCOPES=scopes) as started:
        yield started


@pytest.fixture(autouse=True)
def _pause(service: Stack) -> None:
    """Advance Airtable's clock, so that its rate limit forgets the previous test's requests."""
    service.advance_clock(31)


# What holds in every state


@pytest.fixture
def person(chromium: Browser, service: Stack) -> Iterator[BrowserContext]:
    """A user at a desk who prefers less motion."""
    context = chromium.new_context(
        base_url=service.pages,
        locale="en-GB",
        viewport={"width": 1280, "height": 900},
        reduced_motion="reduce",
    )
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_state_is_accessible(page: Page, service: Stack, state: State) -> None:
    """The focus is on what is new, nothing moves, and axe finds nothing in any look."""
    state(page, service)
    if state not in (loading, base_with_pages):  # these are not new views
        expect_focus_on_what_is_new(page)
    expect_accessible(page)


@pytest.mark.parametrize("state", [home, access_expired, access_not_refreshed])
def test_state_with_tokens_in_the_browser_is_accessible(
    chromium: Browser, stack_with_tokens: Callable[[str], Stack], state: State
) -> None:
    """The pages for tokens in the browser differ in these states."""
    service = stack_with_tokens("browser")
    service.advance_clock(31)
    context = chromium.new_context(base_url=service.pages, locale="en-GB", reduced_motion="reduce")
    page = context.new_page()
    state(page, service)
    expect_accessible(page)
    context.close()


def expect_accessible(page: Page) -> None:
    """Nothing moves, and axe finds nothing, in any look."""
    assert page.evaluate(_COUNT_MOVING) == 0
    page.evaluate(axe())
    found = []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found += [f"{width} {scheme}: {each}" for each in page.evaluate(_RUN_AXE)]
    assert found == []


def expect_focus_on_what_is_new(page: Page) -> None:
    """It is on the heading of a new view, so that a screen reader says it, or in the new dialog."""
    heading = page.locator("h1")
    dialog = page.locator("dialog[open]")
    expect(heading.or_(dialog).last).to_be_visible()
    if dialog.count():
        focused = page.locator(":focus")
        expect(dialog.last.locator(":focus").or_(dialog.last.and_(focused))).to_have_count(1)
    else:
        expect(heading).to_be_focused()


_COUNT_MOVING = """() => document.getAnimations().filter((each) =>
  each.playState === "running" && each.effect.getComputedTiming().duration > 0).length"""


@pytest.mark.parametrize(
    "state", [login, home, base_with_pages, record_being_edited, disconnect_dialog]
)
def test_targets_are_large_on_touch_screens(
    chromium: Browser, service: Stack, state: State
) -> None:
    """44 pixels in both directions. A row of the grid is one target; a label is one too."""
    context = chromium.new_context(
        base_url=service.pages,
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
    )
    page = context.new_page()
    state(page, service)
    assert page.evaluate("matchMedia('(pointer: coarse)').matches")
    assert page.evaluate(_SMALL_TARGETS) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


_SMALL_TARGETS = """() => {
  const scope = document.querySelector("dialog[open]") ?? document;
  const targets = [...scope.querySelectorAll("button, summary, select, input, textarea, a")];
  const blocks = targets.filter((each) =>
    each.checkVisibility() && !(each.matches("a") && getComputedStyle(each).display === "inline"));
  return blocks.map((each) => {
    const areas = [each, each.closest("tbody tr"), ...each.labels ?? []].filter(Boolean);
    const [best] = areas.map((area) => area.getBoundingClientRect())
      .map(({ width, height }) => Math.round(Math.min(width, height))).sort((a, b) => b - a);
    return [each.textContent.trim() || each.name || each.id, best];
  }).filter(([, size]) => size < 44);
}"""


# The keyboard


@pytest.mark.parametrize(
    "state", [login_with_notice, declined, home, base_with_pages, record_being_edited]
)
def test_tab_reaches_every_control_and_shows_it(page: Page, service: Stack, state: State) -> None:
    """After the last one comes the first again."""
    state(page, service)
    wanted = page.evaluate(_CONTROLS)
    reached: list[str] = []
    for _ in range(len(wanted) + 20):
        page.keyboard.press("Tab")
        name, is_shown = page.evaluate(_FOCUSED)
        if name in reached:
            assert name == reached[0]
            break
        reached.append(name)
        assert is_shown, f"{name} does not show that it has the focus"
    assert [each for each in wanted if each not in reached] == []


_NAMED = """const named = (each) => {
    window.names ??= new Map();
    const text = each.textContent.trim().slice(0, 30);
    if (!names.has(each)) names.set(each, `${each.localName} ${names.size} ${text}`);
    return names.get(each);
  };"""
_CONTROLS = f"""() => {{
  {_NAMED}
  const scope = document.querySelector("dialog[open]") ?? document;
  return [...scope.querySelectorAll("button, a[href], summary, select, input, textarea")]
    .filter((each) => each.checkVisibility() && !each.disabled && each.tabIndex >= 0).map(named);
}}"""
_FOCUSED = f"""() => {{
  {_NAMED}
  const each = document.activeElement;
  if (each === document.body) return ["body", true];
  const {{ outlineStyle, outlineWidth }} = getComputedStyle(each);
  return [named(each), outlineStyle !== "none" && parseFloat(outlineWidth) >= 2];
}}"""


def test_keyboard_is_enough_for_everything(page: Page) -> None:
    """Connect, open a base, another table and a record, go back, disconnect."""
    page.goto("/")
    press(page, "button", "Connect Airtable")
    press(page, "button", "Grant access")
    expect_heading(page, "Airtable is connected")
    press(page, "link", "Product launch")
    expect_heading(page, "Product launch")
    press(page, "link", "Milestones", exact=True)
    opener = press(page, "link", "Public launch")
    expect(page.get_by_role("dialog", name="Public launch")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()
    press(page, "link", "All bases", key="Shift+Tab")
    expect_heading(page, "Airtable is connected")
    opener = press(page, "button", "Disconnect", key="Shift+Tab")
    expect(page.get_by_role("dialog", name="Disconnect Airtable?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    press(page, "button", "Disconnect", within="dialog")
    expect_heading(page, "Connect your Airtable bases")
    expect(page.get_by_role("heading", level=1)).to_be_focused()


def press(
    page: Page,
    role: Any,
    name: str,
    *,
    key: str = "Tab",
    within: str = "body",
    exact: bool = False,
) -> Any:
    """Tab until a control has the focus, and press Enter. Returns the control."""
    control = page.locator(within).get_by_role(role, name=name, exact=exact)
    expect(control).to_be_visible()
    for _ in range(60):
        page.keyboard.press(key)
        if control.evaluate("each => each === document.activeElement"):
            page.keyboard.press("Enter")
            return control
    raise AssertionError(f"{key} does not reach {name}")


# Other looks


def test_forced_colours_show_the_open_table(page: Page, service: Stack) -> None:
    """There, backgrounds and shadows are gone, and transparent borders are visible."""
    base_with_pages(page, service)
    page.emulate_media(forced_colors="active")
    looks = (
        page.get_by_role("navigation", name="Tables")
        .get_by_role("link")
        .evaluate_all(
            """(tabs) => tabs.map((tab) => {
            const look = getComputedStyle(tab);
            const shown = ["borderTopColor", "borderBottomColor", "borderBottomStyle",
              "borderBottomWidth", "outlineStyle", "textDecorationLine", "fontWeight",
              "backgroundColor"];
            return [tab.hasAttribute("aria-current"), shown.map((name) => look[name]).join()];
        })"""
        )
    )
    current = [look for is_current, look in looks if is_current]
    others = {look for is_current, look in looks if not is_current}
    assert len(current) == 1
    assert current[0] not in others
    tab = page.get_by_role("navigation", name="Tables").get_by_role("link").first
    assert tab.get_attribute("aria-current") is None
    border, canvas = tab.evaluate(
        """(tab) => [getComputedStyle(tab).borderBottomColor,
            getComputedStyle(document.body).backgroundColor]"""
    )
    assert border == canvas, "the border of a closed table is visible"


def test_spinner_turns_without_reduced_motion(page: Page, service: Stack) -> None:
    """Otherwise the tests with reduced motion would prove nothing."""
    page.emulate_media(reduced_motion="no-preference")
    callback(page, service)
    assert page.evaluate("document.getAnimations().length") == 1


@pytest.mark.parametrize("path", ["/", "/oauth2/v1/authorize"])
def test_axe_finds_nothing_in_the_simulator(page: Page, service: Stack, path: str) -> None:
    """Its own page, and its consent page."""
    if path == "/":
        page.goto(service.airtable)
        expect(page.get_by_role("heading", name="Recent requests")).to_be_visible()
    else:
        page.goto("/")
        click(page, "Connect Airtable")
        expect(page.get_by_role("button", name="Grant access")).to_be_visible()
    page.evaluate(axe())
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(_RUN_AXE) == []


@cache
def axe() -> str:
    """The source, which Playwright evaluates in the page in spite of its CSP."""
    return Path(_AXE).read_text()
