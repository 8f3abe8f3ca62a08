"""What an issued report says, as the KPI store keeps it for dashboards."""

from __future__ import annotations

from pipeline.report.model import Report
from pipeline.values import SUMMARY, ReportText


def report_texts(report: Report, start: int) -> list[ReportText]:
    """Return the texts of an issue: of the summary, and of each CSF.

    Args:
        report: the issue.
        start: start of its month, epoch seconds.
    """
    number = report.issue.number if report.issue else 0
    summary = report.summary
    return [
        ReportText(
            csf=SUMMARY, scope=report.scope, period="month", start=start, verdict=summary.verdict,
            insight=summary.headline, concerns="\n".join(c.sentence for c in summary.changes),
            suggestions="\n".join(summary.decisions), issue=number,
        ),
        *(
            ReportText(
                csf=c.id, scope=report.scope, period="month", start=start, verdict=c.verdict, insight=c.insight,
                concerns="\n".join(c.concerns), suggestions="\n".join(c.suggestions), issue=number,
            )
            for c in report.csfs
        ),
    ]  # fmt: skip
