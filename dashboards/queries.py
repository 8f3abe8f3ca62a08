"""InfluxQL that InfluxDB 1.8, 2.x and 3 serve, over the measurements of ``docs/storage.md``.

A number that became unknown is still stored; ``known`` and ``known_fields`` decide. InfluxQL has no *if*, so a number is
multiplied by the square root of 2k - 1, where k is 1 (known) or 0: the root of 1 changes nothing, the root of -1
is no number, which InfluxDB answers as null. So each point gives one row, and what is unknown is null in it.

Variables enter tag conditions as anchored regular expressions, ``=~ /^${name:regex}$/``: with the format named, every
Grafana escapes the value in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.stores.common import OPTIONAL_FIELDS
from pipeline.stores.influx_lines import EXITS, LIVE, STATUS, definition_tag, tag_value

_BIT = {name: 1 << position for position, name in enumerate(OPTIONAL_FIELDS)}


@dataclass(frozen=True)
class Column:
    """One column of an answer.

    Attributes:
        name: what it is called in the answer.
        expression: InfluxQL over fields.
        fields: the fields it reads.
    """

    name: str
    expression: str
    fields: tuple[str, ...]

    @property
    def selected(self) -> str:
        """The column as it stands in SELECT."""
        return f'{self.expression} AS "{self.name}"'


def always(field: str, name: str | None = None) -> Column:
    """Return the column of a field that every point has."""
    return Column(name or field, f'"{field}"', (field,))


def known(field: str, name: str | None = None) -> Column:
    """Return the column of a number of a KPI value: null where it is unknown."""
    if field == "value":
        return Column(name or field, f'"{field}" * sqrt(2 * "known" - 1)', ("known", field))
    bit = _BIT[field]
    root = f'sqrt(2 * (floor("known_fields" / {bit}) % 2) - 1)'
    return Column(name or field, f'"{field}" * {root}', ("known_fields", field))


def percent(column: Column) -> Column:
    """Return a column of shares 0-1 as percentages 0-100."""
    return Column(column.name, f"100 * {column.expression}", column.fields)


def score(name: str = "score") -> Column:
    """Return the column of a CSF's score: null where it is unknown."""
    return Column(name, '"score" * sqrt(2 * "known" - 1)', ("known", "score"))


def unknown(name: str = "unknown") -> Column:
    """Return the column that is 1 where the value is unknown and 0 where it is known."""
    return Column(name, '1 - "known"', ("known",))


def replaced_by(name: str) -> Column:
    """Return the column of the value that replaced a superseded one: null where that is unknown."""
    return Column(
        name, '"replaced_by" * sqrt(2 * (floor("known_fields" / 2) % 2) - 1)', ("known_fields", "replaced_by")
    )


def tag_is(tag: str, text: str) -> str:
    """Return the condition that a tag has a value, as the store writes it."""
    escaped = tag_value(text).replace("\\", "\\\\").replace("'", "\\'")
    return f"\"{tag}\" = '{escaped}'"


def tag_chosen(tag: str, variable: str) -> str:
    """Return the condition that a tag has the value of a variable."""
    return f'"{tag}" =~ /^${{{variable}:regex}}$/'


#: tags of services
IS_SERVICE = '"scope" =~ /^service:/'
#: what the time picker shows
SHOWN = "$timeFilter"


#: the chosen month's point, which lies at its start; a day or hour of it; the thirteen months that end with it
AT_MONTH = "time = ${month_start:raw}s"
IN_MONTH = "time >= ${month_start:raw}s AND time < ${month_end:raw}s"
MONTHS_TO = "time > ${month_start:raw}s - 380d AND time <= ${month_start:raw}s"


def _where(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions)


def _grouped(tags: Sequence[str]) -> str:
    return " GROUP BY " + ", ".join(f'"{tag}"' for tag in tags) if tags else ""


def points(measurement: str, columns: Sequence[Column], where: Sequence[str], tags: Sequence[str] = ()) -> str:
    """Return a query for all points that meet the conditions; tags become columns or labels."""
    selected = ", ".join(column.selected for column in columns)
    return f'SELECT {selected} FROM "{measurement}" WHERE {_where(where)}{_grouped(tags)}'


