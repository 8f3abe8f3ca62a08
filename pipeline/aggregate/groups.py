"""Forecast errors a group: n, sum |a - p|, sum |a|, sum (p - a), all integers of a millionth."""

from __future__ import annotations

from typing import Any

from pipeline.aggregate.base import pack_int

Group = tuple[int, int, int, int]
#: More groups than this in one cell are folded into the last, so that a flood of models stays bounded.
MAX_GROUPS = 256
OTHER = "(other)"


class GroupsAggregator:
    """State: {group: (n, error, actual, bias)}; contribution: (group, predicted, actual)."""

    def add(self, state: dict[str, Group] | None, contribution: tuple[str, int, int], sign: int) -> dict[str, Group]:
        """Add or take back one prediction, in place."""
        if state is None:
            state = {}
        group, predicted, actual = contribution
        if group not in state and len(state) >= MAX_GROUPS:
            group = OTHER
        n, err, act, bias = state.get(group, (0, 0, 0, 0))
        state[group] = (
            n + sign,
            err + sign * abs(actual - predicted),
            act + sign * abs(actual),
            bias + sign * (predicted - actual),
        )
        return state

    def merge(self, left: dict[str, Group] | None, right: dict[str, Group] | None) -> dict[str, Group] | None:
        """Add up group by group."""
        if left is None:
            return right
        if right is None:
            return left
        merged = dict(left)
        for group, (n, err, act, bias) in right.items():
            n0, e0, a0, b0 = merged.get(group, (0, 0, 0, 0))
            merged[group] = (n0 + n, e0 + err, a0 + act, b0 + bias)
        return merged

    def pack(self, state: dict[str, Group]) -> Any:
        """Return the groups in name order."""
        return [[g, *(pack_int(x) for x in state[g])] for g in sorted(state)]

    def unpack(self, data: Any) -> dict[str, Group]:
        """Return the groups."""
        return {g: (int(n), int(e), int(a), int(b)) for g, n, e, a, b in data}


def weighted(state: dict[str, Group], stat: str) -> tuple[float | None, int]:
    """Return forecast accuracy or bias in percent, weighted by sample over groups, and the sample."""
    total, weight = 0.0, 0
    for group in sorted(state):
        n, err, act, bias = state[group]
        if act > 0:
            total += n * (100 * (1 - err / act) if stat == "accuracy" else 100 * bias / act)
            weight += n
    return (total / weight if weight else None), weight
