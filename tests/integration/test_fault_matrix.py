"""Every fault in the middle of a refresh, with every store: see `tests/matrix.py`."""

import pytest

from tests.matrix import CELLS, KINDS, run

pytestmark = [pytest.mark.integration, pytest.mark.heavy, pytest.mark.usefixtures("unmeasured")]


EVERYDAY = ("redis",)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in EVERYDAY else pytest.mark.thorough) for kind in KINDS],
)
async def test_no_connection_is_lost_without_a_reason(kind: str) -> None:
    """If a connection is lost, it has a reason. No unnecessary refresh is sent."""
    outcomes = await run(kind)
    assert outcomes == {name: CELLS[name][1] for name in outcomes}
    assert len(outcomes) == {"memory": 13, "sqlite": 29}.get(kind, 30)
