"""The five exits together, and the clock of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.values import Exits

EXIT_NAMES = ("kpi", "dead_letter", "duplicate", "unmapped", "ignored")


def clock_of(exits: Sequence[Exits]) -> float | None:
    """Return the newest arrival time the pipeline has worked through, epoch seconds; None before the first event."""
    return max((e.clock for e in exits if e.clock > 0), default=None)


def totals(exits: Sequence[Exits]) -> dict[str, Any]:
    """Return counts over all partitions; ``balanced`` is the invariant that what came in went out."""
    counts: dict[str, Any] = {name: sum(getattr(e, name) for e in exits) for name in EXIT_NAMES}
    received = sum(e.received for e in exits)
    return {
        "received": received,
        **counts,
        "truncated": sum(e.truncated for e in exits),
        "balanced": received == sum(counts.values()),
    }
