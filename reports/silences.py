"""The KPIs that have no value in the month: one sentence a reason, instead of rows that say ``unknown`` in every column."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report import words
from pipeline.report.model import KpiReport
from reports.figures import target_words
from reports.view import Silence, Unvalued


def silences(kpis: Sequence[KpiReport], month: str) -> list[Silence]:
    """Return the KPIs without a value by their reason, reasons and KPIs in the order of the KPIs.

    Args:
        kpis: of one CSF.
        month: the month in words.
    """
    found: dict[str, list[Unvalued]] = {}
    for kpi in kpis:
        if not words.is_known(kpi.value):
            found.setdefault(_reason(kpi, month), []).append(Unvalued(kpi.id, kpi.name, _said(kpi)))
    return [Silence(reason, members) for reason, members in found.items()]


def _reason(kpi: KpiReport, month: str) -> str:
    said = " ".join(kpi.notes)
    return said if said.startswith("No value in ") else f"No value in {month}. {said}".rstrip()


def _said(kpi: KpiReport) -> str:
    target = "" if kpi.target is None else f"target {target_words(kpi)}"
    last = next((point for point in reversed(kpi.history[:-1]) if words.is_known(point.value)), None)
    known = "" if last is None else (
        f"last known {words.quantity(last.value, kpi.unit, kpi.decimals)} in {words.short_month(last.month)}"
    )  # fmt: skip
    return ", ".join(filter(None, (target, known)))
