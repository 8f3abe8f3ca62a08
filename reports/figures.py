"""Figures in words that several parts of the report use."""

from __future__ import annotations

from pipeline.report import words
from pipeline.report.kpireport import Contributor, KpiReport
from pipeline.report.model import Report
from reports.view import Change, Service

_BOUNDS = {"up": "at least ", "down": "at most ", "zero": "within \u00b1"}


def target_words(kpi: KpiReport) -> str:
    """Return the target in force, ``at least 85%``, or that there is none."""
    if kpi.target is None:
        return "no target"
    return _BOUNDS[kpi.direction] + words.bound(kpi.target, kpi.unit, kpi.decimals)


def change_from(kpi: KpiReport, before: float | None, change_pct: float | None) -> Change:
    """Return the way from a value before to this month's: in points for percentages, else relative where it can be."""
    if before is None or kpi.value is None:
        said = "" if before is None else words.quantity(before, kpi.unit, kpi.decimals)
        return Change(said, "not known" if before is None else "not comparable", known=False)
    delta = kpi.value - before
    said = words.quantity(before, kpi.unit, kpi.decimals)
    if words.number(delta, kpi.decimals).strip("0.,") == "":
        return Change(said, "unchanged", known=True)
    if kpi.unit == "%" or kpi.direction == "zero" or change_pct is None or abs(change_pct) >= 1000:
        return Change(said, words.difference(delta, kpi.unit, kpi.decimals), known=True)
    return Change(said, words.percent(change_pct, signed=True), known=True)


def service(found: Contributor, kpi: KpiReport) -> Service:
    """Return a service's part in a KPI in words."""
    return Service(
        name=found.name,
        value=words.quantity(found.value, kpi.unit, kpi.decimals),
        before=words.quantity(found.previous, kpi.unit, kpi.decimals),
        effect="" if found.effect is None else words.difference(found.effect, kpi.unit, kpi.decimals),
        share="" if found.share is None else words.percent(100 * found.share),
        sample=words.sample(found.count, kpi.sample_unit),
    )


def scope_words(scope: str, report: Report) -> str:
    """Return a scope's name: the report's own as it calls it, others by kind and id."""
    if scope == report.scope:
        return report.scope_name
    kind, _, name = scope.partition(":")
    return f"{kind} {name}" if name else "whole organisation"
