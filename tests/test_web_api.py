"""The pace that Airtable bears."""

import pytest

from airtable_oauth.errors import RateLimited
from airtable_oauth.web_api import Pace
from tests.helpers import FakeClock


@pytest.fixture
def pace(clock: FakeClock) -> Pace:
    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    return Pace(clock, sleep)


async def test_five_go_at_once_and_the_sixth_waits(pace: Pace, clock: FakeClock) -> None:
    """For what is left of the second, to its own base."""
    before = clock()
    for _ in range(5):
        await pace.turn("app1")
    assert clock() == before
    await pace.turn("app2")
    assert clock() == before
    await pace.turn("app1")
    assert clock() - before == pytest.approx(1.05)


async def test_turn_that_is_too_far_off_is_refused(clock: FakeClock) -> None:
    """With the seconds to wait, and without taking the turn of somebody else."""

    async def never(_seconds: float) -> None:
        """Time stands still: everybody asks at the same moment."""

    pace = Pace(clock, never)
    for _ in range(10):
        await pace.turn("app1")
    with pytest.raises(RateLimited) as refused:
        await pace.turn("app1")
    assert refused.value.retry_after == 3


async def test_bases_of_the_past_are_forgotten(pace: Pace, clock: FakeClock) -> None:
    """Whoever asks for many weighs nothing for long; those of the present keep their count."""
    for number in range(3000):
        await pace.turn(f"app{number}")
    clock.advance(2)
    for _ in range(5):
        await pace.turn("new")
    assert len(pace._turns) <= 2  # noqa: SLF001
    before = clock()
    await pace.turn("new")
    assert clock() > before
