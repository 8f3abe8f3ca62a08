"""Grafana's dashboard JSON as typed structs: only panel types, options and fields that Grafana 9.4 had.

Schema version 37 is what 9.4 writes; every later Grafana migrates it when it loads a board. A field that is UNSET
is left out of the JSON. See ``docs/decisions/boards-by-own-builders.md``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

#: the dashboard schema of Grafana 9.4
SCHEMA_VERSION = 37
#: on every board and annotation of ours
TAG = "csf-pulse"
#: columns of a board
COLUMNS = 24

Json = dict[str, Any]
Calc = Literal["last", "lastNotNull", "max", "min", "mean", "sum", "count"]


class _Part(msgspec.Struct, rename="camel", kw_only=True, frozen=True):
    """A piece of dashboard JSON; field names become camelCase."""


class DataSource(_Part, frozen=True):
    """A data source by its stable uid."""

    type: str
    uid: str


class GridPos(_Part, frozen=True):
    """Place and size of a panel on the grid of 24 columns."""

    h: int
    w: int
    x: int
    y: int


class InfluxTarget(_Part, frozen=True):
    """An InfluxQL query as text; ``alias`` names time series, ``table`` gives one table with tags as columns."""

    datasource: DataSource
    ref_id: str
    query: str
    result_format: Literal["time_series", "table"] = "table"
    alias: str | UnsetType = UNSET
    raw_query: bool = True
    order_by_time: str = "ASC"
    policy: str = "default"


class PrometheusTarget(_Part, frozen=True):
    """A PromQL query; ``instant`` asks for now only."""

    datasource: DataSource
    ref_id: str
    expr: str
    legend_format: str = "__auto"
    instant: bool = False
    range: bool = True
    editor_mode: str = "code"
    format: Literal["time_series", "table"] = "time_series"


class Step(_Part, frozen=True):
    """A threshold: from ``value`` (None: from below) on this colour."""

    color: str
    value: float | None


class Thresholds(_Part, frozen=True):
    """Steps in rising order."""

    steps: tuple[Step, ...]
    mode: str = "absolute"


class Colour(_Part, frozen=True):
    """How a field gets its colour."""

    mode: Literal["thresholds", "fixed", "palette-classic"]
    fixed_color: str | UnsetType = UNSET


class Link(_Part, frozen=True):
    """A link of a value or panel; ``${…}`` in the URL is filled in by Grafana."""

    title: str
    url: str


class Field(_Part, frozen=True):
    """Defaults of all fields of a panel."""

    color: Colour = Colour(mode="fixed", fixed_color="text")
    custom: Json = {}
    decimals: int | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    links: tuple[Link, ...] | UnsetType = UNSET
    mappings: tuple[Json, ...] = ()
    max: float | UnsetType = UNSET
    min: float | UnsetType = UNSET
    no_value: str = "unknown"
    thresholds: Thresholds = Thresholds(steps=(Step(color="text", value=None),))
    unit: str | UnsetType = UNSET


class Matcher(_Part, frozen=True):
    """Which fields an override is for."""

    id: Literal["byName", "byRegexp", "byFrameRefID"]
    options: str


class Override(_Part, frozen=True):
    """Properties of some fields, each ``{"id": …, "value": …}``."""

    matcher: Matcher
    properties: tuple[Json, ...]


class FieldConfig(_Part, frozen=True):
    """How a panel shows its fields."""

    defaults: Field
    overrides: tuple[Override, ...] = ()


class Transformation(_Part, frozen=True):
    """What is done with the answer before it is drawn."""

    id: Literal["organize", "groupBy", "sortBy"]
    options: Json


class Panel(_Part, frozen=True):
    """A panel; made by ``dashboards.panels``."""

    id: int
    type: Literal["stat", "table", "timeseries", "barchart", "state-timeline", "text"]
    title: str
    grid_pos: GridPos
    options: Json
    description: str = ""
    transparent: bool = False
    datasource: DataSource | UnsetType = UNSET
    targets: tuple[InfluxTarget | PrometheusTarget, ...] | UnsetType = UNSET
    field_config: FieldConfig | UnsetType = UNSET
    transformations: tuple[Transformation, ...] | UnsetType = UNSET
    links: tuple[Link, ...] | UnsetType = UNSET


class Row(_Part, frozen=True):
    """A row; a collapsed one holds its panels and asks nothing until it is opened. ``repeat`` names a variable."""

    id: int
    title: str
    grid_pos: GridPos
    type: str = "row"
    collapsed: bool = False
    panels: tuple[Panel, ...] = ()
    repeat: str | UnsetType = UNSET


class Choice(_Part, frozen=True):
    """What a variable is set to."""

    text: str | list[str]
    value: str | list[str]
    selected: bool = True


class Option(_Part, frozen=True):
    """A value that a custom variable can take."""

    text: str
    value: str
    selected: bool


class CustomVariable(_Part, frozen=True):
    """A variable of fixed values; ``query`` lists them as ``text : value``."""

    name: str
    label: str
    query: str
    current: Choice
    options: tuple[Option, ...]
    type: str = "custom"
    hide: int = 0
    multi: bool = False
    include_all: bool = False
    skip_url_sync: bool = False
    description: str = ""


class QueryVariable(_Part, frozen=True):
    """A variable whose values come from the data; ``sort`` 1 ascending, 2 descending; ``refresh`` 2: with the time.

    ``all_value`` is what *All* stands for, as it is written into queries.
    """

    name: str
    label: str
    datasource: DataSource
    query: str
    definition: str
    current: Choice | Json
    regex: str = ""
    sort: int = 1
    refresh: int = 2
    type: str = "query"
    hide: int = 0
    multi: bool = False
    include_all: bool = False
    all_value: str | UnsetType = UNSET
    skip_url_sync: bool = False
    options: tuple[Option, ...] = ()
    description: str = ""


Variable = CustomVariable | QueryVariable


class Annotation(_Part, frozen=True):
    """Annotations: of Grafana's own, chosen by tags (all of them), or found by a query, whose columns are named."""

    name: str
    icon_color: str
    target: Json
    datasource: DataSource = DataSource(type="grafana", uid="-- Grafana --")
    query: str | UnsetType = UNSET
    text_column: str | UnsetType = UNSET
    tags_column: str | UnsetType = UNSET
    time_end_column: str | UnsetType = UNSET
    title_column: str | UnsetType = UNSET
    enable: bool = True
    hide: bool = False


