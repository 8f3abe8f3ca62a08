"""InfluxQL over the changes of alerts, as ``docs/storage.md`` describes them: what is open, what is over, what was when.

An alert is open while its newest change (a rule and scope) is no ``resolved``; its ``level`` is then that of its severity,
else 0. Levels are told apart by arithmetic, since InfluxQL has no *if*.
"""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.queries import tag_is
from pipeline.stores.influx_lines import ALERT, NOTE

#: what opened longer ago is no longer looked for; the same on the console's page
HORIZON = "time > now() - 45d"
#: what the time picker shows, and as much before it as anything may have been open
_SHOWN_AND_BEFORE = "time > ${__from}ms - 45d AND time <= ${__to}ms"
_WHOSE = '"rule", "scope"'
#: columns of how many are open → arithmetic over ``level`` (3 critical, 2 warning, 1 info, 0 over)
_COUNTS = {
    "Critical": 'floor("level" / 3)',
    "Warning": 'floor("level" / 2) - floor("level" / 3)',
    "Info": '"level" % 2 - floor("level" / 3)',
}


def _and(conditions: Sequence[str]) -> str:
    return " AND ".join(conditions)


def _newest(fields: Sequence[str], where: Sequence[str]) -> str:
    """Return the newest change of each rule and scope, with these fields and tags beside its level."""
    also = "".join(f', "{name}"' for name in fields)
    return f'SELECT LAST("level") AS "level"{also} FROM "{ALERT}" WHERE {_and(where)} GROUP BY {_WHOSE}'


def open_now(where: Sequence[str] = ()) -> str:
    """Return a query for the alerts that are open: level, CSF, state, since (epoch ms), value, threshold, unit, note."""
    fields = ("csf", "state", "since", "value", "threshold", "known_fields", "unit", "note")
    value, threshold = (
        f'"{name}" * sqrt(2 * (floor("known_fields" / {bit}) % 2) - 1) AS "{name}"'
        for name, bit in (("value", 1), ("threshold", 2))
    )
    return (
        f'SELECT "level", "csf", "state", 1000 * "since" AS "since", {value}, {threshold}, "unit", "note"'
        f' FROM ({_newest(fields, [HORIZON, *where])}) WHERE "level" > 0 GROUP BY {_WHOSE}'
    )


def open_by_rule(level: int, rules: Sequence[str] | None = None) -> str:
    """Return a query for the alerts of a severity that are open, a series a rule and scope; ``rules``: of these only."""
    which = [] if rules is None else [f'"rule" =~ /^({"|".join(rules)})$/']
    return f'SELECT "level" FROM ({_newest((), [HORIZON, *which])}) WHERE "level" = {level} GROUP BY {_WHOSE}'


def how_many(where: Sequence[str] = (), *, by: str = "") -> str:
    """Return a query for how many alerts are open by severity; ``by``: a tag, each value of which has a row."""
    sums = ", ".join(f'SUM("{name}") AS "{name}"' for name in _COUNTS)
    each = ", ".join(f'{expression} AS "{name}"' for name, expression in _COUNTS.items())
    tags = f'{_WHOSE}, "{by}"' if by else _WHOSE
    newest = f'SELECT LAST("level") AS "level" FROM "{ALERT}" WHERE {_and([HORIZON, *where])} GROUP BY {tags}'
    grouped = f' GROUP BY "{by}"' if by else ""
    return f"SELECT {sums} FROM (SELECT {each} FROM ({newest}) GROUP BY {tags}){grouped}"


def ended(where: Sequence[str] = ()) -> str:
    """Return a query for the alerts that ended in the range shown, by rule and scope: how often, how long in all, the longest."""
    conditions = [tag_is("state", "resolved"), *where, "$timeFilter"]
    return (
        'SELECT COUNT("lasted") AS "times", SUM("lasted") AS "total", MAX("lasted") AS "longest"'
        f' FROM "{ALERT}" WHERE {_and(conditions)} GROUP BY {_WHOSE}'
    )


def over_time(where: Sequence[str] = ()) -> str:
    """Return a query for the levels of every rule and scope over time, null from when it was over."""
    conditions = [*where, _SHOWN_AND_BEFORE]
    return (
        f'SELECT "level" + 0 * sqrt("level" - 1) AS "level" FROM "{ALERT}" WHERE {_and(conditions)} GROUP BY {_WHOSE}'
    )


def changes(where: Sequence[str] = ()) -> str:
    """Return a query for every change in the range shown."""
    return f'SELECT "rule", "scope", "severity", "state", "note" FROM "{ALERT}" WHERE {_and([*where, "$timeFilter"])}'


def done() -> str:
    """Return a query for what people ordered and what became of notifications in the range shown."""
    return f'SELECT "kind", "who", "channel", "about", "why" FROM "{NOTE}" WHERE $timeFilter'
