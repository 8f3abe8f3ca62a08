"""NOC wall: is anything off, where, and is what we see fresh. To be read from five metres, in kiosk mode."""

from __future__ import annotations

from dashboards import look, queries, variables
from dashboards.boards import alerts, parts
from dashboards.model import TAG, Board, Field, InfluxTarget, Panel, Templating, TimeRange
from dashboards.panels import HISTORY_SOURCE, LIVE_SOURCE, Layout, influx, stat, table, worst
from dashboards.queries import Column, always
from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx_lines import LIVE, STATUS

#: KPIs below each CSF's tile
_MAIN = 2
_WINDOW = "1h"
#: services shown large
_WORST = 4
_NO_SCORE = "unknown: no service has a known score in this window"


def board(catalogue: Catalogue) -> Board:
    """Return the board."""
    layout = Layout()
    csfs = list(catalogue.csfs.values())
    for four in (csfs[i : i + 4] for i in range(0, len(csfs), 4)):
        for csf in four:
            where = [queries.tag_chosen("scope", "scope"), *queries.status_in_window()]
            layout.add(parts.csf_tile(catalogue, csf, LIVE_SOURCE, where, parts.detail_url(csf.id)), 6, 4)
        layout.end_line()
        main = [parts.main_kpis(catalogue, csf.id, _WINDOW, _MAIN) for csf in four]
        for line in range(_MAIN):
            for kpis in main:
                if line < len(kpis):
                    where = [queries.tag_chosen("scope", "scope"), *queries.in_window()]
                    layout.add(parts.kpi_figures(kpis[line], LIVE_SOURCE, LIVE, where), 6, 3)
                else:
                    layout.skip(6)
            layout.end_line()
    layout.add(_worst(catalogue), 12, 5)
    layout.add(alerts.counts("Open alerts", []), 8, 5)
    layout.add(_freshness(), 4, 5)
    layout.add(_services(catalogue), 12, 9)
    layout.add(alerts.open_alerts(catalogue, []), 12, 9)
    return Board(
        uid=parts.WALL,
        title="NOC wall",
        description="Which CSF is off, for which service, and how fresh what is shown is.",
        tags=(TAG,),
        time=TimeRange(start="now-6h"),
        refresh="30s",
        panels=layout.finish(),
        templating=Templating(list=(variables.window(_WINDOW), variables.scope(LIVE_SOURCE))),
        links=parts.BOARD_LINKS,
    )


def _scores(*more: Column) -> InfluxTarget:
    """Every service and CSF whose score is known."""
    where, tags = [queries.IS_SERVICE, *queries.status_in_window()], ["scope", "csf"]
    columns = [queries.score("Score"), *more]
    query = queries.newest(STATUS, columns, where, tags)
    return influx(LIVE_SOURCE, queries.only_known(query, "Score", [c.name for c in columns], tags))


def _worst(catalogue: Catalogue) -> Panel:
    """The worst few of them, to be read from afar."""
    return worst(
        "Worst services",
        _scores(),
        "Score",
        _WORST,
        fields=Field(
            unit="none",
            decimals=0,
            min=0,
            max=100,
            color=look.BY_THRESHOLDS,
            thresholds=look.score_thresholds(catalogue.organisation),
            no_value=_NO_SCORE,
        ),
        overrides=[
            look.override(look.by_name("scope"), mappings=look.scope_names(catalogue)),
            look.override(look.by_name("csf"), mappings=[look.csf_names(catalogue)]),
        ],
        description=f"The {_WORST} lowest known scores of a CSF of a service, 100 is on target or better.",
    )


def _services(catalogue: Catalogue) -> Panel:
    """All of them, worst first."""
    return table(
        "Services, worst first",
        [_scores(always("status", "Status"))],
        fields=Field(unit="none", no_value=_NO_SCORE),
        overrides=[
            look.override(look.TIME, custom_hidden=True),
            look.override(look.by_name("scope"), display_name="Service", mappings=look.scope_names(catalogue)),
            look.override(look.by_name("csf"), display_name="CSF", mappings=[look.csf_names(catalogue)]),
            parts.STATUS_CELLS,
            look.override(look.by_name("Score"), decimals=0, custom_width=90),
        ],
        description="Every known score of a CSF of a service, 100 is on target or better.",
        sort="Score",
    )


def _freshness() -> Panel:
    """How long ago the newest event arrived that the values shown rest on."""
    return stat(
        "Newest event heard of",
        [influx(HISTORY_SOURCE, queries.newest_arrival("Newest"))],
        ["Newest"],
        fields=Field(unit="dateTimeFromNow"),
        description="When the newest event arrived, of all that was folded. Older than a few minutes: see Pipeline health.",
        text="value",
    )
