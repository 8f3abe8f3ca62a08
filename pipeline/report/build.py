"""From what was read to the report: every figure, then what the statistics, the rules and the verdicts say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.catalogue.model import Catalogue, Csf
from pipeline.report.figures import MonthlyFigures
from pipeline.report.goals import goal_reports
from pipeline.report.inputs import ReportInputs
from pipeline.report.insights import interpret
from pipeline.report.kpireport import KpiReport
from pipeline.report.kpis import kpi_reports
from pipeline.report.model import SCHEMA_VERSION, CsfReport, Finding, Report, SipReport
from pipeline.report.months import MonthState
from pipeline.report.proposals import propose
from pipeline.report.quality import quality
from pipeline.report.summary import concerns, insight, suggestions, summarise
from pipeline.report.verdict import Verdict, judge_verdicts
from pipeline.values import CsfStatus


def build_report(catalogue: Catalogue, inputs: ReportInputs) -> Report:
    """Return the report of a month and a scope; the same inputs give the same report.

    A month without values, a CSF without sources, a first month: each gives a report that says so.
    """
    figures = MonthlyFigures.of(catalogue, inputs)
    kpis = kpi_reports(catalogue, figures)
    findings = interpret(catalogue, kpis)
    statuses = {s.csf: s.status for s in inputs.statuses if s.start == figures.start}
    verdicts = judge_verdicts(catalogue, statuses, kpis, findings)
    csfs = [_csf(csf, figures, kpis, findings[csf.id], verdicts[csf.id]) for csf in catalogue.csfs.values()]
    proposals = propose(catalogue, kpis, inputs.scope, _taken(inputs.sips))
    state, revision = month_state(kpis.values())
    organisation, calendar = catalogue.organisation, figures.calendar
    return Report(
        schema_version=SCHEMA_VERSION,
        organisation=organisation.name,
        month=inputs.month,
        start=calendar.iso(figures.start),
        end=calendar.iso(figures.end),
        zone=organisation.zone,
        currency=organisation.currency,
        scope=inputs.scope,
        scope_name=figures.directory.name(inputs.scope),
        state=state,
        revision=revision,
        cut_off=_cut_off(figures, revision),
        catalogue=catalogue.digest,
        summary=summarise(catalogue, verdicts, kpis, findings, proposals),
        csfs=csfs,
        goals=goal_reports(catalogue, csfs),
        sips=list(inputs.sips),
        proposals=proposals,
        quality=quality(catalogue, figures, kpis),
    )


def _taken(sips: Iterable[SipReport]) -> set[tuple[str, str]]:
    """Return the KPIs and scopes that a programme is open for."""
    return {(s.kpi, s.scope) for s in sips if s.status != "closed"}


def month_state(kpis: Iterable[KpiReport]) -> tuple[MonthState, int]:
    """Return the state and revision of a month from its known values: to date while any value is."""
    known = [k for k in kpis if k.value is not None]
    if not known or any(k.state == "to_date" for k in known):
        return "to_date", 0
    revision = max(k.revision for k in known)
    return ("closed" if revision == 1 else "restated"), revision


def _cut_off(figures: MonthlyFigures, revision: int) -> str | None:
    """Return the local time up to which arrived events are in the figures.

    Of revision 1 that is when the month was closed, where that is known; else the newest arrival worked through.
    """
    inputs = figures.inputs
    if not any(e.clock > 0 for e in inputs.exits):
        return None
    at = inputs.closed_at if revision == 1 and inputs.closed_at is not None else inputs.clock
    return figures.calendar.iso(int(at))


def _csf(
    csf: Csf, figures: MonthlyFigures, kpis: Mapping[str, KpiReport], findings: Sequence[Finding], verdict: Verdict
) -> CsfReport:
    own = [k for k in kpis.values() if k.csf == csf.id]
    statuses = {s.start: s for s in figures.inputs.statuses if s.csf == csf.id}
    held: CsfStatus | None = statuses.get(figures.start)
    scores = [statuses[m].score if m in statuses else None for m in figures.months]
    return CsfReport(
        id=csf.id,
        name=csf.name,
        statement=csf.statement,
        status=held.status if held else "unknown",
        score=held.score if held else None,
        previous_score=scores[-2],
        scores=scores,
        verdict=verdict.state,
        verdict_reason=verdict.reason,
        insight=insight(findings, own),
        concerns=concerns(findings),
        suggestions=suggestions(findings),
        findings=list(findings),
        kpis=own,
        comment=figures.inputs.comments.get(csf.id),
    )
