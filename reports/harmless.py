"""Texts of a report without what a reader's program obeys."""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.plain import printable
from pipeline.report.model import Report

#: characters of a name; the data file has all of them
LONGEST = 120
_NAMES = frozenset({
    "name", "scope", "scope_name", "organisation", "kpi_name", "service", "number", "title", "owner", "author", "unit", "by",
})  # fmt: skip
#: what becomes a heading, which must say something
_HEADINGS = frozenset({"name", "scope_name", "organisation", "title"})


def harmless(report: Report) -> Report:
    """Return a report whose texts hold nothing a reader's program obeys, and whose names end after ``LONGEST`` characters."""

    def mended(value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            text = printable(value, keep="\n" if name == "text" else "")
            if name in _HEADINGS and not text.strip():
                return "no name"
            return text if len(text) <= LONGEST or name not in _NAMES else text[: LONGEST - 1] + "\u2026"
        if isinstance(value, list):
            return [mended(item, name) for item in value]
        if isinstance(value, dict):
            return {printable(key): mended(item, key) for key, item in value.items()}
        return value

    return msgspec.convert(mended(msgspec.to_builtins(report)), Report)
