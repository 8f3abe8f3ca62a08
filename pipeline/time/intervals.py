"""Algebra of half-open intervals [a, b) as sorted, disjoint lists of integer pairs."""

from __future__ import annotations

from collections.abc import Iterable

Intervals = list[tuple[int, int]]


def union(parts: Iterable[tuple[int, int]]) -> Intervals:
    """Return the union; touching intervals become one."""
    merged: Intervals = []
    for a, b in sorted(parts):
        if a >= b:
            continue
        if merged and a <= merged[-1][1]:
            if b > merged[-1][1]:
                merged[-1] = (merged[-1][0], b)
        else:
            merged.append((a, b))
    return merged


def subtract(left: Intervals, right: Intervals) -> Intervals:
    """Return what of ``left`` lies outside ``right``; both are unions."""
    if not right:
        return left
    out: Intervals = []
    i = 0
    for start, end in left:
        a = start
        while i < len(right) and right[i][1] <= a:
            i += 1
        j = i
        while j < len(right) and right[j][0] < end:
            if right[j][0] > a:
                out.append((a, right[j][0]))
            a = max(a, right[j][1])
            j += 1
        if a < end:
            out.append((a, end))
    return out


def clip(parts: Intervals, start: int, end: int) -> Intervals:
    """Return what lies inside [start, end)."""
    return [(max(a, start), min(b, end)) for a, b in parts if b > start and a < end]


def total(parts: Intervals) -> int:
    """Return the summed length."""
    return sum(b - a for a, b in parts)
