"""What Grafana 9.4 accepts in a board, carried over as facts, and what of a board it would not.

Units, transformations, reducers and matchers are those of the npm package ``@grafana/data`` 9.4.7, shared options those of
``@grafana/schema`` 9.4.7 (both Apache-2.0); a panel's own options, which 9.4 did not publish yet, are those of its documentation.
Grafana ignores what it does not know, in silence: a board that says more than this would look other than meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.dashboards.grafana import panels_of

Json = dict[str, Any]

#: ids of ``getValueFormats()``; those of currencies, data rates, physics and engineering are left out, as no KPI has them
UNITS = {
    "none", "string", "short", "percent", "percentunit", "locale", "sci", "hex", "hex0x", "bytes", "decbytes", "bits", "decbits", "kbytes",
    "mbytes", "gbytes", "pps", "Bps", "bps", "hertz", "ns", "µs", "ms", "s", "m", "h", "d", "dtdurationms", "dtdurations", "dthms", "dtdhms",
    "timeticks", "clockms", "clocks", "cps", "ops", "reqps", "rps", "wps", "iops", "cpm", "opm", "rpm", "wpm", "dateTimeAsIso",
    "dateTimeAsIsoNoDateIfToday", "dateTimeAsUS", "dateTimeAsUSNoDateIfToday", "dateTimeAsLocal", "dateTimeAsLocalNoDateIfToday",
    "dateTimeAsSystem", "dateTimeFromNow", "bool", "bool_yes_no", "bool_on_off",
}  # fmt: skip
#: what may stand before a colon in a unit of one's own
UNIT_PREFIXES = {"prefix", "suffix", "time", "si", "count", "currency", "bool"}
TRANSFORMATIONS = {
    "groupBy": {"fields"},
    "organize": {"excludeByName", "indexByName", "renameByName"},
    "sortBy": {"fields", "sort"},
    "merge": set(),
    "limit": {"limitField"},
    "filterFieldsByName": {"include", "exclude"},
    "joinByField": {"byField", "mode"},
    "renameByRegex": {"regex", "renamePattern"},
}
REDUCERS = {
    "sum", "max", "min", "logmin", "mean", "variance", "stdDev", "last", "first", "count", "range", "diff", "diffperc", "delta", "step",
    "firstNotNull", "lastNotNull", "changeCount", "distinctCount", "allIsZero", "allIsNull", "allValues", "uniqueValues",
}  # fmt: skip
MATCHERS = {"byName", "byRegexp", "byFrameRefID", "byNames", "byType", "numeric", "time"}

_LEGEND: Json = {
    "asTable": None, "calcs": None, "displayMode": {"list", "table", "hidden"}, "isVisible": None,
    "placement": {"bottom", "right"}, "showLegend": None, "sortBy": None, "sortDesc": None, "width": None,
}  # fmt: skip
_TOOLTIP: Json = {"mode": {"single", "multi", "none"}, "sort": {"asc", "desc", "none"}}
_REDUCE: Json = {"calcs": None, "fields": None, "limit": None, "values": None}
_SHOW, _ORIENTATION = {"auto", "always", "never"}, {"auto", "horizontal", "vertical"}
_TEXT: Json = {"titleSize": None, "valueSize": None}
#: by panel type: its options; None: any value, a set: one of these, a dict: an object of such keys
OPTIONS: dict[str, Json] = {
    "stat": {
        "reduceOptions": _REDUCE, "orientation": _ORIENTATION, "text": _TEXT, "justifyMode": {"auto", "center"},
        "textMode": {"auto", "value", "value_and_name", "name", "none"}, "colorMode": {"value", "background", "none"},
        "graphMode": {"none", "line", "area"},
    },
    "table": {
        "frameIndex": None, "showHeader": None, "showTypeIcons": None, "sortBy": None,
        "footer": {"show": None, "reducer": None, "fields": None, "countRows": None, "enablePagination": None},
        "cellHeight": {"sm", "md", "lg"},
    },
    "timeseries": {"legend": _LEGEND, "tooltip": _TOOLTIP, "timezone": None},
    "barchart": {
        "xField": None, "colorByField": None, "orientation": _ORIENTATION, "barRadius": None, "barWidth": None,
        "groupWidth": None, "fullHighlight": None, "stacking": {"none", "normal", "percent"}, "showValue": _SHOW, "text": _TEXT,
        "xTickLabelRotation": None, "xTickLabelMaxLength": None, "xTickLabelSpacing": None, "legend": _LEGEND, "tooltip": _TOOLTIP,
    },
    "state-timeline": {
        "mergeValues": None, "showValue": _SHOW, "alignValue": {"left", "center", "right"}, "rowHeight": None,
        "legend": _LEGEND, "tooltip": _TOOLTIP, "timezone": None,
    },
    "text": {"mode": {"markdown", "html", "code"}, "content": None, "code": None},
}  # fmt: skip
_HIDE: Json = {"tooltip": None, "viz": None, "legend": None}
_AXIS: Json = {
    "axisPlacement": {"auto", "top", "right", "bottom", "left", "hidden"}, "axisLabel": None, "axisWidth": None, "axisSoftMin": None,
    "axisSoftMax": None, "axisGridShow": None, "axisCenteredZero": None, "axisColorMode": {"text", "series"},
    "scaleDistribution": {"type": {"linear", "log", "symlog", "ordinal"}, "log": None, "linearThreshold": None},
}  # fmt: skip
_GRADIENT = {"none", "opacity", "hue", "scheme"}
_OFF = {"off", "line", "dashed", "area", "line+area", "dashed+area", "series"}
#: by panel type: what its fields may say for themselves
CUSTOM: dict[str, Json] = {
    "stat": {},
    "text": {},
    "table": {
        "align": {"auto", "left", "center", "right"}, "displayMode": None, "filterable": None, "hidden": None, "inspect": None,
        "minWidth": None, "width": None, "cellOptions": {"type": {"auto", "color-text", "color-background", "gauge", "json-view", "image"}, "mode": None},
    },
    "timeseries": {
        **_AXIS, "drawStyle": {"line", "bars", "points"}, "gradientMode": _GRADIENT, "thresholdsStyle": {"mode": _OFF},
        "transform": None, "lineColor": None, "lineInterpolation": {"linear", "smooth", "stepBefore", "stepAfter"},
        "lineStyle": {"fill": {"solid", "dash", "dot", "square"}, "dash": None}, "lineWidth": None, "spanNulls": None,
        "fillBelowTo": None, "fillColor": None, "fillOpacity": None, "pointColor": None, "pointSize": None, "pointSymbol": None,
        "showPoints": _SHOW, "barAlignment": None, "barMaxWidth": None, "barWidthFactor": None,
        "stacking": {"mode": {"none", "normal", "percent"}, "group": None}, "hideFrom": _HIDE,
    },
    "barchart": {
        **_AXIS, "lineWidth": None, "fillOpacity": None, "gradientMode": _GRADIENT, "thresholdsStyle": {"mode": _OFF}, "hideFrom": _HIDE,
    },
    "state-timeline": {"lineWidth": None, "fillOpacity": None, "spanNulls": None, "hideFrom": _HIDE},
}  # fmt: skip
PANEL = {
    "id", "type", "title", "description", "transparent", "gridPos", "datasource", "targets", "options", "fieldConfig",
    "transformations", "links",
}  # fmt: skip
FIELD = {
    "color", "custom", "decimals", "description", "displayName", "links", "mappings", "max", "min", "noValue", "thresholds", "unit",
}  # fmt: skip
#: what Grafana itself fills in
BUILT_IN = {"__from", "__to", "__interval", "__interval_ms", "__range", "__rate_interval", "timeFilter", "__data", "__value", "__url_time_range"}  # fmt: skip
_VARIABLE = re.compile(r"\$\{(\w+)(?:\.[^}:]*)?(?::(\w+))?\}|\$([A-Za-z_]\w*)|\[\[(\w+)")
#: variables whose values are words of ours (ids of KPIs, windows, instants), and may stand in a query as they are
PLAIN = {"window", "month", "month_start", "month_end", "kpi"}


def faults(board: Json, boards: dict[str, Json], sources: set[tuple[str, str]]) -> list[str]:
    """Return what Grafana 9.4 would not take as it is meant.

    Args:
        board: to be looked at.
        boards: all of them by uid, for links between them.
        sources: type and uid of the data sources that are provisioned.
    """
    return [
        *_variables(board),
        *_links(board, boards),
        *_sources(board, sources),
        *_places(board),
        *(f"{panel['title']}: {fault}" for panel in panels_of(board) for fault in _panel(panel)),
    ]


def _panel(panel: Json) -> Iterator[str]:
    kind = panel["type"]
    if kind not in OPTIONS:
        yield f"there is no panel {kind}"
        return
    yield from (f"unknown key {key}" for key in panel.keys() - PANEL)
    yield from _object(panel["options"], OPTIONS[kind], "options")
    yield from _reducers(panel["options"].get("reduceOptions", {}).get("calcs", []))
    yield from _reducers(panel["options"].get("legend", {}).get("calcs", []))
    for step in panel.get("transformations", []):
        known = TRANSFORMATIONS.get(step["id"])
        if known is None:
            yield f"there is no transformation {step['id']}"
            continue
        yield from (f"{step['id']}: unknown option {key}" for key in step["options"].keys() - known)
        if step["id"] == "groupBy":
            yield from (f for how in step["options"]["fields"].values() for f in _reducers(how["aggregations"]))
    config = panel.get("fieldConfig", {"defaults": {}, "overrides": []})
    yield from (f"unknown key of a field {key}" for key in config["defaults"].keys() - FIELD)
    yield from _object(config["defaults"].get("custom", {}), CUSTOM[kind], "custom")
    yield from _unit(config["defaults"].get("unit"))
    for one in config["overrides"]:
        if one["matcher"]["id"] not in MATCHERS:
            yield f"there is no matcher {one['matcher']['id']}"
        for said in one["properties"]:
            name, value = said["id"], said["value"]
            if name.startswith("custom."):
                yield from _object({name.removeprefix("custom."): value}, CUSTOM[kind], "override")
            elif name not in FIELD:
                yield f"no field has {name}"
            elif name == "unit":
                yield from _unit(value)


def _object(found: Json, known: Json, where: str) -> Iterator[str]:
    for key, value in found.items():
        if key not in known:
            yield f"{where}: there is no {key}"
        elif isinstance(known[key], dict):
            yield from _object(value, known[key], f"{where}.{key}")
        elif isinstance(known[key], set) and value not in known[key]:
            yield f"{where}: {key} cannot be {value!r}"


def _reducers(names: Iterable[str]) -> Iterator[str]:
    yield from (f"there is no reducer {name}" for name in names if name not in REDUCERS)


def _unit(unit: str | None) -> Iterator[str]:
    if unit is not None and unit not in UNITS and unit.partition(":")[0] not in UNIT_PREFIXES:
        yield f"there is no unit {unit!r}"


def _texts(part: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, text) of every text in a board."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from _texts(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value, key)
    elif isinstance(part, str):
        yield key, part


def _variables(board: Json) -> Iterator[str]:
    known = {v["name"] for v in board["templating"]["list"]}
    for key, text in _texts(board):
        for found in _VARIABLE.finditer(text):
            name, form = found[1] or found[3] or found[4], found[2]
            if key == "alias" and (name in {"col", "measurement"} or name.startswith("tag_")):
                continue
            if name not in known | BUILT_IN and text != "$__all":
                yield f"${name} is no variable: {text[:80]}"
            elif name in known and key in {"query", "expr", "definition"}:
                yield from _form(name, form, text)


def _form(name: str, form: str | None, text: str) -> Iterator[str]:
    """Yield how a variable in a query is not safe: a name of anybody's must be escaped, inside anchors."""
    if form == "regex":
        if f"/^${{{name}:regex}}$/" not in text and f'"^${{{name}:regex}}$"' not in text:
            yield f"${name} matches parts of names: {text[:80]}"
    elif form != "raw" or name not in PLAIN:
        yield f"${name} is not escaped ({form}): {text[:80]}"


