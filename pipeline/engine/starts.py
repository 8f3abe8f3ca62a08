"""Of which days (or months) something is known, by whom it concerns: eight bytes each, for they only ever become more."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Hashable, ItemsView, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Starts(Generic[Key]):
    """Starts of panes or periods in epoch seconds, in order, by key."""

    def __init__(self) -> None:
        self._of: dict[Key, array[int]] = {}

    def add(self, key: Key, start: int) -> None:
        """Add a start; one that is there already stays one."""
        starts = self._of.get(key)
        if starts is None:
            starts = self._of[key] = array("q")
        if not starts or start > starts[-1]:
            starts.append(start)
        elif not _holds(starts, start):
            insort(starts, start)

    def holds(self, key: Key, start: int) -> bool:
        """Return whether a start was added."""
        starts = self._of.get(key)
        return starts is not None and _holds(starts, start)

    def of(self, key: Key) -> Sequence[int]:
        """Return the starts of a key, in order."""
        return self._of.get(key, ())

    def items(self) -> ItemsView[Key, Sequence[int]]:
        """Return every key with its starts."""
        return self._of.items()


def _holds(starts: array[int], start: int) -> bool:
    at = bisect_left(starts, start)
    return at < len(starts) and starts[at] == start
