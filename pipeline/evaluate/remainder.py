"""What is left of a value of a team or the organisation without some of its services.

Counts and sums are taken from each other; ratios of sums are worked out again from what is left of both sums. Medians,
quantiles, distinct users and busiest hours cannot be taken out of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.catalogue.model import Availability, Count, Freshness, Kpi, Mean, Quantile, Ratio, Share, Stock, Sum
from pipeline.values import KpiValue


def without(kpi: Kpi, whole: KpiValue, parts: Sequence[KpiValue]) -> KpiValue | None:
    """Return a value as it would be without some services; None where it cannot be told.

    Args:
        kpi: whose values they are.
        whole: of a team or the organisation.
        parts: of services inside it, none twice, over the same window or period; what is unknown is left out.

    Returns:
        The value of the rest, which is unknown where nothing is left to measure.
    """
    if whole.value is None:
        return None
    parts = [part for part in parts if part.value is not None]
    count = max(0, whole.count - sum(part.count for part in parts))
    if _adds_up(kpi):
        left = whole.value - sum(part.value or 0.0 for part in parts)
        return msgspec.structs.replace(whole, value=left, count=count)
    sums = [(v.numerator, v.denominator) for v in (whole, *parts)]
    if not _is_ratio(kpi) or any(numerator is None or denominator is None for numerator, denominator in sums):
        return None
    (above, below), *taken = [(numerator or 0.0, denominator or 0.0) for numerator, denominator in sums]
    above -= sum(numerator for numerator, _ in taken)
    below -= sum(denominator for _, denominator in taken)
    value = _ratio(kpi, above, below) if below > 0 else None
    return msgspec.structs.replace(whole, value=value, numerator=above, denominator=below, count=count)


def may_be_all(kpi: Kpi, whole: KpiValue, parts: Sequence[KpiValue]) -> bool:
    """Return whether some services are cases enough to be all that makes a value bad; asked where the rest cannot be told.

    Of a quantile those are as many as lie beyond it, a tenth of all for the 90th percentile; of anything else half.
    """
    measure, share = kpi.measure, 0.5
    if isinstance(measure, Quantile):
        share = measure.q if kpi.direction == "up" else 1 - measure.q
    return sum(part.count for part in parts) >= share * whole.count - 1e-9


def _adds_up(kpi: Kpi) -> bool:
    measure = kpi.measure
    return isinstance(measure, Count | Sum | Stock) or (isinstance(measure, Availability) and measure.stat == "outages")


def _is_ratio(kpi: Kpi) -> bool:
    return isinstance(kpi.measure, Mean | Share | Ratio | Freshness | Availability)


def _ratio(kpi: Kpi, above: float, below: float) -> float:
    """Return a KPI's value by its two sums (``pipeline.engine.measures``)."""
    measure = kpi.measure
    if isinstance(measure, Availability) and measure.stat == "error_budget_remaining":
        return 100 * (1 - above / below)
    percent = isinstance(measure, Share) or (isinstance(measure, Availability) and measure.stat == "availability")
    return (measure.factor if isinstance(measure, Ratio) else 100.0 if percent else 1.0) * above / below
