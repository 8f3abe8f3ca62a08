"""The five exits as the API gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.evaluate.exits import EXIT_NAMES, totals
from pipeline.time.calendar import Calendar
from pipeline.values import Exits


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
