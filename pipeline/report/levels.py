"""The level a KPI runs at: which earlier months a process behaviour chart's limits rest on.

A step that stays is news, and then it is how things are. Wheeler computes new limits once signals have shown a
lasting change and the old limits no longer describe the process; until then they stand. So months are walked through
in order, each judged by the limits of the months before it:

* a month outside the limits is *exceptional*: it does not enter the limits of those after it;
* eight months in a row on one side of the centre, or three in a row outside the same limit, are a new *level*: it
  begins with the first of them, and its centre is their mean.

The spread rests on the moving ranges inside all levels: a level that began three months ago has a centre of its own,
but too few ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from pipeline.report.statistics import RUN, Limits, limits, moving_ranges, run_length

#: Values from which limits are computed. Five or six would do to look at (Wheeler 2000, appendix), but call twice as
#: many stable months exceptional (``benchmarks/false_alarms.py``).
FEWEST = 7
#: Months in a row outside the same limit that make a new level.
LASTING = 3


@dataclass
class Level:
    """The level that some months have reached.

    Attributes:
        values: all the months' values; the others are about them.
        start: index of the first month of the level.
        members: indices of its months, exceptional ones left out.
        ranges: moving ranges inside earlier levels.
        outside: how many months in a row were outside at the end, signed by the side.
    """

    values: Sequence[float]
    start: int = 0
    members: list[int] = field(default_factory=list)
    ranges: list[float] = field(default_factory=list)
    outside: int = 0

    def moving_ranges(self, before: int | None = None) -> list[float]:
        """Return the moving ranges of its months (before an index)."""
        return moving_ranges([self.values[i] for i in self.members if before is None or i < before])

    def limits(self, finest: float) -> Limits | None:
        """Return the limits its months give, None while there are too few.

        Args:
            finest: the least difference that the KPI's figures show; limits are never nearer to the centre (values
                that were rounded to the same figure have no moving range, though they do vary).
        """
        ranges = [*self.ranges, *self.moving_ranges()]
        if not self.members or len(ranges) < FEWEST - 1:
            return None
        found = limits(fmean(self.values[i] for i in self.members), fmean(ranges))
        reach = max(found.upper - found.centre, finest)
        return Limits(found.centre - reach, found.centre, found.centre + reach, found.moving_range)

    def take(self, at: int, finest: float) -> None:
        """Take the month at an index, the next one: exceptional, one more of the level, or the last of a new one."""
        within = self.limits(finest)
        side = within.side(self.values[at]) if within else 0
        self.outside = side + (self.outside if self.outside * side > 0 else 0)
        if not side:
            self.members.append(at)
        if within is None:
            return
        run = abs(run_length(self.values[self.start : at + 1], within.centre))
        lasting = LASTING if abs(self.outside) >= LASTING else RUN if run >= RUN else 0
        if lasting:
            start = at + 1 - lasting
            self.ranges += self.moving_ranges(before=start)
            self.start, self.members, self.outside = start, list(range(start, at + 1)), 0


def level(values: Sequence[float], finest: float = 0.0) -> Level:
    """Return the level at the end of values in month order (those before the month reported)."""
    found = Level(values)
    for at in range(len(values)):
        found.take(at, finest)
    return found
