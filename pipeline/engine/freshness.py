"""Freshness: how old the last successful sync was, on average over time.

Between two successes of a pair the age grows evenly, so its integral over a whole gap is gap²/2; prefix sums of these make
any span cheap. All times in milliseconds.
"""

from __future__ import annotations

from bisect import bisect_right

from pipeline.engine.bases import Base
from pipeline.engine.facts import Facts
from pipeline.time.panes import DAY

#: times of the successes of one pair, and twice the integral of age from the first to each of them
Series = tuple[list[int], list[int]]


class Freshness:
    """Ages of pairs of systems, from the cells of a base of syncs."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._series: dict[tuple[str, str], list[Series]] = {}

    def forget(self, base_key: str, service: str) -> None:
        """Drop what was worked out for a service: a success was added."""
        self._series.pop((base_key, service), None)

    def _of(self, base: Base, service: str) -> list[Series]:
        known = self._series.get((base.key, service))
        if known is None:
            times: dict[str, list[int]] = {}
            for day in self._facts.days_of(base.key, service):
                for pair, points in (self._facts.at(base, f"service:{service}", (DAY, day)) or {}).items():
                    times.setdefault(pair, []).extend(points)
            known = self._series[(base.key, service)] = [_integrated(sorted(t)) for t in times.values()]
        return known

    def age(self, base: Base, services: list[str], start: int, end: int) -> tuple[int, int, int]:
        """Return (twice the integral of age, observed time, pairs) of services over [start, end)."""
        aged = observed = pairs = 0
        for service in services:
            for times, integrals in self._of(base, service):
                if times and times[0] < end:
                    pairs += 1
                    first = max(start, times[0])
                    observed += end - first
                    aged += _until(times, integrals, end) - _until(times, integrals, first)
        return aged, observed, pairs


def _integrated(times: list[int]) -> Series:
    total, integrals = 0, []
    for i, at in enumerate(times):
        if i:
            total += (at - times[i - 1]) ** 2
        integrals.append(total)
    return times, integrals


def _until(times: list[int], integrals: list[int], at: int) -> int:
    """Return twice the integral of age from the first success to an instant after it."""
    i = bisect_right(times, at) - 1
    return integrals[i] + (at - times[i]) ** 2