def _links(board: Json, boards: dict[str, Json]) -> Iterator[str]:
    for key, text in _texts(board):
        if key != "url" or not text.startswith("/d/"):
            continue
        uid = text.split("?")[0].split("/")[2]
        if uid not in boards:
            yield f"a link leads nowhere: {text[:80]}"
            continue
        theirs = {v["name"] for v in boards[uid]["templating"]["list"]}
        for name in re.findall(r"[?&]var-(\w+)=", text):
            if name not in theirs:
                yield f"a link sets {name}, which {uid} does not have"


def _sources(board: Json, known: set[tuple[str, str]]) -> Iterator[str]:
    for part in _objects(board):
        source = part.get("datasource")
        if source is None:
            continue
        if (source["type"], source["uid"]) not in {*known, ("grafana", "-- Grafana --")}:
            yield f"there is no data source {json.dumps(source)}"


def _objects(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from _objects(value)
    elif isinstance(part, list):
        for value in part:
            yield from _objects(value)


def _places(board: Json) -> Iterator[str]:
    for group in [board["panels"], *[row["panels"] for row in board["panels"] if row["type"] == "row"]]:
        taken: dict[tuple[int, int], str] = {}
        for panel in group:
            at = panel["gridPos"]
            if min(at["x"], at["y"]) < 0 or min(at["w"], at["h"]) < 1 or at["x"] + at["w"] > 24:
                yield f"{panel['title']} lies outside the grid"
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                if cell in taken:
                    yield f"{panel['title']} covers {taken[cell]}"
                    break
                taken[cell] = panel["title"]
