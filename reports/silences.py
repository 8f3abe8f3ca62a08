"""What the rows of a KPI table would say again and again, said once: why KPIs have no value, and the notes of all."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.report import words
from pipeline.report.kpireport import KpiReport
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


def shared_notes(kpis: Sequence[KpiReport]) -> list[str]:
    """Return the notes that all of several KPIs have, in the order of the first one's."""
    if len(kpis) < 2:
        return []
    return [note for note in dict.fromkeys(kpis[0].notes) if all(note in kpi.notes for kpi in kpis[1:])]


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
