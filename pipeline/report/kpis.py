"""Every KPI of a report's month and scope, with what the statistics say of it."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.evaluate.words import sample_unit
from pipeline.report.contributors import contributors
from pipeline.report.figures import MonthlyFigures, notes, percent_change, sample_known
from pipeline.report.inputs import EntityEvidence
from pipeline.report.kpireport import Contributor, KpiReport, Point
from pipeline.report.movement import assess
from pipeline.report.targets import target_state

#: How many services are named as driving a KPI's change.
DRIVERS = 5
_NO_EVIDENCE = EntityEvidence(found=[], total=0)


def kpi_reports(catalogue: Catalogue, figures: MonthlyFigures) -> dict[str, KpiReport]:
    """Return all KPIs of the catalogue by id, in its order; those without a value too."""
    names = {scope: figures.directory.name(scope) for scope in figures.directory.services(figures.inputs.scope)}
    return {kpi.id: _kpi_report(kpi, figures, names) for kpi in catalogue.kpis.values()}


def _kpi_report(kpi: Kpi, figures: MonthlyFigures, names: Mapping[str, str]) -> KpiReport:
    history = figures.history(kpi)
    now, before, year_ago = history[-1], history[-2], history[0]
    value = figures.value(kpi.id, figures.start)
    assessed = assess(kpi, history)
    services = _services(kpi, figures, now, before, names)
    evidence = figures.inputs.evidence.get(kpi.id, _NO_EVIDENCE)
    previous = before.value if _compares(now, before) else None
    year_before = year_ago.value if _compares(now, year_ago) else None
    return KpiReport(
        id=kpi.id,
        name=kpi.name,
        csf=kpi.csf,
        unit=kpi.unit,
        direction=kpi.direction,
        decimals=kpi.decimals,
        weight=kpi.weight,
        definition=kpi.definition,
        definition_version=now.definition_version,
        owner=kpi.owner,
        activity=kpi.activity,
        goal=kpi.goal,
        value=now.value,
        numerator=now.numerator,
        denominator=now.denominator,
        count=now.count,
        coverage=now.coverage,
        status="unknown" if value is None else value.status,
        score=None if value is None else value.score,
        state=now.state,
        revision=0 if value is None else figures.revision(value),
        reported=now.reported,
        target=now.target,
        target_state=target_state(kpi, history),
        previous=before.value,
        previous_year=year_ago.value,
        change=None if now.value is None or previous is None else now.value - previous,
        change_pct=percent_change(now.value, previous),
        change_year_pct=percent_change(now.value, year_before),
        movement=assessed.movement,
        movement_reason=assessed.movement_reason,
        signals=assessed.signals,
        trend=assessed.trend,
        natural_limits=assessed.natural_limits,
        history=history,
        contributors=[s for s in services if _drives(s)][:DRIVERS],
        services=sorted(services, key=lambda s: (s.name.lower(), s.scope)),
        evidence=evidence.found,
        evidence_total=evidence.total,
        notes=notes(figures, kpi, history),
        sample_unit=sample_unit(kpi),
        programmes=[s.id for s in figures.inputs.sips if s.kpi == kpi.id and s.status != "closed"],
        sample_known=value is None or sample_known(kpi, value),
        breakdown_of=kpi.breakdown_of,
    )


def _compares(now: Point, then: Point) -> bool:
    """Return whether two months were made by one definition."""
    return now.definition_version == then.definition_version


def _services(
    kpi: Kpi, figures: MonthlyFigures, now: Point, before: Point, names: Mapping[str, str]
) -> list[Contributor]:
    """Return the services below the scope, those that drive the change first."""
    here, there = figures.below(kpi.id, figures.start), figures.below(kpi.id, figures.before)
    there = {scope: p for scope, p in there.items() if _compares(now, p)}
    known = before if before.value is not None and _compares(now, before) else None
    return contributors(kpi, now, known, here, there, names)


def _drives(service: Contributor) -> bool:
    """Return whether a service changed anything: by its effect, else by its own change."""
    if service.effect is not None:
        return service.effect != 0
    return service.value is not None and service.previous is not None and service.value != service.previous
