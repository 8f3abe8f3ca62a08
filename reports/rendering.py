"""A report in the form that is asked for; what renders a form is imported only when it is."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass

from pipeline.report.model import Report
from reports.issues import encode


@dataclass(frozen=True)
class Format:
    """A form of a report.

    Attributes:
        name: as people say it; also the ending of a file's name.
        media_type: for mail and HTTP.
        module: has ``render(report)``, which returns text or bytes; empty: the data file's own form.
        on_screen: whether it is printed where no file is named.
    """

    name: str
    media_type: str
    module: str
    on_screen: bool


FORMATS = {
    f.name: f
    for f in (
        Format("html", "text/html", "reports.html", on_screen=False),
        Format("pdf", "application/pdf", "reports.pdf", on_screen=False),
        Format("md", "text/markdown", "reports.markdown", on_screen=True),
        Format("json", "application/json", "", on_screen=True),
        Format("csv", "text/csv", "reports.tables", on_screen=True),
    )
}


def render(report: Report, name: str) -> bytes:
    """Return a report in a form of ``FORMATS``; the same report gives the same bytes."""
    module = FORMATS[name].module
    if not module:
        return encode(report)
    made: str | bytes = importlib.import_module(module).render(report)
    return made.encode() if isinstance(made, str) else made


def file_name(report: Report, name: str) -> str:
    """Return a name for a report's file: ``report-2026-10-org.html``, with the number of its issue where it has one."""
    scope = re.sub(r"[^A-Za-z0-9._-]+", "-", report.scope).strip("-.") or "scope"
    issue = f"-issue-{report.issue.number}" if report.issue else ""
    return f"report-{report.month}-{scope}{issue}.{name}"
