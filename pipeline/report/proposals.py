"""Improvement programmes that the data proposes: a concern that recurs, at the place where it does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.report import words
from pipeline.report.contributors import driver
from pipeline.report.kpireport import KpiReport, Point
from pipeline.report.model import Proposal
from pipeline.report.movement import assess
from pipeline.report.targets import meets

#: A KPI is a recurring concern that was one in so many of the last months.
RECURRING, LAST = 3, 4
#: Proposals in one report.
MOST = 5
_VERBS = {"up": "Raise", "down": "Lower", "zero": "Reduce"}


def propose(
    catalogue: Catalogue, kpis: Mapping[str, KpiReport], scope: str, taken: Collection[tuple[str, str]] = ()
) -> list[Proposal]:
    """Return programmes that the data proposes: KPIs of concern in three of the last four months and still, weightiest first.

    A month is of concern where the KPI missed its target or worsened. Where one service dominates a change for the worse,
    the programme is proposed for it: a recurring cause has a place.

    Args:
        catalogue: the KPIs.
        kpis: the KPI reports of the scope.
        scope: of the report.
        taken: (KPI, scope) of programmes that are open already; nothing is proposed beside them.
    """
    found: list[tuple[float, Proposal]] = []
    for report in kpis.values():
        kpi = catalogue.kpis[report.id]
        if kpi.weight <= 0:
            continue
        months, now = _of_concern(kpi, report.history)
        if len(months) < RECURRING or not now:
            continue
        top = driver(report) if report.movement == "worsened" else None
        place, name = (top.scope, f" of {top.name}") if top else (scope, "")
        if {(kpi.id, place), (kpi.id, scope)} & set(taken):
            continue
        reason = f"Missed its target or worsened in {words.periods(months)}; it is now "
        reason += f"{words.quantity(report.value, kpi.unit, kpi.decimals)} (target {words.bound(report.target, kpi.unit, kpi.decimals)})."
        if top:
            reason += f" {top.name} makes {words.share(top.share)} of the change."
        found.append(
            (
                kpi.weight,
                Proposal(
                    kpi=kpi.id,
                    scope=place,
                    title=f"{_VERBS[kpi.direction]} {words.inside(report.name)}{name}",
                    reason=reason,
                ),
            )
        )
    return [proposal for _, proposal in sorted(found, key=lambda pair: (-pair[0], pair[1].kpi))][:MOST]


def _of_concern(kpi: Kpi, history: Sequence[Point]) -> tuple[list[str], bool]:
    """Return those of the last four months that are over in which a KPI was of concern, and whether the last one was."""
    months = sorted(history, key=lambda p: p.month)
    over = [i for i, p in enumerate(months) if p.state != "to_date" or p.elapsed >= 1][-LAST:]
    found = [months[i].month for i in over if _concerns(kpi, months[: i + 1])]
    return found, bool(found) and found[-1] == months[over[-1]].month


def _concerns(kpi: Kpi, history: Sequence[Point]) -> bool:
    now = history[-1]
    if now.value is None or now.count < kpi.min_sample:
        return False
    missed = now.target is not None and not meets(kpi, now.value, now.target)
    return missed or assess(kpi, history).movement == "worsened"
