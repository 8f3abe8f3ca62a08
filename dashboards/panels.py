"""The panels that boards are put together from, and the grid they are laid out on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from dashboards.model import (
    COLUMNS,
    DataSource,
    Field,
    FieldConfig,
    GridPos,
    InfluxTarget,
    Link,
    Override,
    Panel,
    PrometheusTarget,
    Row,
    Transformation,
)

LIVE_SOURCE = DataSource(type="influxdb", uid="csf-live")
HISTORY_SOURCE = DataSource(type="influxdb", uid="csf-history")
PROMETHEUS_SOURCE = DataSource(type="prometheus", uid="csf-prometheus")

Target = InfluxTarget | PrometheusTarget
_NOWHERE = GridPos(h=1, w=1, x=0, y=0)
_REF_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def influx(source: DataSource, query: str) -> InfluxTarget:
    """Return a query that answers with a table."""
    return InfluxTarget(datasource=source, ref_id="A", query=query)


def influx_series(source: DataSource, query: str, alias: str = "$col") -> InfluxTarget:
    """Return a query that answers with time series, by default one a column, called as that."""
    return InfluxTarget(datasource=source, ref_id="A", query=query, result_format="time_series", alias=alias)


def promql(expr: str, legend: str = "__auto", *, instant: bool = False) -> PrometheusTarget:
    """Return a PromQL query."""
    return PrometheusTarget(
        datasource=PROMETHEUS_SOURCE, ref_id="A", expr=expr, legend_format=legend, instant=instant, range=not instant
    )


def _panel(
    kind: Literal["stat", "table", "timeseries", "barchart", "state-timeline"],
    title: str,
    targets: Sequence[Target],
    options: dict[str, Any],
    fields: Field,
    overrides: Sequence[Override],
    description: str,
    transformations: Sequence[Transformation] = (),
    links: Sequence[Link] = (),
) -> Panel:
    named = tuple(replace(target, ref_id=_REF_IDS[i]) for i, target in enumerate(targets))
    return Panel(
        id=0,
        type=kind,
        title=title,
        grid_pos=_NOWHERE,
        options=options,
        description=description,
        datasource=named[0].datasource,
        targets=named,
        field_config=FieldConfig(defaults=fields, overrides=tuple(overrides)),
        transformations=tuple(transformations) or UNSET,
        links=tuple(links) or UNSET,
    )


def _names(columns: Sequence[str]) -> str:
    """Return the pattern of exactly these columns, for none the empty one, by which Grafana takes all numbers.

    Names are ids and words of ours: there is nothing in them to escape.
    """
    return "" if not columns else f"/^({'|'.join(columns)})$/"


def stat(
    title: str,
    targets: Sequence[Target],
    shown: Sequence[str],
    *,
    fields: Field | None = None,
    overrides: Sequence[Override] = (),
    description: str = "",
    colour: Literal["value", "background", "none"] = "value",
    text: Literal["auto", "value", "value_and_name"] = "value_and_name",
    orientation: Literal["auto", "horizontal", "vertical"] = "auto",
    graph: bool = False,
) -> Panel:
    """Return big values: the last row of each column named in ``shown``.

    Rows come ordered by the tag ``definition``, so that the last one is that of the newest definition.
    """
    options = {
        "reduceOptions": {"values": False, "calcs": ["last"], "fields": _names(shown)},
        "orientation": orientation,
        "textMode": text,
        "colorMode": colour,
        "graphMode": "area" if graph else "none",
        "justifyMode": "auto",
    }
    return _panel("stat", title, targets, options, fields or Field(), overrides, description)


def table(
    title: str,
    targets: Sequence[Target],
    *,
    fields: Field | None = None,
    overrides: Sequence[Override] = (),
    description: str = "",
    sort: str = "",
    descending: bool = False,
    transformations: Sequence[Transformation] = (),
) -> Panel:
    """Return a table, sorted by the column shown as ``sort``.

    How a cell looks is said twice: by ``displayMode``, which schema version 37 knows, and ``cellOptions``, which 9.4 reads.
    """
    base = fields or Field()
    custom = {
        "align": "auto",
        "displayMode": "auto",
        "cellOptions": {"type": "auto"},
        "filterable": False,
        "inspect": False,
        **base.custom,
    }
    options = {
        "showHeader": True,
        "footer": {"show": False, "reducer": ["sum"], "fields": "", "countRows": False},
        "sortBy": [{"displayName": sort, "desc": descending}] if sort else [],
    }
    return _panel(
        "table", title, targets, options, replace(base, custom=custom), overrides, description, transformations
    )


#: how a line is drawn unless an override says otherwise
_TRACE: dict[str, Any] = {
    "axisPlacement": "auto",
    "drawStyle": "line",
    "lineInterpolation": "linear",
    "lineWidth": 2,
    "fillOpacity": 0,
    "gradientMode": "none",
    "showPoints": "auto",
    "pointSize": 5,
    "spanNulls": False,
    "scaleDistribution": {"type": "linear"},
    "stacking": {"mode": "none", "group": "A"},
    "thresholdsStyle": {"mode": "off"},
    "hideFrom": {"tooltip": False, "viz": False, "legend": False},
}


def timeseries(
    title: str,
    targets: Sequence[Target],
    *,
    fields: Field | None = None,
    overrides: Sequence[Override] = (),
    description: str = "",
    legend: bool = True,
) -> Panel:
    """Return lines over time; null is a gap."""
    base = fields or Field()
    options = {
        "legend": {"showLegend": legend, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    custom = {**_TRACE, **base.custom}
    return _panel("timeseries", title, targets, options, replace(base, custom=custom), overrides, description)


def timeline(
    title: str,
    targets: Sequence[Target],
    *,
    fields: Field,
    overrides: Sequence[Override] = (),
    description: str = "",
) -> Panel:
    """Return a lane a series, in which what was the case over time is drawn; null is nothing."""
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"lineWidth": 0, "fillOpacity": 80, "spanNulls": False, **fields.custom}
    return _panel("state-timeline", title, targets, options, replace(fields, custom=custom), overrides, description)


def worst(
    title: str, target: Target, column: str, most: int, *, fields: Field, overrides: Sequence[Override], description: str
) -> Panel:  # fmt: skip
    """Return the rows with the least numbers in a column as big tiles, each called by the words of its row."""
    options = {
        "reduceOptions": {"values": True, "limit": most, "calcs": [], "fields": _names([column])},
        "orientation": "auto",
        "textMode": "value_and_name",
        "colorMode": "background",
        "graphMode": "none",
        "justifyMode": "auto",
    }
    by_number = Transformation(id="sortBy", options={"fields": {}, "sort": [{"field": column, "desc": False}]})
    return _panel("stat", title, [target], options, fields, overrides, description, [by_number])


def barchart(
    title: str,
    targets: Sequence[Target],
    x: str,
    *,
    fields: Field | None = None,
    overrides: Sequence[Override] = (),
    description: str = "",
    transformations: Sequence[Transformation] = (),
) -> Panel:
    """Return bars over the words in the column ``x``, so that no time zone of the viewer plays a part."""
    base = fields or Field()
    options = {
        "xField": x,
        "orientation": "auto",
        "barWidth": 0.8,
        "groupWidth": 0.8,
        "fullHighlight": False,
        "stacking": "none",
        "showValue": "never",
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 100,
        "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    custom = {"lineWidth": 0, "fillOpacity": 85, "gradientMode": "none", "axisPlacement": "auto", **base.custom}
    return _panel(
        "barchart", title, targets, options, replace(base, custom=custom), overrides, description, transformations
    )


def text(content: str, title: str = "") -> Panel:
    """Return words in Markdown."""
    options = {"mode": "markdown", "content": content}
    return Panel(id=0, type="text", title=title, grid_pos=_NOWHERE, options=options, transparent=not title)


def newest_definition(tag: str, columns: Sequence[str]) -> tuple[Transformation, ...]:
    """Return what keeps of each value of a tag the row of the newest definition, and names the columns as before.

    Rows come ordered by the tag ``definition``; the last of each group is kept.
    """
    kept = {column: {"operation": "aggregate", "aggregations": ["last"]} for column in columns}
    names = {f"{column} (last)": column for column in columns}
    return (
        Transformation(id="groupBy", options={"fields": {tag: {"operation": "groupby", "aggregations": []}, **kept}}),
        Transformation(id="organize", options={"excludeByName": {}, "indexByName": {}, "renameByName": names}),
    )


@dataclass
class Layout:
    """Places panels from left to right and row by row, and numbers them.

    Attributes:
        placed: what was placed.
    """

    placed: list[Panel | Row] = field(default_factory=list)
    _x: int = 0
    _y: int = 0
    _height: int = 0
    _id: int = 0
    _folded: list[Panel] | None = None

    def add(self, panel: Panel, width: int, height: int) -> None:
        """Place a panel in what is left of the line, or else on the next."""
        if self._x + width > COLUMNS:
            self.end_line()
        self._id += 1
        at = GridPos(h=height, w=width, x=self._x, y=self._y)
        self._x += width
        self._height = max(self._height, height)
        placed = replace(panel, id=self._id, grid_pos=at)
        if self._folded is None:
            self.placed.append(placed)
        else:
            self._folded.append(placed)

    def skip(self, width: int) -> None:
        """Leave room on the line."""
        self._x += width

    def end_line(self) -> None:
        """Go on below everything placed so far."""
        self._x, self._y, self._height = 0, self._y + self._height, 0

    def row(self, title: str, *, repeat: str | UnsetType = UNSET) -> None:
        """Begin an open row; with ``repeat`` Grafana repeats what is in it for each value of that variable."""
        self.end_row()
        self.placed.append(self._row(title, repeat=repeat))

    def folded_row(self, title: str) -> None:
        """Begin a collapsed row; what is placed from here on is inside, until the next row."""
        self.end_row()
        self.placed.append(self._row(title, collapsed=True))
        self._folded = []

    def end_row(self) -> None:
        """End a row."""
        self.end_line()
        if self._folded is not None:
            row = self.placed[-1]
            assert isinstance(row, Row)
            self.placed[-1] = replace(row, panels=tuple(self._folded))
            self._folded = None

    def _row(self, title: str, *, collapsed: bool = False, repeat: str | UnsetType = UNSET) -> Row:
        self._id += 1
        at = GridPos(h=1, w=COLUMNS, x=0, y=self._y)
        self._y += 1
        return Row(id=self._id, title=title, grid_pos=at, collapsed=collapsed, repeat=repeat)

    def finish(self) -> tuple[Panel | Row, ...]:
        """Return everything in order."""
        self.end_row()
        return tuple(self.placed)