def newest(
    measurement: str, columns: Sequence[Column], where: Sequence[str], tags: Sequence[str] = (), *, each: str = ""
) -> str:
    """Return a query for the newest point of each series that meets the conditions.

    With ``each`` (an interval) it is the newest of each interval. What is newest does not depend on what is known.
    """
    fields = dict.fromkeys(field for column in columns for field in column.fields)
    inner = ", ".join(['LAST("known") AS "known"', *(f'"{f}"' for f in fields if f != "known")])
    grouped = _grouped(tags)
    if each:
        grouped = f"{grouped}, time({each}) fill(none)" if tags else f" GROUP BY time({each}) fill(none)"
    selected = ", ".join(column.selected for column in columns)
    return (
        f'SELECT {selected} FROM (SELECT {inner} FROM "{measurement}" WHERE {_where(where)}{grouped}){_grouped(tags)}'
    )


def _of_scopes(scopes: Sequence[str]) -> str:
    """Return the condition that a point is of one of the scopes of a rule, ``service:*`` and ``team:*`` among them."""
    kinds = [f'"scope" =~ /^{scope.removesuffix("*")}/' for scope in scopes if scope.endswith(":*")]
    return f"({' OR '.join([*kinds, *(tag_is('scope', s) for s in scopes if not s.endswith(':*'))])})"


def known_values(kpi: str, version: int, window: str, scopes: Sequence[str], least: int) -> str:
    """Return a query for the newest live value of each scope where it is known and rests on ``least`` cases, for alert rules."""
    where = [
        tag_is("kpi", kpi),
        tag_is("definition", definition_tag(version)),
        tag_is("window", window),
        _of_scopes(scopes),
        f"time > now() - {window}",
    ]
    inner = f'SELECT LAST("known") AS "known", "value", "count" FROM "{LIVE}" WHERE {_where(where)} GROUP BY "scope"'
    return f'SELECT "value" FROM ({inner}) WHERE "known" = 1 AND "count" >= {least} GROUP BY "scope"'


def holding_status(csf: str, window: str, scopes: Sequence[str], states: Sequence[str]) -> str:
    """Return a query that has a row, 1, for each scope whose newest status of a CSF is one of some states, for alert rules."""
    where = [tag_is("csf", csf), tag_is("period", window), _of_scopes(scopes), f"time > now() - {window}"]
    inner = f'SELECT LAST("known") AS "known", "status" FROM "{STATUS}" WHERE {_where(where)} GROUP BY "scope"'
    one_of = " OR ".join(f"\"status\" = '{state}'" for state in states)
    return f'SELECT "known" * 0 + 1 AS "holds" FROM ({inner}) WHERE {one_of} GROUP BY "scope"'


def in_window(variable: str = "window") -> list[str]:
    """Return the conditions that a live value is one of the window chosen, and not older than that window."""
    return [tag_chosen("window", variable), f"time > now() - ${{{variable}:raw}}"]


def status_in_window(variable: str = "window") -> list[str]:
    """Return the same for CSF statuses, whose tag is called period."""
    return [tag_chosen("period", variable), f"time > now() - ${{{variable}:raw}}"]


def tag_values(measurement: str, tag: str, *where: str) -> str:
    """Return a query for the values of a tag, for variables."""
    condition = f" WHERE {_where(where)}" if where else ""
    return f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{tag}"{condition}'


def only_known(query: str, column: str, columns: Sequence[str], tags: Sequence[str]) -> str:
    """Return a query for the rows of another whose number in ``column`` (which is never negative) is known."""
    selected = ", ".join(f'"{name}"' for name in columns)
    return f'SELECT {selected} FROM ({query}) WHERE "{column}" >= 0{_grouped(tags)}'


def newest_arrival(name: str) -> str:
    """Return a query for when the newest event arrived of all that was folded, epoch milliseconds."""
    return f'SELECT 1000 * MAX("clock") AS "{name}" FROM "{EXITS}" WHERE time = 0'


def status_field(field: str, where: Sequence[str]) -> str:
    """Return a query for one field of CSF statuses, for variables."""
    return f'SELECT "{field}" FROM "{STATUS}" WHERE {_where(where)}'
