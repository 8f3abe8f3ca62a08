"""Write the golden pages and data files anew: ``python -m tests.report.golden.make``; look at what changed before committing it."""

from __future__ import annotations

from pathlib import Path

from reports.rendering import render
from tests.report import sample

HERE = Path(__file__).parent
REPORTS = {"rich": sample.report, "single-month": sample.single_month}
FORMS = ("html", "json", "md", "csv")


def golden(name: str, form: str) -> Path:
    """Return where a golden file lies."""
    return HERE / f"{name}.{form}"


if __name__ == "__main__":
    for name, make in REPORTS.items():
        for form in FORMS:
            golden(name, form).write_bytes(render(make(), form))
