"""The five exits as the API gives them, and the clock of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.time.calendar import Calendar
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


def exits_document(exits: Sequence[Exits], calendar: Calendar) -> dict[str, Any]:
    """Return exits a partition, by reason, and in total."""
    reasons: dict[str, int] = {}
    for e in exits:
        for reason, number in e.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + number
    return {
        "totals": totals(exits),
        "reasons": [
            {"exit": label.partition(":")[0], "reason": label.partition(":")[2], "count": number}
            for label, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ],
        "partitions": [
            {
                "topic": e.topic,
                "partition": e.partition,
                "received": e.received,
                **{name: getattr(e, name) for name in EXIT_NAMES},
                "reasons": e.reasons,
                "truncated": e.truncated,
                "clock": calendar.iso(int(e.clock)) if e.clock > 0 else None,
            }
            for e in exits
        ],
    }
