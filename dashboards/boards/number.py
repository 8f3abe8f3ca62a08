"""How this number came about: from what services and days contributed to numerator, denominator and value."""

from __future__ import annotations

from msgspec.structs import replace

from dashboards import look, queries, variables
from dashboards.boards import parts
from dashboards.model import TAG, Board, Choice, Field, Override, Panel, QueryVariable, Templating, TimeRange
from dashboards.panels import HISTORY_SOURCE, Layout, influx, newest_definition, stat, table, text
from dashboards.queries import Column, always, known, percent
from pipeline.catalogue.model import Catalogue
from pipeline.catalogue.reference import formula
from pipeline.stores.influx_lines import PERIOD, REVISION, tag_value

_KPI = parts.CHOSEN_KPI
_THIS_KPI = queries.tag_chosen("kpi", "kpi")
_THIS_SCOPE = queries.tag_chosen("scope", "scope")
_MONTH = [queries.tag_is("period", "month"), _THIS_KPI, queries.AT_MONTH]
_READ = """\
A value is made of **sums that add up**, never of other values: no mean of means, no median of medians. Of ratios the numerators and
denominators of all services and days are added, then divided; where a KPI has no such parts (quantiles, distinct users), they
are unknown here and only the count says how much it rests on. *Coverage* is the share of the time in which its sources really delivered.
The events themselves are in Kafka and the archive; `csf kpis` prints the same numbers.
"""


def board(catalogue: Catalogue) -> Board:
    """Return the board."""
    layout = Layout()
    layout.add(_definition(catalogue), 24, 4)
    layout.add(text(_READ), 24, 3)
    layout.add(_month(catalogue), 24, 4)
    layout.add(_services(catalogue), 12, 12)
    layout.add(_days(catalogue), 12, 12)
    layout.add(_revisions(catalogue), 24, 6)
    return Board(
        uid=parts.NUMBER,
        title="How this number came about",
        description="One KPI of one month: what it means, its sums by service and by day, and what it was before.",
        tags=(TAG,),
        time=TimeRange(start="now-400d"),
        refresh="5m",
        panels=layout.finish(),
        templating=Templating(
            list=(variables.csf(catalogue), _one_kpi(), *variables.month(), variables.scope(HISTORY_SOURCE))
        ),
        links=parts.BOARD_LINKS,
    )


def _one_kpi() -> QueryVariable:
    return replace(variables.kpis_of_csf(), multi=False, include_all=False, current=Choice(text="", value=""))


def _sums(*more: Column) -> list[Column]:
    return [
        known("numerator", "Numerator"),
        known("denominator", "Denominator"),
        always("count", "Count"),
        parts.figure("value", _KPI),
        *more,
        percent(known("coverage", "Coverage")),
    ]


_SUM_OVERRIDES = [
    look.override(look.by_pattern("^(Numerator|Denominator)$"), mappings=[look.NULL_IS_UNKNOWN]),
    look.override(look.by_name("Count"), decimals=0),
    parts.COVERAGE,
]


def _overrides(catalogue: Catalogue) -> list[Override]:
    return [*parts.of_any_kpi(catalogue), *_SUM_OVERRIDES]


def _definition(catalogue: Catalogue) -> Panel:
    """The definition in words and as a formula; the KPI's id is in the data, what it stands for in the catalogue."""
    meanings = {
        tag_value(k.id): f"{k.name}: {k.definition} Formula: {formula(k.measure)}" for k in catalogue.kpis.values()
    }
    query = queries.points(PERIOD, [always("count", "Count")], [*_MONTH, _THIS_SCOPE], ["kpi"])
    return stat(
        "What it means",
        [influx(HISTORY_SOURCE, query)],
        ["kpi"],
        fields=Field(unit="none", no_value="unknown: nothing was measured of this KPI in this scope and month"),
        description="The KPI's definition and formula by the catalogue.",
        overrides=[look.override(look.by_name("kpi"), mappings=[look.words(meanings)])],
        text="value",
    )


def _month(catalogue: Catalogue) -> Panel:
    more = [
        always("status", "Status"),
        parts.figure("target", _KPI),
        always("state", "State"),
        always("revision", "Revision"),
    ]
    columns = _sums(*more)
    return stat(
        "The month",
        [influx(HISTORY_SOURCE, queries.points(PERIOD, columns, [*_MONTH, _THIS_SCOPE], ["definition"]))],
        [c.name.replace(_KPI, ".*") for c in columns],
        overrides=[
            *_overrides(catalogue),
            parts.STATUS_WORDS,
            look.override(look.by_name("State"), mappings=[look.PERIOD_STATES]),
            look.override(look.by_name("Revision"), decimals=0),
        ],
        description="The month's sums, the value they make, and how much of the time sources delivered.",
        orientation="vertical",
    )  # fmt: skip


def _services(catalogue: Catalogue) -> Panel:
    columns = _sums()
    names = [c.name.replace(_KPI, kpi) for c in columns for kpi in (catalogue.kpis if _KPI in c.name else [""])]
    query = queries.points(PERIOD, columns, [*_MONTH, queries.IS_SERVICE], ["scope", "definition"])
    return table(
        "What each service contributed",
        [influx(HISTORY_SOURCE, query)],
        fields=Field(no_value="unknown: no service has this KPI in this month"),
        description="The same of every service: what the organisation's figure is made of.",
        overrides=[
            *_overrides(catalogue),
            look.override(look.by_name("scope"), display_name="Service", mappings=look.scope_names(catalogue)),
        ],
        sort="Count",
        descending=True,
        transformations=newest_definition("scope", names),
    )


def _days(catalogue: Catalogue) -> Panel:
    where = [queries.tag_is("period", "day"), _THIS_KPI, _THIS_SCOPE, queries.IN_MONTH]
    return table(
        "Day by day",
        [influx(HISTORY_SOURCE, queries.points(PERIOD, _sums(), where, ["definition"]))],
        fields=Field(no_value="unknown: no day of this month has this KPI"),
        description="What each day of the month was made of.",
        overrides=[
            *_overrides(catalogue),
            look.override(look.TIME, display_name="Day begins (your time zone)"),
            look.override(look.by_name("definition"), display_name="Definition", mappings=[look.VERSION]),
        ],
    )


def _revisions(catalogue: Catalogue) -> Panel:
    columns = [parts.figure("value", _KPI), queries.replaced_by(f"replaced_by {_KPI}"), always("reason", "Reason")]
    query = queries.points(REVISION, columns, [*_MONTH, _THIS_SCOPE], ["revision"])
    return table(
        "What it was before",
        [influx(HISTORY_SOURCE, query)],
        fields=Field(no_value="This month was not restated."),
        description="What was told of the month before it was restated, and why it was.",
        overrides=[
            *_overrides(catalogue),
            look.override(look.TIME, custom_hidden=True),
            look.override(look.by_name("revision"), display_name="Revision"),
        ],
    )
