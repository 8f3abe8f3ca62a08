"""What several boards show in the same way: a CSF's tile, a KPI's figures, links between boards."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from dashboards import look, queries
from dashboards.model import TAG, DashboardLink, DataSource, Field, Link, Override, Panel
from dashboards.panels import HISTORY_SOURCE, barchart, influx, newest_definition, stat
from dashboards.queries import Column, always, known, percent
from pipeline.catalogue.model import Catalogue, Csf, Kpi
from pipeline.evaluate.words import is_offered
from pipeline.stores.influx_lines import PERIOD, STATUS, tag_value

#: uids never change: links, pushed boards and bookmarks hang on them
WALL, CSF, SERVICE, MONTH, NUMBER, ALERTS, HEALTH = (
    "csf-noc-wall",
    "csf-detail",
    "csf-service",
    "csf-month",
    "csf-number",
    "csf-alerts",
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


def figure(field: str, kpi: str) -> Column:
    """Return the column of a number in a KPI's unit, named so that overrides know whose unit that is: ``value mttr``.

    Grafana fills in variables in queries, not in the names that overrides and transformations go by.
    """
    return known(field, f"{field} {kpi}")


def kpi_columns(kpi: str, *more: Column) -> list[Column]:
    """Return the columns of a KPI's figures; see ``figure``."""
    return [
        figure("value", kpi),
        always("status", "Status"),
        figure("target", kpi),
        *more,
        percent(known("coverage", "Coverage")),
    ]


#: the id of the KPI chosen, as a column's name
CHOSEN_KPI = "${kpi:raw}"


COVERAGE = look.override(look.by_name("Coverage"), unit="percent", decimals=1, color=look.FIXED_TEXT)
STATUS_CELLS = look.override(look.by_name("Status"), mappings=[look.STATES], custom_width=110, **look.COLOURED_WORDS)
STATUS_WORDS = look.override(look.by_name("Status"), mappings=[look.STATES, look.NULL_IS_UNKNOWN])


NO_TARGET = {"type": "special", "options": {"match": "null", "result": {"text": "none"}}}


def units(kpi: Kpi) -> Override:
    """Return the override that gives all figures of a KPI their unit and decimals."""
    return look.override(look.by_pattern(f"^[a-z_]+ {kpi.id}$"), unit=look.unit(kpi), decimals=kpi.decimals)


#: what figures of any KPI are called, and what is said where there is none
NAMES = (
    look.override(look.by_pattern("^value "), display_name="Value", mappings=[look.NULL_IS_UNKNOWN]),
    look.override(look.by_pattern("^target "), display_name="Target", mappings=[NO_TARGET]),
    look.override(look.by_pattern("^previous "), display_name="Previous", mappings=[look.NULL_IS_UNKNOWN]),
    look.override(look.by_pattern("^replaced_by "), display_name="Replaced by", mappings=[look.NULL_IS_UNKNOWN]),
)


def of_any_kpi(catalogue: Catalogue, *, coloured: bool = False) -> list[Override]:
    """Return the overrides for a panel whose KPI is chosen by a variable: units of all, their limits where coloured."""
    found = [units(kpi) for kpi in catalogue.kpis.values()]
    if coloured:
        limited = [kpi for kpi in catalogue.kpis.values() if kpi.thresholds is not None]
        found += [look.override(look.by_name(f"value {kpi.id}"), **look.coloured(kpi)) for kpi in limited]
    return [*found, *NAMES]


COUNT_IN_TOOLTIP = look.override(
    look.by_name("Count"), decimals=0, unit="none", custom_hideFrom={"viz": True, "legend": True, "tooltip": False}
)
#: patterns of the columns of ``kpi_columns``
FIGURES = ("value .*", "Status", "target .*", "Coverage")


def kpi_figures(kpi: Kpi, source: DataSource, measurement: str, where: Sequence[str]) -> Panel:
    """Return a KPI's newest value, status, target and coverage side by side."""
    conditions = [queries.tag_is("kpi", kpi.id), *where]
    return stat(
        kpi.name,
        [influx(source, queries.newest(measurement, kpi_columns(kpi.id), conditions, ["definition"]))],
        FIGURES,
        overrides=[
            units(kpi),
            *NAMES,
            look.override(look.by_name(f"value {kpi.id}"), display_name=kpi.name),  # panel titles are small on a wall
            STATUS_WORDS,
            COVERAGE,
        ],
        description=kpi.definition,
        orientation="vertical",
    )


def months_of(
    kpis: Sequence[str], title: str, where: Sequence[str], overrides: Sequence[Override], description: str = ""
) -> Panel:
    """Return months of a KPI as bars, coloured by its limits; a month that is unknown has none.

    ``kpis`` is the KPI alone, or all of them, of which the variable ``kpi`` chooses one.
    """
    column = figure("value", kpis[0] if len(kpis) == 1 else CHOSEN_KPI)
    conditions = [queries.tag_is("period", "month"), *where]
    # the count is no bar, it stands in the tooltip; without any number, months that are all unknown would be an error
    columns = [always("month", "Month"), column, always("count", "Count")]
    query = queries.points(PERIOD, columns, conditions, ["definition"])
    return barchart(
        title,
        [influx(HISTORY_SOURCE, query)],
        "Month",
        overrides=[*overrides, COUNT_IN_TOOLTIP],
        description=description,
        transformations=newest_definition("Month", ["Count", *(f"value {kpi}" for kpi in kpis)]),
    )


def csf_tile(catalogue: Catalogue, csf: Csf, source: DataSource, where: Sequence[str], url: str) -> Panel:
    """Return a CSF's newest status as a word on its colour, and its score."""
    link = Link(title=f"{csf.name} in detail", url=url)
    conditions = [queries.tag_is("csf", csf.id), *where]
    return status_tile(catalogue, csf.name, source, conditions, csf.statement, link, name=csf.name)


def status_tile(
    catalogue: Catalogue, title: str, source: DataSource, where: Sequence[str], description: str = "",
    link: Link | None = None, *, name: str = "",
) -> Panel:  # fmt: skip
    """Return the newest status that meets conditions as a word on its colour, and its score.

    ``name`` stands beside the word as large as the panel allows: panel titles are too small to be read from afar.
    """
    columns = [always("status", "Status"), queries.score("Score")]
    return stat(
        title,
        [influx(source, queries.newest(STATUS, columns, where))],
        ["Status", "Score"],
        fields=Field(links=(link,) if link else UNSET),
        overrides=[
            STATUS_WORDS,
            *([look.override(look.by_name("Status"), display_name=name)] if name else []),
            look.override(
                look.by_name("Score"),
                unit="none",
                decimals=0,
                min=0,
                max=100,
                color=look.BY_THRESHOLDS,
                thresholds=look.score_thresholds(catalogue.organisation),
                mappings=[look.NULL_IS_UNKNOWN],
            ),
        ],
        description=description,
        colour="background",
        orientation="vertical",
    )


def detail_url(csf: str, *, scope: str = "${scope:queryparam}", window: str = "${window:queryparam}") -> str:
    """Return the address of the CSF board of a CSF, with scope and window as chosen here."""
    return f"/d/{CSF}?var-csf={tag_value(csf)}&{scope}&{window}"