class DashboardLink(_Part, frozen=True):
    """Links at the top of a board to all boards with a tag."""

    tags: tuple[str, ...]
    title: str
    type: str = "dashboards"
    icon: str = "external link"
    url: str = ""
    tooltip: str = ""
    as_dropdown: bool = True
    include_vars: bool = True
    keep_time: bool = True
    target_blank: bool = False


class TimeRange(msgspec.Struct, frozen=True, kw_only=True):
    """What the time picker shows at first."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to", default="now")


class Templating(_Part, frozen=True):
    """The variables of a board, in the order in which they depend on each other."""

    list: tuple[Variable, ...]


class Annotations(_Part, frozen=True):
    """The annotations of a board."""

    list: tuple[Annotation, ...] = ()


class Board(_Part, frozen=True):
    """A whole board."""

    uid: str
    title: str
    description: str
    tags: tuple[str, ...]
    time: TimeRange
    refresh: str
    panels: tuple[Panel | Row, ...]
    templating: Templating
    annotations: Annotations = Annotations()
    links: tuple[DashboardLink, ...] = ()
    schema_version: int = SCHEMA_VERSION
    timezone: str = ""
    editable: bool = True
    graph_tooltip: int = 1
    live_now: bool = False
    week_start: str = ""
    fiscal_year_start_month: int = 0


def to_json(board: Board) -> str:
    """Return a board as it is kept in ``dashboards/generated``: the same board, the same bytes."""
    return msgspec.json.format(msgspec.json.encode(board), indent=1).decode() + "\n"
