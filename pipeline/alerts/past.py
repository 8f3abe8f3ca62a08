"""How a month stood on a day of the past, put together from its days: what forecast rules are played over.

The store keeps of each month its newest value only, but all its days. Counts and sums of days add up to the month's,
ratios of sums weigh each other by their denominators; medians, distinct users and busiest hours cannot be put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from pipeline.catalogue.model import Distinct, Forecast, Kpi, Peak, Quantile, Stickiness, Stock
from pipeline.evaluate.words import grows
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue

#: What the days of a month do not say of it.
_WHOLE = (Distinct, Forecast, Peak, Quantile, Stickiness)


def adds_up(kpi: Kpi) -> bool:
    """Return whether a KPI's month follows from its days."""
    return not isinstance(kpi.measure, _WHOLE)


def months_to_date(kpi: Kpi, days: Iterable[KpiValue], calendar: Calendar) -> Iterator[tuple[int, KpiValue]]:
    """Yield (end of a day, the month as it stood then), in order of time.

    Args:
        kpi: one whose days add up.
        days: its values over days, of one scope, in order of time.
        calendar: of the organisation.
    """
    for start, found in groupby(days, key=lambda day: calendar.month_start(day.start)):
        end, so_far = calendar.next_month(start), list[KpiValue]()
        for day in found:
            so_far.append(day)
            yield day.end, _together(kpi, so_far, start, end)


def _together(kpi: Kpi, days: list[KpiValue], start: int, end: int) -> KpiValue:
    """Return a month's value to date from those of its days so far."""
    last, known = days[-1], [d for d in days if d.value is not None]
    value: float | None
    if isinstance(kpi.measure, Stock):
        value, denominator = last.value, None
    elif grows(kpi):
        value, denominator = (sum(d.value or 0.0 for d in known) if known else None), None
    else:
        # of no denominator nothing was measured that day
        denominator = sum(d.denominator or 0.0 for d in known)
        weighted = sum((d.value or 0.0) * (d.denominator or 0.0) for d in known)
        value = weighted / denominator if denominator else None
    covered = [(d.coverage, d.end - d.start) for d in days if d.coverage is not None]
    length = sum(seconds for _, seconds in covered)
    return KpiValue(
        csf=kpi.csf, kpi=kpi.id, scope=last.scope, period="month", start=start, end=end, value=value, unit=last.unit,
        denominator=denominator, count=last.count if isinstance(kpi.measure, Stock) else sum(d.count for d in known),
        coverage=sum(share * seconds for share, seconds in covered) / length if length else None, target=last.target,
    )  # fmt: skip
