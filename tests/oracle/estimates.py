"""Sketches on our own: log buckets for quantiles, HyperLogLog for distinct values."""

from __future__ import annotations

import hashlib
import math
from collections import Counter

GAMMA = 1.01 / 0.99
ZERO = None


def bucket(x: float) -> int | None:
    """Return the log bucket of a number, None for zero and below."""
    return math.ceil(math.log(x) / math.log(GAMMA)) if x > 0 else ZERO


def sketched(buckets: Counter[int | None], q: float) -> float | None:
    n = sum(buckets.values())
    if not n:
        return None
    rank = math.floor(q * (n - 1))
    seen = buckets.get(ZERO, 0)
    if rank < seen:
        return 0.0
    for i in sorted(b for b in buckets if b is not None):
        seen += buckets[i]
        if rank < seen:
            return 2 * GAMMA**i / (GAMMA + 1)
    raise AssertionError("the rank is below n")


def interpolated(numbers: list[int], q: float) -> float | None:
    if not numbers:
        return None
    ordered = sorted(numbers)
    at = (len(ordered) - 1) * q
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def distinct(values: set[str], exact_up_to: int = 4096) -> float:
    """Return how many values: exact while few, else by HyperLogLog with 4,096 registers."""
    hashes = {int.from_bytes(hashlib.blake2b(v.encode(), digest_size=8).digest(), "little") for v in values}
    if len(hashes) <= exact_up_to:
        return len(hashes)
    m = 4096
    registers = [0] * m
    for h in hashes:
        rest = h & ((1 << 52) - 1)
        registers[h >> 52] = max(registers[h >> 52], 52 - rest.bit_length() + 1)
    estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum(2.0**-r for r in registers)
    empty = registers.count(0)
    return m * math.log(m / empty) if estimate <= 2.5 * m and empty else estimate
