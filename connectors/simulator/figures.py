"""Arithmetic of the ground truth: samples by month, scope and KPI, and what becomes of them. No engine code."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

from connectors.simulator.organisation import SERVICES

#: One sample of a KPI: a number, a pair (numerator, denominator), or a user.
Samples = list[float]


def quantile(values: Sequence[float], q: float) -> float:
    """Return the q-quantile, linear between ranks."""
    ordered = sorted(values)
    rank = (len(ordered) - 1) * q
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def mean(values: Samples) -> float:
    """Return the mean."""
    return math.fsum(values) / len(values)


def percent(values: Samples) -> float:
    """Return the mean as a percentage."""
    return 100 * mean(values)


#: What becomes of a KPI's samples of a month and scope.
RESULT: dict[str, Callable[[Samples], float]] = {
    **dict.fromkeys(
        (
            "incidents", "incidents_p1", "incidents_p2", "incidents_p3", "incidents_p4", "incidents_p5", "backlog",
            "security_incidents", "breaches", "vulnerabilities_overdue", "decision_impact",
        ),
        math.fsum,
    ),
    **dict.fromkeys(
        (
            "sla_met", "reopen_rate", "csat", "change_success_rate", "scaling_success_rate", "decision_success_rate",
            "sync_success_rate", "task_completion_rate", "client_error_rate", "bounce_rate", "engagement_rate",
        ),
        percent,
    ),
    **dict.fromkeys(
        ("mttr", "mtta", "nps", "ces", "change_feedback", "session_duration", "pages_per_session"), mean
    ),
    **dict.fromkeys(
        (
            "mttr_median", "time_to_implement", "change_lead_time", "time_to_scale_up", "time_to_scale_down",
            "time_to_detect", "time_to_respond", "time_to_contain", "time_to_resolve",
        ),
        median,
    ),
    "mttr_p90": lambda values: quantile(values, 0.9),
}  # fmt: skip
#: Counts that are 0, not unknown, in a month without any.
COUNTED = frozenset(k for k, f in RESULT.items() if f is math.fsum)

#: Counts of what is there at the end of a month.
STOCKS = frozenset({"backlog", "vulnerabilities_overdue"})


def scopes_of(service: str) -> tuple[str, str, str]:
    """Return the scopes that a service's samples belong to."""
    return "org", f"team:{SERVICES[service].team}", f"service:{service}"


class Book:
    """Samples by (month, scope, KPI), and the monthly figures they give.

    Args:
        months: labels of the months that figures are wanted for, oldest first.
    """

    def __init__(self, months: list[str]) -> None:
        self._months = months
        self._samples: dict[tuple[str, str, str], Samples] = defaultdict(list)
        self._ratios: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
        self._figures: dict[tuple[str, str, str], float] = {}

    def add(self, kpi: str, month: str, service: str, *values: float) -> None:
        """Add samples of a service's month."""
        for scope in scopes_of(service):
            self._samples[month, scope, kpi].extend(values)

    def ratio(self, kpi: str, month: str, service: str, numerator: float, denominator: float) -> None:
        """Add to a percentage that is a ratio of sums."""
        for scope in scopes_of(service):
            self._ratios[month, scope, kpi].append((numerator, denominator))

    def put(self, kpi: str, month: str, scope: str, value: float) -> None:
        """Put a figure that was worked out elsewhere."""
        self._figures[month, scope, kpi] = value

    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return month, scope, KPI to value; unknown ones are not there."""
        found = dict(self._figures)
        for key, values in self._samples.items():
            if values:
                found[key] = float(RESULT[key[2]](values))
        for key, pairs in self._ratios.items():
            below = math.fsum(d for _, d in pairs)
            if below:
                found[key] = 100 * math.fsum(n for n, _ in pairs) / below
        out: dict[str, dict[str, dict[str, float]]] = {m: {} for m in self._months}
        for (month, scope, kpi), value in sorted(found.items()):
            if month in out:
                out[month].setdefault(scope, {})[kpi] = value
        return out
