"""What a KPI's measure allows to be said: how it grows in a month, what can be tested, what its values can be."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.catalogue import model
from pipeline.report.kpireport import Point

#: ``5.2 of 7``: a scale's least and greatest answer stand in its unit
_SCALE = re.compile(r"points \((\d+)-(\d+)\)")
#: counts that are parts of others by the rules of their events (``pipeline.events.validate``)
_PARTS = {"matched": "compared", "records_consistent": "records_compared"}


def days_of(month: str) -> int:
    """Return the number of days of a month such as ``2026-10``."""
    return monthrange(int(month[:4]), int(month[5:7]))[1]


def month_number(month: str) -> int:
    """Return a number that rises by 1 a month."""
    return int(month[:4]) * 12 + int(month[5:7])


@dataclass(frozen=True)
class Sample:
    """What a month's value was counted from, where chance has a law for it.

    Attributes:
        hits: successes or events.
        size: trials; for events the days they were counted in.
        share: successes of trials (binomial); else events over days (Poisson).
    """

    hits: float
    size: float
    share: bool

    def __add__(self, other: Sample) -> Sample:
        """Return both taken together."""
        return Sample(self.hits + other.hits, self.size + other.size, self.share)


def sample(kpi: model.Kpi, point: Point) -> Sample | None:
    """Return what a month's value was counted from; None where there are no counts, or no law for them.

    Counts of records and outages are events over the days that passed; shares are successes of trials. For means,
    medians and sums the dispersion is not kept; availability is a share of seconds, which are anything but independent;
    stocks and distinct users are much the same ones from month to month.
    """
    if point.value is None:
        return None
    days = days_of(point.month) * point.elapsed
    match kpi.measure:
        case model.Count(per="day"):
            return _events(point.numerator, point.denominator or days)
        case model.Count() | model.Availability(stat="outages"):
            return _events(point.value, days)
        case model.Share() | model.Ratio(factor=100.0) | model.Peak(stat="error_rate"):
            return _trials(point.numerator, point.denominator)
    return None


def _events(count: float | None, days: float) -> Sample | None:
    return Sample(count, days, share=False) if count is not None and count >= 0 and _whole(count) and days > 0 else None


def _trials(hits: float | None, of: float | None) -> Sample | None:
    if hits is None or of is None or not (_whole(hits) and _whole(of)):
        return None
    return Sample(hits, of, share=True) if 0 <= hits <= of and of > 0 else None


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6


def lawful(kpi: model.Kpi) -> tuple[float | None, float | None]:
    """Return the least and greatest value that a KPI's measure or scale allows, None where it sets no such bound."""
    scale = _SCALE.fullmatch(kpi.unit)
    if scale:
        return float(scale[1]), float(scale[2])
    match kpi.measure:
        case (
            model.Share() | model.Stickiness() | model.Peak(stat="error_rate") | model.Availability(stat="availability")
        ):
            return 0.0, 100.0
        case model.Count() | model.Distinct() | model.Stock() | model.Peak() | model.Freshness():
            return 0.0, None
        case model.Availability(stat="error_budget_remaining") | model.Forecast(stat="accuracy"):
            return None, 100.0
        case model.Availability():
            return 0.0, None
        case model.Ratio(factor=100.0, numerator=part, denominator=whole) if _PARTS.get(part) == whole:
            return 0.0, 100.0
    return None, None


def bounds(kpi: model.Kpi, points: Sequence[Point]) -> tuple[float | None, float | None]:
    """Return the least and greatest value a KPI can have, None where there is no such bound.

    Of means, quantiles and ratios the measure does not say; what was never negative is taken to be so by nature.
    """
    least, most = lawful(kpi)
    if least is not None or most is not None:
        return least, most
    known = [p.value for p in points if p.value is not None]
    positive = 0.0 if all(v >= 0 for v in known) else None
    match kpi.measure:
        case model.Ratio(factor=100.0):
            parts = [(p.numerator, p.denominator) for p in points if p.value is not None]
            shares = all(n is not None and d is not None and 0 <= n <= d for n, d in parts)
            return (0.0, 100.0) if parts and shares else (None, None)
        case model.Sum() | model.Forecast():
            return None, None
    return positive, None
