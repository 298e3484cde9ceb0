"""A dict of bounded size, because the simulator may run for weeks."""

from collections import UserDict
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Bounded(UserDict[str, T]):
    """A dict of at most `most` entries.

    When it is full, it drops the entries for which `is_spent` is true, then the oldest, until at
    most nine tenths are left.
    """

    def __init__(self, most: int, is_spent: Callable[[T], bool] = lambda _entry: False) -> None:
        super().__init__()
        self._most = most
        self._is_spent = is_spent

    def __setitem__(self, key: str, entry: T) -> None:
        """Add or replace an entry."""
        if key not in self.data and len(self.data) >= self._most:
            self._make_room()
        self.data[key] = entry

    def _make_room(self) -> None:
        for key in [key for key, entry in self.data.items() if self._is_spent(entry)]:
            del self.data[key]
        excess = len(self.data) - self._most * 9 // 10
        for key in list(self.data)[: max(0, excess)]:
            del self.data[key]


def bounded(most: int) -> Callable[[], Bounded[Any]]:
    """A `default_factory` for the fields of dataclasses."""
    return lambda: Bounded(most)
