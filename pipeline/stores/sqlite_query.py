"""Queries of the SQLite store, and KPI values from their rows.

Every query is built of constants of this package; what a caller gives is bound as an argument.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.values import KpiValue

#: Whose newest times a row of ``newest`` holds.
KIND_LIVE, KIND_STATUS = 0, 1
#: Columns that follow ``kpi, scope, csf, definition`` in a query for KPI values.
VALUE_COLUMNS = (
    "v.starts, v.ends, v.value, v.numerator, v.denominator, v.count, v.coverage, v.target, v.status, v.score,"
    " v.state, v.revision, v.reported, v.previous, v.unit, v.reason"
)
#: The column of the time in each table's key.
_TIME = {
    "kpi_live": "ends",
    "kpi_period": "starts",
    "csf_status": "starts",
    "kpi_revision": "starts",
    "report_text": "starts",
}
#: Order within one time.
ORDER = "s.kpi, s.scope, s.csf, s.definition"


def _names(column: str, names: Sequence[str] | None) -> str:
    return "" if names is None else f" AND {column} IN ({', '.join('?' * len(names))})"


def range_query(table: str, columns: str, kpis: Sequence[str] | None, scopes: Sequence[str] | None) -> str:
    """Return a query over a time range.

    With filters it walks the distinct times of the range and looks each wanted series up in the key, so that
    one KPI's history does not read all others; without, it reads the range.
    """
    column = _TIME[table]
    head = "SELECT s.kpi, s.scope, s.csf, s.definition"
    if kpis is None and scopes is None:
        return (
            f"{head}, {columns} FROM (SELECT id AS p, ? AS a, ? AS b FROM label WHERE text = ?) w"  # noqa: S608 - constants
            f" CROSS JOIN {table} v ON v.period = w.p AND v.{column} BETWEEN w.a AND w.b"
            " JOIN series s ON s.id = v.series"
        )
    return (
        f"WITH RECURSIVE w(a, b, p) AS (SELECT ?, ?, id FROM label WHERE text = ?), at(t) AS ("  # noqa: S608 - constants
        f"SELECT (SELECT min({column}) FROM {table} WHERE period = p AND {column} BETWEEN a AND b) FROM w UNION ALL"
        f" SELECT (SELECT min({column}) FROM {table} WHERE period = p AND {column} > t AND {column} <= b)"
        f" FROM at, w WHERE t IS NOT NULL) {head}, {columns} FROM w CROSS JOIN at"
        f" CROSS JOIN series s CROSS JOIN {table} v ON v.period = w.p AND v.{column} = at.t AND v.series = s.id"
        f" WHERE at.t IS NOT NULL{_names('s.kpi', kpis)}{_names('s.scope', scopes)}"
    )


#: The columns of a change of an alert, by the names of its fields.
ALERT_FIELDS = (
    "at", "rule", "scope", "state", "kpi", "csf", "severity", "since", "value", "threshold", "unit", "count", "coverage",
    "note",
)  # fmt: skip


def alerts_query(scopes: Sequence[str] | None) -> str:
    """Return a query for changes of alerts between two instants, both included, of some scopes."""
    return (
        f"SELECT {', '.join(ALERT_FIELDS)} FROM alert WHERE at BETWEEN ? AND ?{_names('scope', scopes)}"  # noqa: S608 - constants
        " ORDER BY at, rule, scope, state"
    )


#: The columns of a note about alerts, by the names of its fields; the alerts it is about are JSON.
NOTE_FIELDS = ("at", "kind", "slot", "ref", "who", "via", "channel", "until", "why", "about", "alerts")
#: Notes between two instants, both included.
NOTES_QUERY = f"SELECT {', '.join(NOTE_FIELDS)} FROM alert_note WHERE at BETWEEN ? AND ? ORDER BY at, kind, slot"  # noqa: S608 - constants
#: The columns of what happened to a service, by the names of its fields; the first five are its identity.
HAPPENING_FIELDS = ("start", "kind", "service", "source", "id", "end", "text", "team")
PUT_HAPPENING = "INSERT OR REPLACE INTO happening VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
DROP_HAPPENING = "DELETE FROM happening WHERE start = ? AND kind = ? AND service = ? AND source = ? AND id = ?"


def happenings_query(services: Sequence[str] | None) -> str:
    """Return a query for what happened to some services between two instants, both included."""
    return (
        f"SELECT * FROM happening WHERE start BETWEEN ? AND ?{_names('service', services)}"  # noqa: S608 - constants
        " ORDER BY start, kind, service, source, id"
    )


def range_arguments(
    period: str,
    kpis: Sequence[str] | None,
    scopes: Sequence[str] | None,
    time_from: int | None,
    time_to: int | None,
) -> list[Any]:
    """Return the arguments of ``range_query``; both ends of the range belong to it."""
    first = -(2**63) if time_from is None else time_from
    last = 2**63 - 1 if time_to is None else time_to
    return [first, last, period, *(kpis or ()), *(scopes or ())]


def newest_query(table: str, columns: str, kpis: Sequence[str] | None, scopes: Sequence[str] | None) -> str:
    """Return a query for the newest row of each series."""
    return (
        f"SELECT s.kpi, s.scope, s.csf, s.definition, {columns} FROM label p"  # noqa: S608 - constants
        f" CROSS JOIN newest n ON n.kind = ? AND n.period = p.id CROSS JOIN series s ON s.id = n.series"
        f" CROSS JOIN {table} v ON v.period = p.id AND v.{_TIME[table]} = n.at AND v.series = n.series"
        f" WHERE p.text = ?{_names('s.kpi', kpis)}{_names('s.scope', scopes)}"
    )


def label_texts(connection: sqlite3.Connection) -> dict[int, Any]:
    """Return the text of every label by its number."""
    return dict(connection.execute("SELECT id, text FROM label").fetchall())


def decode_values(connection: sqlite3.Connection, period: str, rows: Iterable[tuple[Any, ...]]) -> list[KpiValue]:
    """Return KPI values from rows of (kpi, scope, csf, definition, ``VALUE_COLUMNS``).

    Rows are taken one by one, and a name that is in many of them is kept once: a report reads tens of thousands.
    """
    labels = label_texts(connection)
    names: dict[str, str] = {}
    once = names.setdefault
    return [
        KpiValue(
            csf=once(row[2], row[2]),
            kpi=once(row[0], row[0]),
            scope=once(row[1], row[1]),
            period=period,
            start=row[4],
            end=row[5],
            value=row[6],
            unit=labels[row[18]],
            numerator=row[7],
            denominator=row[8],
            count=row[9],
            coverage=row[10],
            target=row[11],
            status=labels[row[12]],
            score=row[13],
            state=labels[row[14]],
            revision=row[15],
            definition_version=row[3],
            reported=bool(row[16]),
            previous=row[17],
            reason=row[19],
        )
        for row in rows
    ]
