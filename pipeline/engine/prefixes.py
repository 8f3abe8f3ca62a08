"""What the days up to each come to: a fold over a service's days, of which a few results are kept.

Asked are mostly the last days again and again, and at times a month of the past day by day; so the results asked last are
kept, and every so many days a *milestone* for good, from which any other is soon worked out again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

#: Results kept a fold: the longest window and the running month share their days; a month of the past; the days beside them.
KEPT = 72
#: Days from one milestone to the next.
STRIDE = 32

State = TypeVar("State")
_Result = TypeVar("_Result")


def keep_latest(kept: dict[int, _Result], day: int, result: _Result) -> None:
    """Keep a day's result as the one asked last; of more than ``KEPT`` drop the one not asked for longest."""
    kept.pop(day, None)
    kept[day] = result
    if len(kept) > KEPT:
        del kept[next(iter(kept))]


def drop_from(kept: dict[int, _Result], from_day: int) -> None:
    """Drop the results of the days from an instant on."""
    for day in [day for day in kept if day >= from_day]:
        del kept[day]


class Prefixes(Generic[State]):
    """The results of one fold over the days of one base of one service.

    Args:
        empty: what no day at all comes to.
    """

    __slots__ = ("_empty", "_latest", "_milestones")

    def __init__(self, empty: State) -> None:
        self._empty = empty
        #: day → what it and all before come to
        self._latest: dict[int, State] = {}
        self._milestones: dict[int, State] = {}

    def __len__(self) -> int:
        """How many results are kept."""
        return len(self._latest) + len(self._milestones)

    def before(self, days: Sequence[int], day: int, add: Callable[[State, int], State]) -> State:
        """Return what the days before one come to.

        Args:
            days: the starts of all that there are, in order; ``forget`` was told of any that came or changed.
            day: the start of any day.
            add: the fold: of what the days before one come to, and its start; it changes nothing that it is given.
        """
        here = known = bisect_left(days, day)
        while known > 0 and days[known - 1] not in self._latest and days[known - 1] not in self._milestones:
            known -= 1
        state = self._empty
        if known:
            last = days[known - 1]
            state = self._latest[last] if last in self._latest else self._milestones[last]
        for i in range(known, here):
            state = add(state, days[i])
            if i % STRIDE == STRIDE - 1:
                self._milestones[days[i]] = state
        if here:
            keep_latest(self._latest, days[here - 1], state)
        return state

    def forget(self, from_day: int) -> None:
        """Drop the results of the days from an instant on: one there came or changed."""
        drop_from(self._latest, from_day)
        drop_from(self._milestones, from_day)
