"""Where a running month is heading: the one forecast that verdicts of the report and forecast rules of alerting share.

Both say what the rest of the month is taken to be like (*usual*: the months before, or a recent window); what follows
from that for the whole month is the same. Counts and sums add up, other values are weighted by the time passed.
"""

from __future__ import annotations

from pipeline.catalogue.model import Distinct, Kpi, Stock, Sum
from pipeline.evaluate.judge import badness
from pipeline.evaluate.words import growth

#: Share of the month that must have passed before what cannot be added up or weighted (the month's users, its busiest
#: hour) is taken for the whole month's.
NEARLY_OVER = 0.8


def month_end(kpi: Kpi, value: float, passed: float, usual: float | None) -> float | None:
    """Return the value that a running month is heading for; None where its measure does not allow to say yet.

    Args:
        kpi: gives the measure.
        value: the month's value to date, in the KPI's unit.
        passed: share (0-1] of the month that is over.
        usual: the value of a whole month that goes like the rest is expected to; None: like what has passed.
    """
    if isinstance(kpi.measure, Stock):
        return value  # as it is now: nothing tells that it will be otherwise at the end
    if isinstance(kpi.measure, Distinct) or growth(kpi) == "whole":
        return value if passed >= NEARLY_OVER else None
    if growth(kpi) == "grows":
        return value + (1 - passed) * usual if usual is not None else value / passed
    return passed * value + (1 - passed) * usual if usual is not None else value


def settled(kpi: Kpi, value: float, target: float) -> bool | None:
    """Return whether a running month meets its target, where its rest can no longer change that; else None.

    A count that only grows and is past its limit has missed it on the third of the month; past its aim it has met it.
    """
    if growth(kpi) != "grows" or isinstance(kpi.measure, Sum):
        return None
    if kpi.direction == "up":
        return True if value >= target else None
    return False if badness(kpi, value) > badness(kpi, target) else None
