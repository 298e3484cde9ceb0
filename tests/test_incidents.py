import pytest

from airtable_oauth.errors import (
    AirtableOAuthError,
    ClientRefused,
    InvalidGrant,
    StoreUnavailable,
    TooManyLogins,
    UnknownEncryptionKey,
)
from airtable_oauth.incidents import Incidents
from tests.helpers import FakeClock
from tests.log_lines import Lines, log_lines


def events(lines: Lines) -> list[str]:
    return [line["event"] for line in lines]


def test_failure_is_logged_once_a_minute_with_its_cause(clock: FakeClock) -> None:
    """This holds for any number of failed requests."""
    incidents = Incidents("the store", clock)
    with log_lines() as lines:
        for _ in range(100):
            incidents.failed("OSError ENOSPC")
        assert events(lines) == ["the store does not work: OSError ENOSPC"]
        clock.advance(59)
        incidents.failed("OSError ENOSPC")
        assert len(events(lines)) == 1
        clock.advance(1)
        incidents.failed("OSError ENOSPC")
        assert len(events(lines)) == 2
    assert {line["level"] for line in lines} == {"error"}
    assert [line["part"] for line in lines] == ["the store"] * 2


def test_another_cause_is_another_line(clock: FakeClock) -> None:
    """A store may first be full and then be down."""
    incidents = Incidents("the store", clock)
    with log_lines() as lines:
        for cause in ("a", "b", "a", "b"):
            incidents.failed(cause)
    assert events(lines) == ["the store does not work: a", "the store does not work: b"]


def test_recovery_is_logged_once_after_a_quiet_time(clock: FakeClock) -> None:
    """A full store still answers reads between failing writes, which is not a recovery."""
    incidents = Incidents("the store", clock)
    with log_lines() as lines:
        incidents.works()
        incidents.failed("redis.OutOfMemoryError OOM")
        for _ in range(20):
            clock.advance(2)
            incidents.works()
            incidents.failed("redis.OutOfMemoryError OOM")
        assert len(events(lines)) == 1
        clock.advance(10)
        incidents.works()
        incidents.works()
        assert events(lines)[1:] == ["the store works again"]
        incidents.failed("redis.OutOfMemoryError OOM")
    assert len(events(lines)) == 3


@pytest.mark.parametrize(
    ("error", "is_failure"),
    [
        (StoreUnavailable(cause="TimeoutError"), True),
        (ClientRefused(cause="HTTP 401 invalid_client"), True),
        (TooManyLogins(), False),
        (UnknownEncryptionKey(), False),
        (InvalidGrant(cause="HTTP 400 invalid_grant"), False),
    ],
)
def test_answer_of_a_part_that_works_is_not_a_failure(
    clock: FakeClock, error: AirtableOAuthError, *, is_failure: bool
) -> None:
    """These errors also pass through the context manager."""
    incidents = Incidents("the part", clock)
    with log_lines() as lines, pytest.raises(type(error)), incidents:
        raise error
    expected = [f"the part does not work: {error.cause}"] if is_failure else []
    assert events(lines) == expected


def test_incident_outside_a_request_has_no_request_id(clock: FakeClock) -> None:
    """Maintenance runs outside of requests."""
    with log_lines() as lines:
        Incidents("the store", clock).failed("TimeoutError")
    assert ["request_id" in line for line in lines] == [False]
