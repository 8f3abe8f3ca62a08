"""The report as one HTML file: no script, no network, nothing beside it.

Under a policy that forbids inline styles (the console's) the same page takes its style sheet by address:
``Links(css=...)`` names it, ``stylesheet`` is what stands there. There are no ``style`` attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from pipeline.report.model import Report
from reports.compose import compose


@dataclass(frozen=True)
class Links:
    """Where the page's links lead; without any it stands alone.

    Attributes:
        css: address of the style sheet; None: it stands in the page.
        formats: addresses of the other forms and of other months, by what they are called.
        kpi: from a KPI's id to the address where its values are looked into.
        open_sip: from a KPI's id to the address where an improvement programme for it can be opened.
    """

    css: str | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    kpi: Callable[[str], str] | None = None
    open_sip: Callable[[str], str] | None = None


def render(report: Report, links: Links | None = None) -> str:
    """Return the page; same report and links, same text."""
    view = compose(report)
    known = {kpi.id for csf in view.csfs for kpi in csf.kpis}
    known |= {kpi.id for csf in view.csfs for silence in csf.silent for kpi in silence.kpis}
    behind = {provenance.kpi for provenance in view.provenance}
    return _template().render(view=view, links=links or Links(), known=known, behind=behind, css=stylesheet())


@cache
def stylesheet() -> str:
    """Return the page's style sheet."""
    here = resources.files(__package__)
    return "".join(here.joinpath(name).read_text(encoding="utf-8") for name in ("chart.css", "report.css"))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("reports", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    return environment.get_template("report.html.j2")
