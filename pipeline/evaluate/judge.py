"""From a value to its status and score, and from scores to the status of a CSF.

The score is 100 at the target or better, 60 at the amber threshold, 0 at the red one, linear between.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.catalogue.model import Direction, Kpi, Organisation
from pipeline.values import CsfState, Status

_AMBER_SCORE = 60.0


def badness_by(direction: Direction, number: float) -> float:
    """Return a number that grows as a value of a KPI with that direction gets worse."""
    if direction == "up":
        return -number
    return abs(number) if direction == "zero" else number


def badness(kpi: Kpi, number: float) -> float:
    """Return a number that grows as the KPI's value gets worse."""
    return badness_by(kpi.direction, number)


def judge(kpi: Kpi, value: float | None, count: int, target: float | None) -> tuple[Status, float | None]:
    """Return status and score of a value; both unknown for no value or too small a sample.

    Args:
        kpi: whose direction, thresholds and minimum sample hold.
        value: in the KPI's unit.
        count: sample size.
        target: the target in force, None where there is none (then the amber threshold is met or not).
    """
    if value is None or count < kpi.min_sample:
        return "unknown", None
    bad = badness(kpi, value)
    amber = None if kpi.thresholds is None else badness(kpi, kpi.thresholds.amber)
    red = None if kpi.thresholds is None else badness(kpi, kpi.thresholds.red)
    goal = badness(kpi, target) if target is not None else amber
    if goal is None:
        return "on_target", 100.0
    if bad <= goal:
        return "on_target", 100.0
    if amber is None or red is None:
        return "amber", _AMBER_SCORE
    if bad >= red:
        return "red", 0.0
    if bad <= amber:
        part = (bad - goal) / (amber - goal)
        return "amber", 100.0 - (100.0 - _AMBER_SCORE) * part
    return "amber", _AMBER_SCORE * (red - bad) / (red - max(amber, goal))


def judge_csf(
    scores: Iterable[tuple[float | None, float]], organisation: Organisation
) -> tuple[CsfState, float | None, float, float]:
    """Return status, score, known weight and total weight of a CSF from its KPIs' (score, weight)."""
    total = known = weighted = 0.0
    for score, weight in scores:
        total += weight
        if score is not None:
            known += weight
            weighted += score * weight
    if total <= 0 or known <= 0 or known < total / 2:
        return "unknown", None, known, total
    score = weighted / known
    if score >= organisation.aligned_score:
        return "aligned", score, known, total
    return ("at_risk" if score >= organisation.at_risk_score else "concern"), score, known, total
