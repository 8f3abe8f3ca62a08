"""Monthly operating view: one month, chosen from the data, as managers read it."""

from __future__ import annotations

from dashboards import look, queries, variables
from dashboards.boards import parts
from dashboards.model import TAG, Board, Field, Panel, Templating, TimeRange
from dashboards.panels import HISTORY_SOURCE, Layout, influx, stat, table
from dashboards.queries import always
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.stores.influx_lines import PERIOD, STATUS, TEXT
from pipeline.values import SUMMARY

_THIS_MONTH = [queries.tag_is("period", "month"), queries.tag_chosen("scope", "scope"), queries.AT_MONTH]
_TREND = (
    "The month chosen and the twelve before it, coloured by the limits of the catalogue; an unknown month has no bar."
)
_SAID = ("verdict", "insight", "concerns", "suggestions")


def board(catalogue: Catalogue) -> Board:
    """Return the board."""
    layout = Layout()
    layout.add(_statuses(catalogue), 8, 10)
    layout.add(_report(catalogue), 16, 10)
    for csf in catalogue.csfs.values():
        layout.row(csf.name)
        for kpi in parts.kpis_of(catalogue, csf.id):
            if kpi.breakdown_of is None:
                layout.add(_figures(kpi), 15, 4)
                layout.add(_trend(kpi), 9, 4)
    return Board(
        uid=parts.MONTH,
        title="Monthly operating view",
        description="One month: value, previous, target, state and thirteen months of every KPI, and what the report says.",
        tags=(TAG,),
        time=TimeRange(start="now-400d"),
        refresh="5m",
        panels=layout.finish(),
        templating=Templating(list=(*variables.month()[:2], variables.scope(HISTORY_SOURCE))),
        links=parts.BOARD_LINKS,
    )


def _statuses(catalogue: Catalogue) -> Panel:
    columns = [always("status", "Status"), queries.score("Score")]
    return table(
        "CSFs in ${month}",
        [influx(HISTORY_SOURCE, queries.points(STATUS, columns, _THIS_MONTH, ["csf"]))],
        fields=Field(unit="none", no_value="unknown: nothing was measured in this scope and month"),
        description="Status and score of each CSF in the month chosen.",
        overrides=[
            look.override(look.TIME, custom_hidden=True),
            look.override(look.by_name("csf"), display_name="CSF", mappings=[look.csf_names(catalogue)]),
            parts.STATUS_CELLS,
            look.override(look.by_name("Score"), decimals=0, mappings=[look.NULL_IS_UNKNOWN], custom_width=90),
        ],
    )


def _report(catalogue: Catalogue) -> Panel:
    """What the issued report says of the month: of all CSFs together, then of each."""
    columns = [always(field, field.capitalize()) for field in _SAID]
    names = look.words({SUMMARY: "All together"})
    return table(
        "What the report says of ${month}",
        [influx(HISTORY_SOURCE, queries.points(TEXT, columns, _THIS_MONTH, ["csf"]))],
        fields=Field(unit="none", no_value="unknown: no report was issued for this scope and month"),
        description="Verdict, insight, concerns and suggestions of the newest issue of the report.",
        overrides=[
            look.override(look.TIME, custom_hidden=True),
            look.override(look.by_name("csf"), display_name="CSF", mappings=[look.csf_names(catalogue), names], custom_width=160),
            look.override(look.by_pattern("^(Concerns|Suggestions)$"), mappings=look.LINES),
            look.override(look.by_name("Verdict"), mappings=[look.STATES], custom_width=90, **look.COLOURED_WORDS),
        ],
    )  # fmt: skip


def _figures(kpi: Kpi) -> Panel:
    columns = parts.kpi_columns(kpi.id, parts.figure("previous", kpi.id), always("state", "State"))
    query = queries.points(PERIOD, columns, [queries.tag_is("kpi", kpi.id), *_THIS_MONTH], ["definition"])
    return stat(
        kpi.name,
        [influx(HISTORY_SOURCE, query)],
        [*parts.FIGURES, "previous .*", "State"],
        overrides=[
            parts.units(kpi),
            *parts.NAMES,
            parts.STATUS_WORDS,
            parts.COVERAGE,
            look.override(look.by_name("State"), mappings=[look.PERIOD_STATES]),
        ],
        description=kpi.definition,
        orientation="vertical",
    )


def _trend(kpi: Kpi) -> Panel:
    where = [queries.tag_is("kpi", kpi.id), queries.tag_chosen("scope", "scope"), queries.MONTHS_TO]
    limits = look.override(look.by_name(f"value {kpi.id}"), display_name=kpi.name, **look.coloured(kpi))
    return parts.months_of([kpi.id], f"{kpi.name}: thirteen months", where, [parts.units(kpi), limits], _TREND)
