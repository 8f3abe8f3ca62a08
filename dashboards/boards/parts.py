"""What several boards show in the same way: a CSF's tile, a KPI's figures, links between boards."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from dashboards import look, queries
from dashboards.model import DashboardLink, DataSource, Field, Link, Override, Panel
from dashboards.panels import influx, stat
from dashboards.queries import Column, always, known, percent
from pipeline.catalogue.model import Catalogue, Csf, Kpi
from pipeline.evaluate.words import is_offered
from pipeline.stores.influx_lines import STATUS, tag_value

TAG = "csf-pulse"
#: uids never change: links, pushed boards and bookmarks hang on them
WALL, CSF, SERVICE, MONTH, NUMBER, HEALTH = (
    "csf-noc-wall",
    "csf-detail",
    "csf-service",
    "csf-month",
    "csf-number",
    "csf-pipeline",
)

BOARD_LINKS = (DashboardLink(tags=(TAG,), title="csf-pulse boards"),)


def kpis_of(catalogue: Catalogue, csf: str) -> list[Kpi]:
    """Return the KPIs of a CSF in the catalogue's order."""
    return [kpi for kpi in catalogue.kpis.values() if kpi.csf == csf]


def main_kpis(catalogue: Catalogue, csf: str, period: str, number: int) -> list[Kpi]:
    """Return the KPIs of a CSF that weigh most among those offered for a period, in the catalogue's order."""
    offered = [k for k in kpis_of(catalogue, csf) if k.weight > 0 and is_offered(k, period)]
    heaviest = sorted(offered, key=lambda kpi: -kpi.weight)[:number]
    return [kpi for kpi in offered if kpi in heaviest]


def kpi_columns(kpi: str) -> list[Column]:
    """Return the columns of a KPI's figures; the value is called by the KPI's id, so that overrides know its unit."""
    return [
        known("value", kpi),
        always("status", "Status"),
        known("target", f"{kpi} target"),
        percent(known("coverage", "Coverage")),
    ]


COVERAGE = look.override(look.by_name("Coverage"), unit="percent", decimals=1, color=look.FIXED_TEXT)
STATUS_WORDS = look.override(look.by_name("Status"), mappings=[look.STATES, look.NULL_IS_UNKNOWN])


def units(kpi: Kpi, value_name: str = "Value") -> Override:
    """Return the override that gives a KPI's value and target their unit and decimals, and the value its name."""
    return look.override(look.by_pattern(f"^{kpi.id}( |$)"), unit=look.unit(kpi), decimals=kpi.decimals)


def named(kpi: Kpi, value: str, target: str = "Target") -> list[Override]:
    """Return the overrides that name a KPI's value and target."""
    return [
        look.override(look.by_name(kpi.id), display_name=value, mappings=[look.NULL_IS_UNKNOWN]),
        look.override(look.by_name(f"{kpi.id} target"), display_name=target, mappings=[NO_TARGET]),
    ]


NO_TARGET = {"type": "special", "options": {"match": "null", "result": {"text": "none"}}}


def kpi_figures(kpi: Kpi, source: DataSource, measurement: str, where: Sequence[str], url: str = "") -> Panel:
    """Return a KPI's newest value, status, target and coverage side by side."""
    query = queries.newest(
        measurement, kpi_columns(kpi.id), [queries.tag_is("kpi", kpi.id), *where], ["definition"]
    )  # fmt: skip
    return stat(
        kpi.name,
        [influx(source, query)],
        [kpi.id, "Status", f"{kpi.id} target", "Coverage"],
        fields=Field(links=(Link(title="How this number came about", url=url),) if url else UNSET),
        overrides=[units(kpi), *named(kpi, "Value"), STATUS_WORDS, COVERAGE],
        description=kpi.definition,
        orientation="vertical",
    )


def csf_tile(catalogue: Catalogue, csf: Csf, source: DataSource, where: Sequence[str], url: str) -> Panel:
    """Return a CSF's newest status as a word on its colour, and its score."""
    columns = [always("status", "Status"), queries.score("Score")]
    query = queries.newest(STATUS, columns, [queries.tag_is("csf", csf.id), *where])
    return stat(
        csf.name,
        [influx(source, query)],
        ["Status", "Score"],
        fields=Field(links=(Link(title=f"{csf.name} in detail", url=url),)),
        overrides=[
            STATUS_WORDS,
            look.override(
                look.by_name("Score"),
                decimals=0,
                min=0,
                max=100,
                color=look.BY_THRESHOLDS,
                thresholds=look.score_thresholds(catalogue.organisation),
                mappings=[look.NULL_IS_UNKNOWN],
            ),
        ],
        description=csf.statement,
        colour="background",
        orientation="vertical",
    )


def detail_url(csf: str, *, scope: str = "${scope:queryparam}", window: str = "${window:queryparam}") -> str:
    """Return the address of the CSF board of a CSF, with scope and window as chosen here."""
    return f"/d/{CSF}?var-csf={tag_value(csf)}&{scope}&{window}"
