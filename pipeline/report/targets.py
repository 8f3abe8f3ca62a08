"""How a KPI stands to its target: met or not once the month is over, before that where the month is heading.

A running month's forecast is what it has reached, and for the rest of the month what is usual: the centre of the months
before (the level of its process behaviour chart), or, without such months, more of the same. Counts and sums add up,
other values are weighted by the time passed. What is certain is told at once: a count past a limit it must stay below
is off track on the third of the month.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pipeline.catalogue.model import Kpi
from pipeline.evaluate.forecast import month_end, settled
from pipeline.evaluate.judge import badness
from pipeline.evaluate.words import growth
from pipeline.report.kpireport import Point, TargetState
from pipeline.report.levels import level
from pipeline.report.movement import comparable, finest, known

#: Share of the month that must have passed for a forecast.
ENOUGH_TO_FORECAST = 0.25


def meets(kpi: Kpi, value: float, target: float) -> bool:
    """Return whether a value meets a target, by the KPI's direction."""
    return badness(kpi, value) <= badness(kpi, target)


def target_state(kpi: Kpi, history: Sequence[Point]) -> TargetState:
    """Return how the last month of a history stands to the target in force in it.

    Args:
        kpi: gives direction, measure and minimum sample.
        history: months in any order, the last by name being the one reported; ``elapsed`` tells how much of it passed.
    """
    now = max(history, key=lambda p: p.month, default=None)
    if now is None or now.value is None:
        return "unknown"
    if now.target is None:
        return "no_target"
    if now.count < kpi.min_sample and now.elapsed >= 1:
        return "unknown"
    if now.state != "to_date" or now.elapsed >= 1:  # over: nothing is left to head for, though events may come late
        return "met" if meets(kpi, now.value, now.target) else "not_met"
    sure = settled(kpi, now.value, now.target)
    if sure is not None:
        return "on_track" if sure else "off_track"
    expected = forecast(kpi, now, [p for p in comparable(kpi, history) if p.month < now.month])
    if expected is None or not known(kpi, now):
        return "too_early_to_track"
    return "on_track" if meets(kpi, expected, now.target) else "off_track"


def forecast(kpi: Kpi, now: Point, before: Sequence[Point]) -> float | None:
    """Return the value that a running month is heading for; None while it is too early to say.

    Args:
        kpi: gives the measure.
        now: the running month, with the share of it that passed.
        before: known months before it, in order.
    """
    if now.value is None or now.elapsed < ENOUGH_TO_FORECAST:
        return None
    return month_end(kpi, now.value, now.elapsed, _usual(kpi, now, before))


def _usual(kpi: Kpi, now: Point, before: Sequence[Point]) -> float | None:
    """Return the mean of the months at the level reached, None for no months.

    Where the last months and the running one lie outside its limits on the same side, the level is being left: the mean of
    those months then tells more of the days to come. (Of what grows with the month, the value so far does not show it.)
    """
    values = [p.value for p in before if p.value is not None]
    reached = level(values, finest(kpi))
    within = reached.limits(finest(kpi))
    side = within.side(now.value) if within is not None and now.value is not None and growth(kpi) == "level" else 0
    lately = abs(reached.outside) if reached.outside * side > 0 else 0
    months = range(len(values) - lately, len(values)) if lately else reached.members
    return fmean(values[i] for i in months) if months else None
