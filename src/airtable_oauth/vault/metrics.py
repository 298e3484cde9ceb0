"""What an operator counts, through OpenTelemetry's API: nothing, unless an SDK is configured."""

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
    "airtable_oauth.lease_waits", unit="s", description="Waits for another process' refresh."
)


class LeaseWait:
    """A wait that may never begin."""

    def __init__(self) -> None:
        self.began: float | None = None

    def begin(self) -> None:
        """Another process has the lease."""
        if self.began is None:
            self.began = time.monotonic()


def count_refresh(outcome: RefreshOutcome) -> None:
    """Count an attempt."""
    _refreshes.add(1, {"outcome": outcome.value})


@contextmanager
def lease_wait() -> Iterator[LeaseWait]:
    """Measure how long a lease was waited for, if it was."""
    wait = LeaseWait()
    try:
        yield wait
    finally:
        if wait.began is not None:
            _lease_waits.record(time.monotonic() - wait.began)
