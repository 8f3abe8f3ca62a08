"""Status and score of a value and of a CSF."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.catalogue.model import Kpi, Organisation


def judged(kpi: Kpi, value: float | None, count: int, target: float | None) -> tuple[str, float | None]:
    """Return status and score of a value of a sample, against its target and thresholds."""
    if value is None or count < kpi.min_sample:
        return "unknown", None
    sign = -1.0 if kpi.direction == "up" else 1.0

    def bad(x: float) -> float:
        return abs(x) if kpi.direction == "zero" else sign * x

    here = bad(value)
    if kpi.thresholds is None:
        met = target is None or here <= bad(target)
        return ("on_target", 100.0) if met else ("amber", 60.0)
    amber, red = bad(kpi.thresholds.amber), bad(kpi.thresholds.red)
    goal = amber if target is None else bad(target)
    if here <= goal:
        return "on_target", 100.0
    if here >= red:
        return "red", 0.0
    if here <= amber:
        return "amber", 100 - 40 * (here - goal) / (amber - goal)
    return "amber", 60 * (red - here) / (red - max(amber, goal))


def of_csf(scores: Iterable[tuple[float | None, float]], org: Organisation) -> tuple[str, float | None]:
    """Return status and score of a CSF from (score, weight) of its KPIs."""
    rows = list(scores)
    total = sum(w for _, w in rows)
    known = sum(w for s, w in rows if s is not None)
    if total <= 0 or known <= 0 or known < total / 2:
        return "unknown", None
    score = sum(s * w for s, w in rows if s is not None) / known
    limits = [(org.aligned_score, "aligned"), (org.at_risk_score, "at_risk")]
    return next((name for limit, name in limits if score >= limit), "concern"), score
