"""Chromium, and the real service, pages and simulator on three ports."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from tests.processes import Stack, stack

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def stack_with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Stack]]:
    """One of each, for all tests: what a test leaves behind must not matter.

    The argument says where tokens are kept: on the `server` or in the `browser`.
    """
    with ExitStack() as processes:

        @cache
        def start(tokens: str) -> Stack:
            return processes.enter_context(stack(tmp_path_factory.mktemp(tokens), tokens=tokens))

        yield start


@pytest.fixture(scope="module", params=["server", "browser"])
def service(request: pytest.FixtureRequest, stack_with_tokens: Callable[[str], Stack]) -> Stack:
    """Service, pages and simulator. The parameter says where tokens are kept."""
    return stack_with_tokens(request.param)


on_server_every_day = pytest.mark.parametrize(
    "service", ["server", pytest.param("browser", marks=pytest.mark.thorough)], indirect=True
)
"""For what does not depend on where tokens are kept."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium. While it is there no other event loop can run in this thread."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """The system's Chromium, with these arguments besides the usual ones.

    The one that cannot show a window does half the work of the other.
    """
    return playwright.chromium.launch(
        executable_path=shutil.which(os.environ.get("CHROMIUM", "chromium-headless-shell")),
        args=[*ARGUMENTS, *arguments],
    )


@pytest.fixture
def person(chromium: Browser, service: Stack) -> Iterator[BrowserContext]:
    """A browser of one's own: cookies and storage start empty."""
    context = chromium.new_context(base_url=service.pages, locale="en-GB")
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(person: BrowserContext) -> Iterator[Page]:
    """A tab. No script may fail in it, and nothing may break its content security policy."""
    tab = person.new_page()
    troubles: list[str] = []
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on(
        "console",
        lambda message: (
            troubles.append(message.text) if "Content Security" in message.text else None
        ),
    )
    yield tab
    assert troubles == []
