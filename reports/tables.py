"""The report as one table for spreadsheets: a row a KPI, numbers as numbers, unknown as an empty cell."""

from __future__ import annotations

import csv as csv_format
import io

from pipeline.plain import csv_cell
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import CsfReport, Report

COLUMNS = (
    "month", "scope", "revision", "csf", "csf_verdict", "kpi", "name", "unit", "value", "numerator", "denominator", "count", "coverage",
    "status", "score", "state", "reported", "target", "target_state", "previous", "change", "change_pct", "previous_year",
    "change_year_pct", "movement", "movement_reason", "lower_limit", "upper_limit", "trend", "slope", "definition_version", "notes",
)  # fmt: skip


def csv(report: Report) -> str:
    """Return the table as CSV (RFC 4180, UTF-8); a text that a spreadsheet would take for a formula gets a quote before it."""
    out = io.StringIO()
    writer = csv_format.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for csf in report.csfs:
        for kpi in csf.kpis:
            row = _row(report, csf, kpi)
            writer.writerow([csv_cell(row[column]) for column in COLUMNS])
    return out.getvalue()


#: by this name every form of a report is made
render = csv


def _row(report: Report, csf: CsfReport, kpi: KpiReport) -> dict[str, object]:
    limits = kpi.natural_limits
    return {
        "month": report.month, "scope": report.scope, "revision": kpi.revision, "csf": csf.id, "csf_verdict": csf.verdict,
        "kpi": kpi.id, "name": kpi.name, "unit": kpi.unit, "value": kpi.value, "numerator": kpi.numerator,
        "denominator": kpi.denominator, "count": kpi.count if kpi.sample_known else None, "coverage": kpi.coverage, "status": kpi.status, "score": kpi.score,
        "state": kpi.state, "reported": str(kpi.reported).lower(), "target": kpi.target, "target_state": kpi.target_state,
        "previous": kpi.previous, "change": kpi.change, "change_pct": kpi.change_pct, "previous_year": kpi.previous_year,
        "change_year_pct": kpi.change_year_pct, "movement": kpi.movement, "movement_reason": kpi.movement_reason,
        "lower_limit": None if limits is None else limits.lower, "upper_limit": None if limits is None else limits.upper,
        "trend": kpi.trend.direction, "slope": kpi.trend.slope, "definition_version": kpi.definition_version,
        "notes": " ".join(kpi.notes),
    }  # fmt: skip
