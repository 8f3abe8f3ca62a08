"""Quantiles: an exact multiset of values, and a DDSketch of fixed logarithmic buckets.

Both are the same under any order and split. DDSketch: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable
quantile sketch with relative-error guarantees", VLDB 2019.
"""

from __future__ import annotations

import math
from typing import Any

#: Relative error of the sketch and the ratio between bucket bounds that gives it.
ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(GAMMA)
#: Bucket of zero and of negative values.
ZERO_BUCKET = -(2**31)

Counts = dict[int, int]


def bucket_of(value: float) -> int:
    """Return the bucket (gamma^(i-1), gamma^i] that holds a value."""
    return math.ceil(math.log(value) / _LOG_GAMMA) if value > 0 else ZERO_BUCKET


def bucket_value(bucket: int) -> float:
    """Return the value that stands for a bucket."""
    return 0.0 if bucket == ZERO_BUCKET else 2 * GAMMA**bucket / (GAMMA + 1)


class CountsAggregator:
    """State: {value or bucket: count}; contribution: a list of (value or bucket, weight)."""

    def add(self, state: Counts | None, contribution: list[tuple[int, int]], sign: int) -> Counts:
        """Add or take back weighted values, in place."""
        if state is None:
            state = {}
        for key, weight in contribution:
            left = state.get(key, 0) + sign * weight
            if left:
                state[key] = left
            else:
                del state[key]
        return state

    def merge(self, left: Counts | None, right: Counts | None) -> Counts | None:
        """Add up counts."""
        if left is None:
            return right
        if right is None:
            return left
        if len(left) < len(right):
            left, right = right, left
        return self.absorb(dict(left), right)

    def absorb(self, left: Counts | None, right: Counts) -> Counts:
        """Add up counts, in the left state."""
        if left is None:
            return dict(right)
        get = left.get
        for key, count in right.items():
            both = get(key, 0) + count
            if both:
                left[key] = both
            else:  # what was gathered may take back earlier contributions
                del left[key]
        return left

    def replace(self, whole: Counts, old: Counts, new: Counts) -> Counts:
        """Take the old counts out and add the new ones."""
        get = whole.get
        for key, count in new.items():
            more = count - old.get(key, 0)
            if more:
                both = get(key, 0) + more
                if both:
                    whole[key] = both
                else:
                    del whole[key]
        for key in old.keys() - new.keys():
            left = get(key, 0) - old[key]
            if left:
                whole[key] = left
            else:
                del whole[key]
        return whole

    def pack(self, state: Counts) -> Any:
        """Return keys and counts, flat, in key order."""
        if len(state) == 1:  # most of a service that has an event now and then
            return next(iter(state.items()))
        flat: list[int] = []
        for key in sorted(state):
            flat += (key, state[key])
        return flat

    def unpack(self, data: Any) -> Counts:
        """Return the counts."""
        return dict(zip(data[::2], data[1::2], strict=True))


def exact_quantile(values: Counts, q: float) -> float | None:
    """Return the q-quantile by linear interpolation between ranks (n - 1)·q, None without values."""
    n = sum(values.values())
    if n <= 0:
        return None
    rank = (n - 1) * q
    lower, part = int(rank), rank - int(rank)
    seen, below = 0, None
    for value in sorted(values):
        seen += values[value]
        if below is None and seen > lower:
            if part == 0 or seen > lower + 1:
                return float(value)
            below = value
        elif below is not None:
            return below + (value - below) * part
    return float(below) if below is not None else None


def sketch_quantile(buckets: Counts, q: float) -> float | None:
    """Return the q-quantile of a DDSketch: at most 1 % off; None without values."""
    n = sum(buckets.values())
    if n <= 0:
        return None
    rank, seen = math.floor(q * (n - 1)), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen > rank:
            return bucket_value(bucket)
    return None
