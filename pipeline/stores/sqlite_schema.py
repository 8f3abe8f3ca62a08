"""Tables of the KPI store in SQLite.

Names that repeat (a KPI of a scope, a unit, a status) are written once and referred to by a small integer.
The primary keys begin with (period, time): what is written together lies together, so that a write touches
few pages; ``newest`` finds the last live value of each series without reading the others.
"""

from __future__ import annotations

from pipeline.stores.sqlite_versions import Schema

#: "csfp" in the file's header: tells our files from other SQLite files.
_APPLICATION_ID = 0x63736670

_VALUE_COLUMNS = """
  value REAL, numerator REAL, denominator REAL, count INTEGER NOT NULL, coverage REAL, target REAL,
  status INTEGER NOT NULL, score REAL, state INTEGER NOT NULL, revision INTEGER NOT NULL,
  reported INTEGER NOT NULL, previous REAL, unit INTEGER NOT NULL, reason TEXT NOT NULL
"""

_VIEW_COLUMNS = """
  s.csf, s.kpi, s.scope, p.text AS period, v.starts AS "start", v.ends AS "end", v.value,
  u.text AS unit, v.numerator, v.denominator, v.count, v.coverage, v.target, st.text AS status,
  v.score, sa.text AS state, v.revision,
  s.definition AS definition_version, v.reported, v.previous, v.reason
"""


def _view(name: str, table: str) -> str:
    """Return the statement for a view with names in place of integers, for people with a SQLite shell."""
    return (
        f"CREATE VIEW {name} AS SELECT {_VIEW_COLUMNS} FROM {table} v"  # noqa: S608 - only constants of this file
        " JOIN series s ON s.id = v.series JOIN label p ON p.id = v.period JOIN label u ON u.id = v.unit"
        " JOIN label st ON st.id = v.status JOIN label sa ON sa.id = v.state"
    )


_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        f"PRAGMA application_id = {_APPLICATION_ID}",
        "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)",
        "CREATE TABLE label (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "CREATE TABLE series (id INTEGER PRIMARY KEY, kpi TEXT NOT NULL, scope TEXT NOT NULL, csf TEXT NOT NULL,"
        " definition INTEGER NOT NULL, UNIQUE (kpi, scope, csf, definition))",
        "CREATE TABLE kpi_live (period INTEGER NOT NULL, ends INTEGER NOT NULL, series INTEGER NOT NULL,"
        f" starts INTEGER NOT NULL, {_VALUE_COLUMNS}, PRIMARY KEY (period, ends, series)) WITHOUT ROWID",
        "CREATE TABLE kpi_period (period INTEGER NOT NULL, starts INTEGER NOT NULL, series INTEGER NOT NULL,"
        f" ends INTEGER NOT NULL, {_VALUE_COLUMNS}, PRIMARY KEY (period, starts, series)) WITHOUT ROWID",
        "CREATE TABLE csf_status (period INTEGER NOT NULL, starts INTEGER NOT NULL, series INTEGER NOT NULL,"
        " ends INTEGER NOT NULL, status INTEGER NOT NULL, score REAL, known_weight REAL NOT NULL,"
        " total_weight REAL NOT NULL, worst_service TEXT, PRIMARY KEY (period, starts, series)) WITHOUT ROWID",
        "CREATE TABLE newest (kind INTEGER NOT NULL, period INTEGER NOT NULL, series INTEGER NOT NULL,"
        " at INTEGER NOT NULL, PRIMARY KEY (kind, period, series)) WITHOUT ROWID",
        "CREATE TABLE kpi_revision (period INTEGER NOT NULL, starts INTEGER NOT NULL, series INTEGER NOT NULL,"
        " revision INTEGER NOT NULL, value REAL, reason TEXT NOT NULL, replaced_by REAL,"
        " PRIMARY KEY (period, starts, series, revision)) WITHOUT ROWID",
        "CREATE TABLE exits (topic TEXT NOT NULL, partition INTEGER NOT NULL, received INTEGER NOT NULL,"
        " kpi INTEGER NOT NULL, dead_letter INTEGER NOT NULL, duplicate INTEGER NOT NULL, unmapped INTEGER NOT NULL,"
        " ignored INTEGER NOT NULL, reasons TEXT NOT NULL, truncated INTEGER NOT NULL, clock REAL NOT NULL,"
        " PRIMARY KEY (topic, partition)) WITHOUT ROWID",
        _view("period_values", "kpi_period"),
        _view("live_values", "kpi_live"),
    ),
    (
        "CREATE TABLE report_text (period INTEGER NOT NULL, starts INTEGER NOT NULL, series INTEGER NOT NULL,"
        " verdict INTEGER NOT NULL, insight TEXT NOT NULL, concerns TEXT NOT NULL, suggestions TEXT NOT NULL,"
        " issue INTEGER NOT NULL, PRIMARY KEY (period, starts, series)) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE alert (at INTEGER NOT NULL, rule TEXT NOT NULL, scope TEXT NOT NULL, state TEXT NOT NULL,"
        " kpi TEXT NOT NULL, csf TEXT NOT NULL, severity TEXT NOT NULL, since INTEGER NOT NULL, value REAL,"
        " threshold REAL, unit TEXT NOT NULL, count INTEGER NOT NULL, coverage REAL, note TEXT NOT NULL,"
        " PRIMARY KEY (at, rule, scope, state)) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE alert_note (at INTEGER NOT NULL, kind TEXT NOT NULL, slot INTEGER NOT NULL, ref TEXT NOT NULL,"
        " who TEXT NOT NULL, via TEXT NOT NULL, channel TEXT NOT NULL, until INTEGER, why TEXT NOT NULL,"
        " about TEXT NOT NULL, alerts TEXT NOT NULL, PRIMARY KEY (at, kind, slot)) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE happening (start INTEGER NOT NULL, kind TEXT NOT NULL, service TEXT NOT NULL, source TEXT NOT NULL,"
        ' id TEXT NOT NULL, "end" INTEGER, text TEXT NOT NULL, team TEXT NOT NULL,'
        " PRIMARY KEY (start, kind, service, source, id)) WITHOUT ROWID",
    ),
)

KPI_SCHEMA = Schema(
    what="the KPI store",
    application_id=_APPLICATION_ID,
    migrations=_MIGRATIONS,
    start="start csf up, or name its data directory",
    repair="move it away, start again and rebuild it with csf replay",
    elsewhere="name another file and rebuild it with csf replay",
)
