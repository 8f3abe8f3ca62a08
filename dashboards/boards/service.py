"""Service: all CSFs of one service."""

from __future__ import annotations

from dashboards import look, marks, queries, variables
from dashboards.boards import parts
from dashboards.model import TAG, Board, Field, Panel, Templating, TimeRange
from dashboards.panels import LIVE_SOURCE, Layout, influx_series, timeseries
from pipeline.catalogue.model import Catalogue
from pipeline.stores.influx_lines import LIVE, STATUS

_THIS_SERVICE = queries.tag_chosen("scope", "service")


def board(catalogue: Catalogue) -> Board:
    """Return the board."""
    layout = Layout()
    for csf in catalogue.csfs.values():
        url = parts.detail_url(csf.id, scope="var-scope=${service:percentencode}")
        where = [_THIS_SERVICE, *queries.status_in_window()]
        layout.add(parts.csf_tile(catalogue, csf, LIVE_SOURCE, where, url), 6, 4)
    layout.end_line()
    layout.add(_scores(catalogue), 24, 8)
    for csf in catalogue.csfs.values():
        layout.folded_row(csf.name)
        for kpi in parts.kpis_of(catalogue, csf.id):
            layout.add(parts.kpi_figures(kpi, LIVE_SOURCE, LIVE, [_THIS_SERVICE, *queries.in_window()]), 6, 3)
    return Board(
        uid=parts.SERVICE,
        title="Service",
        description="All critical success factors of one service.",
        tags=(TAG,),
        time=TimeRange(start="now-7d"),
        refresh="1m",
        panels=layout.finish(),
        templating=Templating(list=(variables.service(), variables.window("24h"))),
        annotations=marks.of_scope("service"),
        links=parts.BOARD_LINKS,
    )


def _scores(catalogue: Catalogue) -> Panel:
    """The scores of all CSFs over time."""
    conditions = [_THIS_SERVICE, queries.tag_chosen("period", "window"), queries.SHOWN]
    query = queries.newest(STATUS, [queries.score("Score")], conditions, ["csf"], each="$__interval")
    colours = zip(catalogue.csfs.values(), look.SERIES, strict=False)
    return timeseries(
        "Scores",
        [influx_series(LIVE_SOURCE, query, "$tag_csf")],
        fields=Field(
            unit="none", min=0, max=100, decimals=0, no_value="unknown: no CSF of this service has a known score here"
        ),
        overrides=[
            look.override(look.by_name(csf.id), display_name=csf.name, color=look.fixed(colour))
            for csf, colour in colours
        ],
        description="100 is on target or better. A CSF whose score is unknown has no line there.",
    )
