"""The times of the last turns of a key, and when the next one is due.

There are always as many as turns are allowed in a window, in the order of their reservation: each
turn is at least a window later than the one that it replaces. So no window has more turns than
allowed, also if the clock is set back a little: of six turns in a sequence, two are five, ten or
more turns apart.
"""

import json
from collections.abc import Sequence


def decode(value: bytes | None, most: int) -> list[float]:
    """The times in a stored value; all of them 0 if it is absent or something else."""
    try:
        turns = [float(turn) for turn in json.loads(value or b"")]
    except (TypeError, ValueError):
        turns = []
    return turns if len(turns) == most else [0.0] * most


def encode(turns: Sequence[float]) -> bytes:
    """The times as a JSON array."""
    return json.dumps(turns).encode()


def next_turn(turns: Sequence[float], now: float, window: float) -> float:
    """When the next turn is due."""
    return max(now, turns[0] + window)


def delay(turns: Sequence[float], earliest: float, window: float) -> list[float]:
    """The times with which no turn is due before `earliest`."""
    return [max(turn, earliest - window) for turn in turns]
