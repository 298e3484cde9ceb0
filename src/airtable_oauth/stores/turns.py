"""The times of the last turns of a key, and when the next one is due.

The list has one time for each turn that a window allows, in the order of reservation. Each turn is
at least a window later than the one that it replaces, so no window has more turns than allowed.
That holds even if the clock is set back a little: with five turns per window, any six turns include
two whose positions differ by a multiple of five, so they are a window apart.
"""

import json
from collections.abc import Sequence


def decode(value: bytes | None, most: int) -> list[float]:
    """Parse a stored list of times. If it is absent or invalid, all times are 0."""
    try:
        turns = [float(turn) for turn in json.loads(value or b"")]
    except (TypeError, ValueError):
        turns = []
    return turns if len(turns) == most else [0.0] * most


def encode(turns: Sequence[float]) -> bytes:
    """Serialise the times as a JSON array."""
    return json.dumps(turns).encode()


def next_turn(turns: Sequence[float], now: float, window: float) -> float:
    """Return the time when the next turn is due."""
    return max(now, turns[0] + window)


def delay(turns: Sequence[float], earliest: float, window: float) -> list[float]:
    """Move the times so that no turn is due before `earliest`."""
    return [max(turn, earliest - window) for turn in turns]
