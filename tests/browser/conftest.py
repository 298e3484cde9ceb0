"""Fixtures: Chromium, and the real service, its pages and the simulator on three ports."""

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
    """Start one stack of each kind for all tests, which must not depend on each other's data.

    The argument says where tokens are stored: on the `server` or in the `browser`.
    """
    with ExitStack() as processes:

        @cache
        def start(tokens: str) -> Stack:
            return processes.enter_context(stack(tmp_path_factory.mktemp(tokens), tokens=tokens))

        yield start


@pytest.fixture(scope="module", params=["server", "browser"])
def service(request: pytest.FixtureRequest, stack_with_tokens: Callable[[str], Stack]) -> Stack:
    """Service, pages and simulator. The parameter says where tokens are stored."""
    return stack_with_tokens(request.param)


on_server_every_day = pytest.mark.parametrize(
    "service", ["server", pytest.param("browser", marks=pytest.mark.thorough)], indirect=True
)
"""For tests whose result does not depend on where tokens are stored."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium. While it runs, this thread cannot run another event loop."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """Start the system's Chromium with these arguments and the usual ones.

    The headless shell, which cannot show a window, needs half the CPU time of the full browser.
    """
    return playwright.chromium.launch(
        executable_path=shutil.which(os.environ.get("CHROMIUM", "chromium-headless-shell")),
        args=[*ARGUMENTS, *arguments],
    )


@pytest.fixture
def person(chromium: Browser, service: Stack) -> Iterator[BrowserContext]:
    """A browser context with empty cookies and storage."""
    context = chromium.new_context(base_url=service.pages, locale="en-GB")
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def page(person: BrowserContext) -> Iterator[Page]:
    """A tab. The test fails if a script in it fails or violates the content security policy."""
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
