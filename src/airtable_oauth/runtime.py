"""What a process provides: clocks, randomness and background tasks."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airtable_oauth.background import Background, Sleep
from airtable_oauth.encoding import RandomBytes


@dataclass(frozen=True, slots=True)
class Runtime:
    """Clocks, randomness and background tasks; by default, the process's own.

    Tests pass clocks that stand still and sleeps that return at once.
    """

    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    monotonic: Callable[[], float] = time.monotonic
    """A monotonic clock, in seconds."""
    sleep: Sleep = asyncio.sleep
    random: RandomBytes = secrets.token_bytes
    """Returns the given number of cryptographically random bytes."""
    background: Background = field(default_factory=Background)
