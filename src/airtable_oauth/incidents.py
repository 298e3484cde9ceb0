"""While a part such as the store or Airtable fails, logs each cause at most once a minute.

Otherwise each request would log the failure.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from airtable_oauth.causes import cause_of
from airtable_oauth.errors import (
    AirtableOAuthError,
    ClientRefused,
    StoreUnavailable,
    UpstreamError,
    UpstreamTimeout,
)
from airtable_oauth.request_notes import current_notes, log_fields

logger = logging.getLogger("airtable_oauth")

_REPEAT_SECONDS = 60.0
_QUIET_SECONDS = 10.0
"""A full store still answers reads, so one success does not mean that it works again."""
_FIRST_SERVER_ERROR = 500
_FAILURES = (StoreUnavailable, UpstreamError, UpstreamTimeout, ClientRefused)


@dataclass(slots=True)
class Incidents:
    """The failures of one part, such as the store.

    The first failure of each cause is logged at level `error`, and again once a minute while it
    lasts. After ten seconds without a failure, the next success is logged. The cause is also added
    to the notes of the current request.

    As a context manager, it reports errors of this package that mean that the part failed. Other
    errors, such as `InvalidGrant`, are answers of a working part and count as a success.
    """

    part: str
    """The name of the part, for the log: `the store`, for example."""
    monotonic: Callable[[], float] = time.monotonic
    """A monotonic clock, in seconds."""
    _logged: dict[str, float] = field(default_factory=dict, init=False)
    """By cause: when it was last logged."""
    _last_failure: float = field(default=0.0, init=False)

    def failed(self, cause: str) -> None:
        """Report a failure."""
        now = self._last_failure = self.monotonic()
        notes = current_notes()
        if notes is not None:
            notes.cause = cause
        if cause in self._logged and now < self._logged[cause] + _REPEAT_SECONDS:
            return
        self._logged[cause] = now
        extra = log_fields(part=self.part, cause=cause)
        logger.error("%s does not work: %s", self.part, cause, extra=extra)

    def works(self) -> None:
        """Report a success."""
        if self._logged and self.monotonic() >= self._last_failure + _QUIET_SECONDS:
            self._logged.clear()
            logger.warning("%s works again", self.part, extra=log_fields(part=self.part))

    def answered(self, status: int) -> None:
        """Report an HTTP answer. A 5xx is a failure."""
        if status >= _FIRST_SERVER_ERROR:
            self.failed(f"HTTP {status}")
        else:
            self.works()

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, _FAILURES):
            self.failed(cause_of(error))
        elif error is None or isinstance(error, AirtableOAuthError):
            self.works()
