"""KPI values as the API gives them: numbers, what they are compared with, and why one is unknown."""

from __future__ import annotations

from typing import Any

from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.evaluate.words import grows, is_better, is_offered, sample_unit, unknown_reason
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue


def change_of(kpi: Kpi, before: float | None, after: float | None) -> dict[str, Any] | None:
    """Return the change from one period to the next, judged by the KPI's direction."""
    if before is None or after is None:
        return None
    delta = after - before
    return {
        "previous": before,
        "delta": delta,
        "percent": 100 * delta / abs(before) if before else None,
        "better": is_better(kpi.direction, before, after),
    }


def kpi_entry(kpi: Kpi, period: str, value: KpiValue | None, before: float | None) -> dict[str, Any]:
    """Return a KPI with its value for tiles and tables; ``before`` is the value of the period before."""
    held = value.value if value else None
    comparable = value is not None and value.status != "unknown" and not (value.state == "to_date" and grows(kpi))
    return {
        "id": kpi.id,
        "name": kpi.name,
        "unit": kpi.unit,
        "decimals": kpi.decimals,
        "direction": kpi.direction,
        "weight": kpi.weight,
        "breakdown_of": kpi.breakdown_of,
        "offered": is_offered(kpi, period),
        "value": held,
        "status": value.status if value else "unknown",
        "score": value.score if value else None,
        "reason": unknown_reason(kpi, period, value),
        "numerator": value.numerator if value else None,
        "denominator": value.denominator if value else None,
        "count": value.count if value else 0,
        "min_sample": kpi.min_sample,
        "sample_unit": sample_unit(kpi),
        "coverage": value.coverage if value else None,
        "target": value.target if value else kpi.target,
        "state": value.state if value else None,
        "revision": value.revision if value else 0,
        "definition_version": value.definition_version if value else kpi.version,
        "reported": value.reported if value else False,
        "change": change_of(kpi, before, held) if comparable else None,
        "note": value.reason if value else "",
    }


def value_row(value: KpiValue, calendar: Calendar) -> dict[str, Any]:
    """Return a value as a row of ``kpis``: the columns of ``csf kpis``."""
    return {
        "csf": value.csf,
        "kpi": value.kpi,
        "scope": value.scope,
        "period": value.period,
        "start": calendar.iso(value.start),
        "value": value.value,
        "unit": value.unit,
        "numerator": value.numerator,
        "denominator": value.denominator,
        "count": value.count,
        "coverage": value.coverage,
        "target": value.target,
        "status": value.status,
        "state": value.state,
        "revision": value.revision,
        "definition_version": value.definition_version,
    }


def definition(kpi: Kpi, catalogue: Catalogue) -> dict[str, Any]:
    """Return what a KPI means, for people who ask."""
    goal = catalogue.goals.get(kpi.goal) if kpi.goal else None
    measure = kpi.measure
    return {
        "id": kpi.id,
        "csf": kpi.csf,
        "name": kpi.name,
        "definition": kpi.definition,
        "unit": kpi.unit,
        "decimals": kpi.decimals,
        "direction": kpi.direction,
        "target": kpi.target,
        "amber": kpi.thresholds.amber if kpi.thresholds else None,
        "red": kpi.thresholds.red if kpi.thresholds else None,
        "min_sample": kpi.min_sample,
        "weight": kpi.weight,
        "version": kpi.version,
        "owner": kpi.owner,
        "activity": kpi.activity,
        "goal": goal.name if goal else None,
        "measure": type(measure).__struct_config__.tag,
        "events": list(getattr(measure, "events", ("uptime.checked", "incident.updated"))),
        "breakdown_of": kpi.breakdown_of,
        "smallest": kpi.smallest,
    }
