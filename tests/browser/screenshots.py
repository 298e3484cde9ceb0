"""Take the screenshots of `docs/images/`, and of every page if a folder is named."""

import tempfile
from pathlib import Path

import click
import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import launch
from tests.browser.held import hold
from tests.processes import Stack, stack

_IMAGES = Path(__file__).parents[2] / "docs/images"


@click.command(help=__doc__)
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
def main(folder: Path | None) -> None:
    """Start everything and save the screenshots."""
    with (
        tempfile.TemporaryDirectory() as logs,
        stack(Path(logs)) as service,
        sync_playwright() as playwright,
    ):
        chromium = launch(playwright)
        page = _open(chromium, service, "light", 1100, 760)
        _connect(page)
        _IMAGES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=_IMAGES / "guarded-page.png")
        _open_orders(page)
        page.screenshot(path=_IMAGES / "records.png")
        for scheme in ("light", "dark") if folder else ():
            for width in (390, 1200):
                page = _open(chromium, service, scheme, width, 800)
                _every_page(page, service, f"{folder}/{scheme}-{width}")
        chromium.close()


def _open(chromium: Browser, service: Stack, scheme: str, width: int, height: int) -> Page:
    context = chromium.new_context(
        base_url=service.pages,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    return context.new_page()


def _connect(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Grant access").click()
    page.get_by_text("Inventory and orders").wait_for()
    page.get_by_text("mina@example.com").wait_for()


def _every_page(page: Page, service: Stack, prefix: str) -> None:
    def shoot(name: str) -> None:
        page.screenshot(path=f"{prefix}-{name}.png", full_page=True)

    held = hold(page, "**/session", "GET")
    page.goto("/login-success")
    held.first()
    shoot("loading")
    held.first().abort()
    page.get_by_text("Details").click()
    shoot("server-away")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Connect Airtable").wait_for()
    shoot("login")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Grant access").wait_for()
    shoot("consent")
    page.get_by_role("button", name="Deny").click()
    page.get_by_text("Details").click()
    shoot("login-failure")
    held = hold(page, "**/session", "POST")
    page.goto("/")
    page.get_by_role("button", name="Connect Airtable").click()
    page.get_by_role("button", name="Grant access").click()
    page.get_by_text("Connecting to Airtable").wait_for()
    held.first()
    shoot("auth-callback")
    held.first().abort()
    page.get_by_role("button", name="Try again").wait_for()
    shoot("auth-callback-unknown")
    page.unroute_all()
    _connect(page)
    shoot("login-success")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("dialog").wait_for()
    page.screenshot(path=f"{prefix}-disconnect.png")
    page.keyboard.press("Escape")
    _records(page, prefix)
    httpx.post(f"{service.airtable}/_simulator/revocation")
    page.goto("/login-success")
    page.get_by_role("button", name="Reconnect").wait_for()
    shoot("reconnect")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("dialog").get_by_role("button", name="Disconnect").click()
    page.get_by_role("main").get_by_text("Disconnected").wait_for()
    shoot("disconnected")


def _open_orders(page: Page) -> None:
    page.get_by_role("link", name="Inventory and orders").click()
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_text("#1000").wait_for()
    page.get_by_text("Linen notebook A5").first.wait_for()


def _records(page: Page, prefix: str) -> None:
    """A wide table, the first of two pages, and opened records."""
    _open_orders(page)
    page.screenshot(path=f"{prefix}-records.png")
    for table, record in (("Products", "Walnut pen tray"), ("Tasks", "Write the launch")):
        page.goto("/login-success")
        base = "Inventory and orders" if table == "Products" else "Product launch"
        page.get_by_role("link", name=base).click()
        page.get_by_role("link", name=record).wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=f"{prefix}-{table.lower()}.png", full_page=True)
        page.get_by_role("link", name=record).click()
        page.get_by_role("dialog").wait_for()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=f"{prefix}-{table.lower()}-record.png")


if __name__ == "__main__":
    main()
