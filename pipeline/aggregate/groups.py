"""Forecast errors a group: n, sum |a - p|, sum |a|, sum (p - a), all integers of a millionth."""

from __future__ import annotations

from typing import Any

from pipeline.aggregate.base import pack_int
from pipeline.aggregate.distinct import hash64

Group = tuple[int, int, int, int]
#: Groups a state keeps apart: those with the smallest hashes; all others are one. So a flood of models stays
#: bounded, and which are kept depends on the groups alone, not on their order.
MAX_GROUPS = 256
OTHER = "(other)"


def _bounded(state: dict[str, Group]) -> dict[str, Group]:
    """Put the groups that are too many together, in place."""
    named = state.keys() - {OTHER}
    for group in sorted(named, key=_rank)[MAX_GROUPS:] if len(named) > MAX_GROUPS else ():
        state[OTHER] = _added(state.get(OTHER, (0, 0, 0, 0)), state.pop(group))
    return state


def _added(a: Group, b: Group) -> Group:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])


def _rank(name: str) -> tuple[int, str]:
    return hash64(name), name


class GroupsAggregator:
    """State: {group: (n, error, actual, bias)}; contribution: (group, predicted, actual)."""

    def add(self, state: dict[str, Group] | None, contribution: tuple[str, int, int], sign: int) -> dict[str, Group]:
        """Add or take back one prediction, in place."""
        if state is None:
            state = {}
        group, predicted, actual = contribution
        if OTHER in state and group not in state and _rank(group) > max(map(_rank, state.keys() - {OTHER})):
            group = OTHER
        new = (sign, sign * abs(actual - predicted), sign * abs(actual), sign * (predicted - actual))
        state[group] = _added(state.get(group, (0, 0, 0, 0)), new)
        return _bounded(state) if len(state) > MAX_GROUPS else state

    def merge(self, left: dict[str, Group] | None, right: dict[str, Group] | None) -> dict[str, Group] | None:
        """Add up group by group."""
        if left is None:
            return right
        if right is None:
            return left
        return self.absorb(dict(left), right)

    def absorb(self, left: dict[str, Group] | None, right: dict[str, Group]) -> dict[str, Group]:
        """Add up group by group, in the left state."""
        if left is None:
            return dict(right)
        for group, sums in right.items():
            left[group] = _added(left.get(group, (0, 0, 0, 0)), sums)
        return _bounded(left) if len(left) > MAX_GROUPS else left

    def replace(self, _whole: dict[str, Group], _old: dict[str, Group], _new: dict[str, Group]) -> None:
        """Tell nothing: which groups are kept apart depends on all of them."""

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
