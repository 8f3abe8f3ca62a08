"""Interval sets over one line of time, as sorted lists of disjoint [start, end)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

Spans = list[tuple[int, int]]


def union(parts: Iterable[tuple[int, int]]) -> Spans:
    found: Spans = []
    for a, b in sorted(p for p in parts if p[0] < p[1]):
        if found and a <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], b))
        else:
            found.append((a, b))
    return found


def minus(left: Spans, right: Spans) -> Spans:
    """Return what of one set is not in the other, by sweeping over all edges."""
    edges = sorted({e for part in (*left, *right) for e in part})
    kept = [
        (a, b) for a, b in pairwise(edges) if any(s <= a < e for s, e in left) and not any(s <= a < e for s, e in right)
    ]
    return union(kept)


def within(parts: Spans, start: int, end: int) -> Spans:
    return [(max(a, start), min(b, end)) for a, b in parts if a < end and b > start]


def length(parts: Spans) -> int:
    return sum(b - a for a, b in parts)
