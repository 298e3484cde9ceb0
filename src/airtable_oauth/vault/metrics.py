"""Metrics of refreshes, through OpenTelemetry's API. Without an SDK they have no effect."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.metrics import get_meter

from airtable_oauth.vault.outcomes import RefreshOutcome

_meter = get_meter("airtable_oauth")
_refreshes = _meter.create_counter(
    "airtable_oauth.refreshes", unit="{refresh}", description="Refreshes by their outcome."
)
_lease_waits = _meter.create_histogram(
    "airtable_oauth.lease_waits", unit="s", description="Waits for another process's refresh."
)


class LeaseWait:
    """Measures a wait, if one begins."""

    def __init__(self) -> None:
        self.began: float | None = None

    def begin(self) -> None:
        """The wait begins: another process has the lease."""
        if self.began is None:
            self.began = time.monotonic()


def count_refresh(outcome: RefreshOutcome) -> None:
    """Count an outcome.

    An attempt that ends in `conflict` is counted as `unknown` as well if no other process stores
    new tokens.
    """
    _refreshes.add(1, {"outcome": outcome.value})


@contextmanager
def lease_wait() -> Iterator[LeaseWait]:
    """Record how long the block waited for the lease, if it did."""
    wait = LeaseWait()
    try:
        yield wait
    finally:
        if wait.began is not None:
            _lease_waits.record(time.monotonic() - wait.began)
