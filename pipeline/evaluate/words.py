"""Values in words: why one is unknown, whether a change is for the better, which may be compared at all."""

from __future__ import annotations

from typing import Literal

from pipeline.catalogue.model import Availability, Count, Direction, Distinct, Kpi, Peak, Stickiness, Sum
from pipeline.evaluate.duration import in_words
from pipeline.values import WINDOWS, KpiValue

#: How a value behaves while its month runs: ``grows`` with it (counts, sums); ``level``: to date is comparable with
#: whole months, from half a month on; ``whole``: only a whole month says anything (its busiest hour, its users).
Growth = Literal["grows", "level", "whole"]

#: Least length of a period for each ``smallest`` of the catalogue, seconds; a day may be an hour short (DST).
_LEAST_S = {"live": 0, "hour": 3_600, "6h": 21_600, "day": 72_000, "week": 7 * 86_400}
_PERIOD_S = {"hour": 3_600, "day": 86_400, "month": 28 * 86_400}
_WORDS = {"hour": "an hour", "6h": "six hours", "day": "a day", "week": "a week"}


def is_offered(kpi: Kpi, period: str) -> bool:
    """Return whether a KPI has values for a period kind or rolling window of that length."""
    return WINDOWS.get(period, _PERIOD_S.get(period, 0)) >= _LEAST_S[kpi.smallest]


def unknown_reason(kpi: Kpi, period: str, value: KpiValue | None) -> str:
    """Return in words why a value, or its status, is unknown; empty where both are known."""
    if value is None:
        if not is_offered(kpi, period):
            return f"measured over {_WORDS[kpi.smallest]} or longer"
        return "no source"
    if value.value is None:
        if value.coverage is None and not value.count:
            return "no source"
        if value.coverage == 0:
            return "its sources delivered nothing"
        return "nothing to measure"
    if value.status == "unknown" and value.count < kpi.min_sample:
        if sample_unit(kpi):
            return f"sample too small: {in_words(value.count)} of {in_words(kpi.min_sample)}"
        return f"sample too small: {value.count} of {kpi.min_sample}"
    return ""


def sample_unit(kpi: Kpi) -> str:
    """Return what a KPI's sample is counted in: ``s`` where it is the time that was checked, "" for records."""
    return "s" if isinstance(kpi.measure, Availability) else ""


def is_better(direction: Direction, before: float, after: float) -> bool | None:
    """Return whether a change is for the better; None where it is neither."""
    if direction == "zero":
        before, after, direction = abs(before), abs(after), "down"
    if before == after:
        return None
    return (after > before) == (direction == "up")


def growth(kpi: Kpi) -> Growth:
    """Return how a KPI's value behaves while its month runs."""
    match kpi.measure:
        case Count(per="day"):
            return "level"
        case Count() | Sum() | Distinct() | Availability(stat="outages"):
            return "grows"
        case Stickiness() | Peak():
            return "whole"
    return "level"


def grows(kpi: Kpi) -> bool:
    """Return whether a value only grows while its period runs, so that it compares with no finished one."""
    return growth(kpi) == "grows"
