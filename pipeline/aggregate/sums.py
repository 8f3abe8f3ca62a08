"""Sums: (sample, numerator, denominator) as integers; counts, means, shares, ratios and stocks are made of them."""

from __future__ import annotations

from typing import Any

from pipeline.aggregate.base import pack_int

Sums = tuple[int, int, int]
#: msgpack holds integers below this as they are.
_LIMIT = 2**63


class SumsAggregator:
    """State: (n, numerator, denominator); all integers, values in millionths."""

    def add(self, state: Sums | None, contribution: Sums, sign: int) -> Sums:
        """Add or take back one (n, numerator, denominator)."""
        n, num, den = contribution
        if state is None:
            return (sign * n, sign * num, sign * den)
        return (state[0] + sign * n, state[1] + sign * num, state[2] + sign * den)

    def merge(self, left: Sums | None, right: Sums | None) -> Sums | None:
        """Add up."""
        if left is None:
            return right
        if right is None:
            return left
        return (left[0] + right[0], left[1] + right[1], left[2] + right[2])

    def absorb(self, left: Sums | None, right: Sums) -> Sums:
        """Add up."""
        return right if left is None else (left[0] + right[0], left[1] + right[1], left[2] + right[2])

    def replace(self, whole: Sums, old: Sums, new: Sums) -> Sums:
        """Take the old sums out and add the new ones."""
        return (whole[0] - old[0] + new[0], whole[1] - old[1] + new[1], whole[2] - old[2] + new[2])

    def pack(self, state: Sums) -> Any:
        """Return three integers."""
        n, num, den = state
        if -_LIMIT <= n < _LIMIT and -_LIMIT <= num < _LIMIT and -_LIMIT <= den < _LIMIT:
            return state
        return [pack_int(x) for x in state]

    def unpack(self, data: Any) -> Sums:
        """Return the tuple of integers."""
        n, num, den = data
        return (int(n), int(num), int(den))
