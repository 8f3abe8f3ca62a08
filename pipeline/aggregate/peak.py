"""Requests by clock hour: count, errors, latency sketch and counts a minute; the busiest hour answers."""

from __future__ import annotations

from typing import Any

from pipeline.aggregate.quantiles import CountsAggregator

#: [requests, errors, {latency bucket: count}, {minute of the hour: count}]
Hour = list[Any]
_counts = CountsAggregator()


class PeakAggregator:
    """State: {hour start in epoch seconds: Hour}; contribution: (hour, minute, count, error, bucket or None)."""

    def add(
        self, state: dict[int, Hour] | None, contribution: tuple[int, int, int, bool, int | None], sign: int
    ) -> dict[int, Hour]:
        """Add or take back one measurement, in place."""
        if state is None:
            state = {}
        start, minute, count, error, bucket = contribution
        hour = state.get(start)
        if hour is None:
            hour = state[start] = [0, 0, {}, {}]
        hour[0] += sign * count
        if error:
            hour[1] += sign * count
        if bucket is not None:
            _counts.add(hour[2], [(bucket, count)], sign)
        _counts.add(hour[3], [(minute, count)], sign)
        return state

    def merge(self, left: dict[int, Hour] | None, right: dict[int, Hour] | None) -> dict[int, Hour] | None:
        """Add up hour by hour."""
        if left is None:
            return right
        if right is None:
            return left
        merged = dict(left)
        for start, hour in right.items():
            mine = merged.get(start)
            merged[start] = (
                hour
                if mine is None
                else [
                    mine[0] + hour[0],
                    mine[1] + hour[1],
                    _counts.merge(mine[2], hour[2]),
                    _counts.merge(mine[3], hour[3]),
                ]
            )
        return merged

    def absorb(self, left: dict[int, Hour] | None, right: dict[int, Hour]) -> dict[int, Hour]:
        """Add up hour by hour, in the left state."""
        if left is None:
            left = {}
        for start, hour in right.items():
            mine = left.get(start)
            if mine is None:
                left[start] = [hour[0], hour[1], dict(hour[2]), dict(hour[3])]
            else:
                mine[0] += hour[0]
                mine[1] += hour[1]
                _counts.absorb(mine[2], hour[2])
                _counts.absorb(mine[3], hour[3])
        return left

    def replace(self, whole: dict[int, Hour], old: dict[int, Hour], new: dict[int, Hour]) -> dict[int, Hour] | None:
        """Take the old hours out and add the new ones, where no hour is gone."""
        if not old.keys() <= new.keys():
            return None
        for start, was in old.items():
            mine = whole[start]
            mine[0] -= was[0]
            mine[1] -= was[1]
            _counts.replace(mine[2], was[2], {})
            _counts.replace(mine[3], was[3], {})
        return self.absorb(whole, new)

    def pack(self, state: dict[int, Hour]) -> Any:
        """Return the hours in order."""
        return [[start, h[0], h[1], _counts.pack(h[2]), _counts.pack(h[3])] for start, h in sorted(state.items())]

    def unpack(self, data: Any) -> dict[int, Hour]:
        """Return the hours."""
        return {start: [n, e, _counts.unpack(b), _counts.unpack(m)] for start, n, e, b, m in data}


def busiest(state: dict[int, Hour]) -> Hour | None:
    """Return the hour with most requests (ties: the earliest)."""
    best = max(state.items(), key=lambda item: (item[1][0], -item[0]), default=None)
    return best[1] if best and best[1][0] > 0 else None
