"""Points in time a series (checks of a service, syncs of a pair): what interval figures are made of.

A point is (time ms, code, good_for ms). Codes of checks: 0 none, 1 up, 2 down. Of two points of a series at
the same time the greater code stays, then the longer good_for: the same under any order.
"""

from __future__ import annotations

from typing import Any

#: good_for of a point that holds until the next one
UNTIL_NEXT = -1
NONE, UP, DOWN = 0, 1, 2

Series = dict[int, tuple[int, int]]


class PointsAggregator:
    """State: {series: {time: (code, good_for)}}; contribution: (series, time, code, good_for)."""

    def add(
        self, state: dict[str, Series] | None, contribution: tuple[str, int, int, int], sign: int
    ) -> dict[str, Series]:
        """Add one point, in place.

        Raises:
            ValueError: points are facts and are never taken back.
        """
        if sign < 0:
            raise ValueError("points are never taken back")
        if state is None:
            state = {}
        series, time_ms, code, good_for = contribution
        points = state.setdefault(series, {})
        points[time_ms] = max(points.get(time_ms, (-1, 0)), (code, good_for))
        return state

    def merge(self, left: dict[str, Series] | None, right: dict[str, Series] | None) -> dict[str, Series] | None:
        """Return the union of points."""
        if left is None:
            return right
        if right is None:
            return left
        merged = dict(left)
        for series, points in right.items():
            mine = merged.get(series)
            if mine is None:
                merged[series] = points
            else:
                both = dict(mine)
                for at, point in points.items():
                    both[at] = max(both.get(at, (-1, 0)), point)
                merged[series] = both
        return merged

    def absorb(self, left: dict[str, Series] | None, right: dict[str, Series]) -> dict[str, Series]:
        """Return the union of points, in the left state."""
        if left is None:
            left = {}
        for series, points in right.items():
            mine = left.setdefault(series, {})
            for at, point in points.items():
                mine[at] = max(mine.get(at, (-1, 0)), point)
        return left

    def replace(self, _whole: dict[str, Series], _old: dict[str, Series], _new: dict[str, Series]) -> None:
        """Tell nothing: another state may hold the same point."""

    def pack(self, state: dict[str, Series]) -> Any:
        """Return each series as flat time steps, codes and spans."""
        packed = []
        for series in sorted(state):
            flat: list[int] = []
            before = 0
            for at in sorted(state[series]):
                code, good_for = state[series][at]
                flat += (at - before, code, good_for)
                before = at
            packed.append([series, flat])
        return packed

    def unpack(self, data: Any) -> dict[str, Series]:
        """Return the series."""
        state: dict[str, Series] = {}
        for series, flat in data:
            at, points = 0, {}
            for i in range(0, len(flat), 3):
                at += flat[i]
                points[at] = (flat[i + 1], flat[i + 2])
            state[series] = points
        return state


class WindowsAggregator:
    """State: {entity: (start ms, end ms or -1)}; contribution: (entity, start, end)."""

    def add(
        self, state: dict[str, tuple[int, int]] | None, contribution: tuple[str, int, int], sign: int
    ) -> dict[str, tuple[int, int]]:
        """Add or take back one window, in place."""
        if state is None:
            state = {}
        entity, start, end = contribution
        if sign > 0:
            state[entity] = (start, end)
        else:
            state.pop(entity, None)
        return state

    def merge(
        self, left: dict[str, tuple[int, int]] | None, right: dict[str, tuple[int, int]] | None
    ) -> dict[str, tuple[int, int]] | None:
        """Return the union (an entity lives in one partition)."""
        if left is None:
            return right
        if right is None:
            return left
        return {**left, **right}

    def absorb(
        self, left: dict[str, tuple[int, int]] | None, right: dict[str, tuple[int, int]]
    ) -> dict[str, tuple[int, int]]:
        """Return the union, in the left state."""
        if left is None:
            return dict(right)
        left.update(right)
        return left

    def replace(
        self, _whole: dict[str, tuple[int, int]], _old: dict[str, tuple[int, int]], _new: dict[str, tuple[int, int]]
    ) -> None:
        """Tell nothing: another state may hold the same entity."""

    def pack(self, state: dict[str, tuple[int, int]]) -> Any:
        """Return the windows in entity order."""
        return [[e, *state[e]] for e in sorted(state)]

    def unpack(self, data: Any) -> dict[str, tuple[int, int]]:
        """Return the windows."""
        return {e: (s, t) for e, s, t in data}
