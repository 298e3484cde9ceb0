"""Requests of a page that are held back until a test lets them go on."""

import time
from collections.abc import Callable
from re import Pattern

from playwright.sync_api import Page, Route

_SECONDS = 15.0


class Held:
    """The requests that were held, in the order in which they came."""

    def __init__(self, page: Page) -> None:
        self.routes: list[Route] = []
        self._page = page

    def first(self) -> Route:
        """Wait for the first request: the page may show that it sends one before it has."""
        ends = time.monotonic() + _SECONDS
        while not self.routes and time.monotonic() < ends:
            self._page.wait_for_timeout(10)  # handles what the browser reports
        assert self.routes, "the page has sent no request"
        return self.routes[0]


def hold(
    page: Page, url: str | Pattern[str] | Callable[[str], bool], method: str | None = None
) -> Held:
    """Hold the page's requests to `url`, or only those with this method."""
    held = Held(page)

    def handle(route: Route) -> None:
        if method in (None, route.request.method):
            held.routes.append(route)
        else:
            route.continue_()

    page.route(url, handle)
    return held
