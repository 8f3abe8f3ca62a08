"""Flux queries. Whatever comes from outside enters as an encoded string literal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pipeline.stores.influx_lines import tag_value

#: InfluxDB's times are nanoseconds in 64 bits; these are the years that surely fit.
_FIRST, _LAST = -9_214_560_000, 9_214_646_400
_PLAIN = re.compile(rb"[A-Za-z0-9_.: /-]")
#: More names than this are not sent as a filter; the answer is filtered instead.
FILTER_NAMES = 100


def literal(text: str) -> str:
    """Return a Flux string literal with unusual bytes as hex escapes: nothing can end or interpolate it."""
    encoded = text.encode("utf-8", "surrogatepass")
    return '"' + "".join(chr(b) if _PLAIN.match(bytes([b])) else f"\\x{b:02x}" for b in encoded) + '"'


def instant(seconds: float) -> str:
    """Return a Flux time literal, within what InfluxDB can hold."""
    bounded = int(min(max(seconds, _FIRST), _LAST))
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def series(
    bucket: str,
    measurement: str,
    tags: Mapping[str, Sequence[str] | None],
    time_from: float | None,
    time_to: float | None,
) -> str:
    """Return a query for the points of series, both times included; a tag without names is not filtered."""
    parts = [
        f"from(bucket: {literal(bucket)})",
        f"range(start: {instant(_FIRST if time_from is None else time_from)},"
        f" stop: {instant(_LAST if time_to is None else time_to + 1)})",
        f"filter(fn: (r) => r._measurement == {literal(measurement)})",
    ]
    for key, names in tags.items():
        if names is not None and len(names) <= FILTER_NAMES:
            either = " or ".join(f"r.{key} == {literal(tag_value(name))}" for name in names) or "false"
            parts.append(f"filter(fn: (r) => {either})")
    return " |> ".join(parts)


#: One row a point, its fields as columns.
ROWS = (
    ' |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
    ' |> drop(columns: ["_start", "_stop", "_measurement"])'
)
#: The newest number of each field; fields that the newest point lacks show up in rows of their own.
NEWEST = " |> last()" + ROWS


def tag_values(bucket: str, measurement: str, tag: str) -> str:
    """Return a query for the values of a tag."""
    return (
        'import "influxdata/influxdb/schema" schema.tagValues('
        f"bucket: {literal(bucket)}, tag: {literal(tag)}, start: {instant(_FIRST)}, stop: {instant(_LAST)},"
        f" predicate: (r) => r._measurement == {literal(measurement)})"
    )
