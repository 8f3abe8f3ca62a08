"""A month's value as a point of a trend line: its state, and how much of the month has passed."""

from __future__ import annotations

from typing import Literal

from pipeline.report.kpireport import Point
from pipeline.values import KpiValue

MonthState = Literal["to_date", "closed", "restated"]


def elapsed_share(start: int, end: int, clock: float) -> float:
    """Return the share 0-1 of a month that has passed; ``clock`` is the data's time, all in epoch seconds."""
    return min(1.0, max(0.0, (clock - start) / (end - start)))


def value_state(value: KpiValue, *, over: bool) -> MonthState:
    """Return a value's state; what was reported for a month that is over is final: no event can change it."""
    if value.state == "live":
        return "to_date"
    if value.state == "to_date" and value.reported and over:
        return "closed"
    return value.state


def month_point(value: KpiValue, month: str, state: MonthState, elapsed: float) -> Point:
    """Return a month's value as a point."""
    return Point(
        month=month, value=value.value, numerator=value.numerator, denominator=value.denominator, count=value.count,
        coverage=value.coverage, target=value.target, state=state, reported=value.reported,
        definition_version=value.definition_version, elapsed=elapsed,
    )  # fmt: skip
