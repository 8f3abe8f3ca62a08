"""The report as PDF: typeset by Typst from the same words and charts as the page.

Tagged, made to PDF/UA-1 (accessible) and PDF/A-2a (lasting), with bookmarks, running heads and page numbers. Only the fonts that come with the compiler
are used and the time of making is the report's own, so the same report gives the same bytes anywhere.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import typst

from pipeline.errors import CsfError
from pipeline.report.model import Report
from reports.compose import compose
from reports.glyphs import drawable

#: a run without a place to break a line at, longer than a narrow column bears
_UNBROKEN = re.compile(r"[^\s\u200b]{24,}")
#: what the template uses as a key or as SVG, never as text
_NOT_TEXT = frozenset({"svg", "kpi", "id", "tone", "arrow"})


class TypesettingError(CsfError):
    """The report could not be typeset."""


def render(report: Report) -> bytes:
    """Return the PDF; same report, same bytes.

    Raises:
        TypesettingError: the compiler refused the document; the sentence holds its reason.
    """
    view = _printed(msgspec.to_builtins(compose(report, standalone=True)))
    made = report.issue.at if report.issue is not None else report.end
    try:
        pdf = typst.compile(
            _template(),
            format="pdf",
            font_paths=_fonts(),
            sys_inputs={"view": msgspec.json.encode(view).decode()},
            pdf_standards=["ua-1", "a-2a"],
            timestamp=int(datetime.fromisoformat(made).timestamp()),
        )
    except typst.TypstError as error:
        raise TypesettingError(
            f"the report {report.month} of {report.scope} could not be typeset as PDF: {error}"
        ) from error
    assert isinstance(pdf, bytes)
    return pdf


def _printed(value: Any, name: str = "") -> Any:
    """Return texts with characters that a font has, and with places where an endless word may break."""
    if isinstance(value, str):
        if name in _NOT_TEXT:
            return value
        return _UNBROKEN.sub(
            lambda run: "\u200b".join(run[0][at : at + 8] for at in range(0, len(run[0]), 8)), drawable(value)
        )
    if isinstance(value, list | tuple):
        return [_printed(item, name) for item in value]
    if isinstance(value, dict):
        return {key: _printed(item, key) for key, item in value.items()}
    return value


@cache
def _template() -> bytes:
    return resources.files(__package__).joinpath("report.typ").read_bytes()


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
