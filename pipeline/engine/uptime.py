"""Availability: what checks, maintenance and major incidents say about a service's time.

All times in milliseconds. Days are worked out once and kept while nothing in or before them changes, those that are asked again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pipeline.aggregate.points import DOWN, UNTIL_NEXT, UP
from pipeline.engine.bases import Base
from pipeline.engine.coverage import CoverageBook
from pipeline.engine.facts import Facts
from pipeline.engine.prefixes import Prefixes, drop_from, keep_latest
from pipeline.time.intervals import Intervals, clip, subtract, total, union
from pipeline.time.panes import DAY

#: Shorter down intervals are no outage, ms.
MIN_OUTAGE_MS = 60_000
_DAY_MS = 86_400_000
_CHECKED = frozenset({"uptime.checked"})
#: the last point of each check: (time, code, good for)
_Lasts = dict[str, tuple[int, int, int]]
#: what a day was worked out with, up, down
_Day = tuple[tuple[int, int, dict[str, int]], Intervals, Intervals]


class Uptime:
    """Up and down time of services, from the cells of the check, maintenance and major-incident bases."""

    def __init__(self, facts: Facts, coverage: CoverageBook) -> None:
        self._facts = facts
        self._coverage = coverage
        #: service → day start → its day, before maintenance
        self._days: dict[str, dict[int, _Day]] = {}
        self._windows: dict[tuple[str, str], list[tuple[int, int]]] = {}
        #: service → the last points up to the end of each day
        self._carry: dict[str, Prefixes[_Lasts]] = {}

    def forget(self, service: str, from_day: int) -> None:
        """Drop what was worked out for a service from a day on: a point there changed."""
        if service in self._days:
            drop_from(self._days[service], from_day)
        if service in self._carry:
            self._carry[service].forget(from_day)

    def _series(self, base: Base, service: str, day: int) -> dict[str, dict[int, tuple[int, int]]]:
        return self._facts.at(base, f"service:{service}", (DAY, day)) or {}

    def _carried(self, base: Base, service: str, day: int) -> _Lasts:
        """Return the last point before a day of each check; not to be changed."""
        carry = self._carry.get(service)
        if carry is None:
            carry = self._carry[service] = Prefixes({})
        return carry.before(self._facts.days_of(base.key, service), day, partial(self._carry_over, base, service))

    def _carry_over(self, base: Base, service: str, before: _Lasts, day: int) -> _Lasts:
        """Return the last points up to the end of a day, of those before it."""
        lasts = dict(before)
        for check, points in self._series(base, service, day).items():
            if points:
                at = max(points)
                lasts[check] = (at, *points[at])
        return lasts

    def _last_points(self, base: Base, service: str) -> _Lasts:
        """Return the last point of each check; not to be changed."""
        days = self._facts.days_of(base.key, service)
        return self._carried(base, service, days[-1] + 1) if days else {}

    def changed_since(self, base: Base, service: str, day: int) -> int:
        """Return from when on, epoch seconds, the points of a day change a service's time: mostly from that day.

        What a change log said last before holds until these points, also where its source had not said that it
        delivered anything in between. And how long it is down from midnight on may make an outage of the day before.
        """
        carried = self._carried(base, service, day)
        lasts = [
            (at, code)
            for at, code, good_for in carried.values()
            if at + good_for > day * 1000 or good_for == UNTIL_NEXT
        ]
        since = day - 1 if any(code == DOWN for _, code in lasts) else day
        told = self._coverage.last(_CHECKED, service)
        if told is None or told >= day:
            return since
        here = self._series(base, service, day)
        ats = [at // 1000 for check, (at, _, good_for) in carried.items() if check in here and good_for == UNTIL_NEXT]
        return min(since, max(told, min(ats))) if ats else since

    def _day(self, base: Base, service: str, day: int, now_ms: int, told: int | None, lasts: _Lasts) -> _Day:
        """Return (what it was worked out with, up, down) of a service's local day.

        Args:
            base: of its checks.
            service: whose.
            day: its start.
            now_ms: nothing is known beyond.
            told: up to when its sources said that they delivered.
            lasts: the last point of each check.
        """
        day_end = self._facts.calendar.next_day(day) * 1000
        until = min(day_end, now_ms)
        held = until if told is None else min(until, max(told * 1000, day * 1000))
        # a check that spoke later had not fallen silent before, whatever its source said it delivered
        heard = {check: min(until, at) for check, (at, _, _) in lasts.items()}
        days = self._days.get(service)
        if days is None:
            days = self._days[service] = {}
        known = days.get(day)
        if known is not None and known[0] == (until, held, heard):
            keep_latest(days, day, known)
            return known
        series = self._series(base, service, day)
        service_entry = self._facts.plan.catalogue.services.get(service)
        required = set(service_entry.required_checks) if service_entry else set()
        carried = self._carried(base, service, day)
        up: list[tuple[int, int]] = []
        down: list[tuple[int, int]] = []
        for check in series.keys() | carried.keys():
            if required and check not in required:
                continue
            points = [(at, code, good) for at, (code, good) in sorted(series.get(check, {}).items())]
            if check in carried:
                points.insert(0, carried[check])
            for i, (at, code, good_for) in enumerate(points):
                following = points[i + 1][0] if i + 1 < len(points) else None
                if good_for != UNTIL_NEXT:
                    end = min(until if following is None else following, at + good_for)
                else:  # a source that logs changes says nothing once it delivers no more
                    end = max(held, heard[check]) if following is None else following
                start, end = max(at, day * 1000), min(end, until)
                if start < end and code in {UP, DOWN}:
                    (up if code == UP else down).append((start, end))
        down_time = union(down)
        found = (until, held, heard), subtract(union(up), down_time), down_time
        keep_latest(days, day, found)
        return found

    def times(
        self, base: Base, maintenance: Base | None, service: str, start_ms: int, end_ms: int, now_ms: int
    ) -> tuple[Intervals, Intervals]:
        """Return (up, down) of a service in [start, end), planned maintenance taken out."""
        end_ms = min(end_ms, now_ms)
        days = self._facts.days_of(base.key, service)
        if not days or end_ms <= start_ms:
            return [], []
        up: list[tuple[int, int]] = []
        down: list[tuple[int, int]] = []
        first = max(start_ms // 1000, days[0])
        if first * 1000 >= end_ms:
            return [], []
        told, lasts = self._coverage.last(_CHECKED, service), self._last_points(base, service)
        for day in self._facts.calendar.days(first, -(-end_ms // 1000)):
            _, day_up, day_down = self._day(base, service, day, now_ms, told, lasts)
            up += day_up
            down += day_down
        inside_up = clip(union(up), start_ms, end_ms)
        inside_down = clip(union(down), start_ms, end_ms)
        planned = clip(self.windows(maintenance, service, now_ms), start_ms, end_ms) if maintenance else []
        return subtract(inside_up, planned), subtract(inside_down, planned)

    def windows(self, base: Base, service: str, now_ms: int) -> Intervals:
        """Return the union of all windows (maintenance, major incidents) of a service; open ones end now."""
        known = self._windows.get((base.key, service))
        if known is None:
            known = []
            for day in self._facts.days_of(base.key, service):
                state: dict[str, Any] = self._facts.at(base, f"service:{service}", (DAY, day)) or {}
                known += [(start, end) for start, end in state.values()]
            self._windows[(base.key, service)] = known
        return union((start, now_ms if end < 0 else end) for start, end in known)

    def forget_windows(self, base_key: str, service: str) -> None:
        """Drop the windows of a service: one changed."""
        self._windows.pop((base_key, service), None)

    def outages(self, roles: dict[str, Base], service: str, start_ms: int, end_ms: int, now_ms: int) -> int:
        """Return how many outages of a service start in [start, end)."""
        _, down = self.times(roles["main"], roles["maintenance"], service, start_ms - _DAY_MS, end_ms + _DAY_MS, now_ms)
        long = [(a, b) for a, b in down if b - a >= MIN_OUTAGE_MS]
        majors = self.windows(roles["major"], service, now_ms)
        return sum(start_ms <= a < end_ms and a < now_ms for a, _ in union([*long, *majors]))


def seconds(parts: Intervals) -> float:
    """Return the summed length in seconds."""
    return total(parts) / 1000
