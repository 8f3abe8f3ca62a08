"""CSF detail: every KPI of one CSF with its limits, as rolling windows, by month and by service."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import look, marks, queries, variables
from dashboards.boards import parts
from dashboards.model import TAG, Board, Field, Override, Panel, Templating, TimeRange
from dashboards.panels import (
    LIVE_SOURCE,
    Layout,
    influx,
    influx_series,
    newest_definition,
    stat,
    table,
    timeseries,
)
from dashboards.queries import always, known
from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx_lines import LIVE, STATUS

_KPI = parts.CHOSEN_KPI
_THIS_KPI = queries.tag_chosen("kpi", "kpi")
_THIS_SCOPE = queries.tag_chosen("scope", "scope")
_LAST_MONTHS = "time > now() - 400d"


def board(catalogue: Catalogue) -> Board:
    """Return the board; its row of panels is repeated for each KPI of the CSF chosen."""
    layout = Layout()
    this_csf = queries.tag_chosen("csf", "csf")
    status = [this_csf, _THIS_SCOPE, *queries.status_in_window()]
    tile = parts.status_tile(
        catalogue, "Now", LIVE_SOURCE, status, "Status and score of the window, while it is not older than that."
    )
    layout.add(tile, 6, 6)
    layout.add(_scores(catalogue, [this_csf]), 18, 6)
    layout.row("${kpi}", repeat="kpi")
    any_kpi = parts.of_any_kpi(catalogue)
    layout.add(_now(any_kpi), 5, 8)
    layout.add(_rolling(catalogue, any_kpi), 8, 8)
    by_month = parts.months_of(
        list(catalogue.kpis),
        "By month",
        [_THIS_KPI, _THIS_SCOPE, _LAST_MONTHS],
        parts.of_any_kpi(catalogue, coloured=True),
        "Whole months and the running one, coloured by the limits of the catalogue.",
    )
    layout.add(by_month, 5, 8)
    layout.add(_by_service(catalogue, any_kpi), 6, 8)
    return Board(
        uid=parts.CSF,
        title="CSF detail",
        description="Every KPI of one critical success factor.",
        tags=(TAG,),
        time=TimeRange(start="now-24h"),
        refresh="1m",
        panels=layout.finish(),
        templating=Templating(
            list=(
                variables.csf(catalogue),
                variables.scope(LIVE_SOURCE),
                variables.window("24h"),
                variables.kpis_of_csf(),
            )
        ),
        annotations=marks.of_scope("scope", this_csf),
        links=parts.BOARD_LINKS,
    )


def _scores(catalogue: Catalogue, where: Sequence[str]) -> Panel:
    """The score of the CSF over time, against the limits."""
    conditions = [*where, _THIS_SCOPE, queries.tag_chosen("period", "window"), queries.SHOWN]
    columns = [queries.score("Score"), queries.unknown()]
    return timeseries(
        "Score",
        [influx_series(LIVE_SOURCE, queries.newest(STATUS, columns, conditions, each="$__interval"))],
        fields=Field(
            unit="none",
            min=0,
            max=100,
            decimals=0,
            color=look.fixed(look.LINE),
            thresholds=look.score_thresholds(catalogue.organisation),
            custom={"thresholdsStyle": {"mode": "dashed"}},
        ),
        overrides=[look.UNKNOWN_BARS],
        description="100 is on target or better. Dashed: where it is at risk and aligned; grey bars: unknown.",
    )


def _now(any_kpi: Sequence[Override]) -> Panel:
    conditions = [_THIS_KPI, _THIS_SCOPE, *queries.in_window()]
    return stat(
        "Now",
        [influx(LIVE_SOURCE, queries.newest(LIVE, parts.kpi_columns(_KPI), conditions, ["definition"]))],
        parts.FIGURES,
        overrides=[*any_kpi, parts.STATUS_WORDS, parts.COVERAGE],
        description="The newest value of the window, while it is not older than that.",
        orientation="horizontal",
    )


def _rolling(catalogue: Catalogue, any_kpi: Sequence[Override]) -> Panel:
    """The rolling window over time with the target in force; where the value is unknown there is a grey bar, and no line."""
    conditions = [_THIS_KPI, _THIS_SCOPE, queries.tag_chosen("window", "window"), queries.SHOWN]
    columns = [parts.figure("value", _KPI), parts.figure("target", _KPI), queries.unknown()]
    query = queries.newest(LIVE, columns, conditions, ["definition"], each="$__interval")
    named = [
        look.override(look.by_name(f"value {k.id}"), display_name=k.name, thresholds=look.thresholds(k))
        for k in catalogue.kpis.values()
    ]
    return timeseries(
        "Rolling ${window}",
        [influx_series(LIVE_SOURCE, query)],
        fields=Field(color=look.fixed(look.LINE), custom={"thresholdsStyle": {"mode": "dashed"}}),
        overrides=[
            *any_kpi,
            *named,
            look.override(look.by_pattern("^target "), **look.TARGET_LINE),
            look.UNKNOWN_BARS,
        ],
        description="Dashed lines: where it turns amber and red by the catalogue. Grey: the target in force; grey bars: unknown.",
    )  # fmt: skip


def _by_service(catalogue: Catalogue, any_kpi: Sequence[Override]) -> Panel:
    columns = [
        parts.figure("value", _KPI),
        always("status", "Status"),
        parts.figure("target", _KPI),
        known("score", "Score"),
    ]
    names = ["Status", "Score", *(f"{field} {kpi}" for kpi in catalogue.kpis for field in ("value", "target"))]
    conditions = [_THIS_KPI, queries.IS_SERVICE, *queries.in_window()]
    query = queries.newest(LIVE, columns, conditions, ["scope", "definition"])
    return table(
        "By service, worst first",
        [influx(LIVE_SOURCE, query)],
        overrides=[
            *any_kpi,
            look.override(look.by_name("scope"), display_name="Service", mappings=look.scope_names(catalogue)),
            parts.STATUS_CELLS,
            look.override(look.by_name("Score"), decimals=0, mappings=[look.NULL_IS_UNKNOWN]),
        ],
        description="The newest value of every service; unknown scores come first.",
        sort="Score",
        transformations=newest_definition("scope", names),
    )
