"""What accompanies a report on its way: the mail's subject and text, the webhook's document."""

from __future__ import annotations

import msgspec

from pipeline.plain import printable
from pipeline.report import words
from pipeline.report.kpireport import KpiReport
from pipeline.report.model import CsfReport, Report


def subject(report: Report) -> str:
    """Return a mail's subject in one line."""
    verdict = words.VERDICTS[report.summary.verdict].lower()
    return printable(f"Monthly Operating Report {words.month(report.month)}, {report.scope_name}: {verdict}")


def text(report: Report) -> str:
    """Return the report's summary as plain text, for a mail's body."""
    summary = report.summary
    lines = [
        f"Monthly Operating Report, {words.month(report.month)}",
        f"{report.scope_name} ({_state(report)})",
        "",
        summary.headline,
        "",
    ]
    width = max((len(c.name) for c in report.csfs), default=0)
    for csf in report.csfs:
        lines.append(f"  {csf.name.ljust(width)}  {words.VERDICTS[csf.verdict]}")
    lines += _part("What changed most", [c.sentence for c in summary.changes])
    lines += _part("What needs a decision", summary.decisions)
    if report.issue is not None:
        told = [f"{d.what}: {d.old} became {d.new}" + _why(d.reason) for d in report.issue.differences]
        lines += _part("Against the issue before", told)
    return "\n".join(printable(line) for line in lines) + "\n"


def _state(report: Report) -> str:
    if report.state == "to_date":
        return "to date"
    issue = f"issue {report.issue.number}, " if report.issue else ""
    return f"{issue}revision {report.revision}"


def _why(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _part(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  - {line}" for line in lines)] if lines else []


def notice(report: Report) -> bytes:
    """Return the webhook's JSON: the report without the lists that grow with services and entities."""
    slim = msgspec.structs.replace(report, csfs=[_slim(csf) for csf in report.csfs])
    return msgspec.json.encode({"event": "report.issued", "report": slim})


def _slim(csf: CsfReport) -> CsfReport:
    return msgspec.structs.replace(csf, kpis=[_without_lists(kpi) for kpi in csf.kpis])


def _without_lists(kpi: KpiReport) -> KpiReport:
    return msgspec.structs.replace(kpi, services=[], evidence=[])
