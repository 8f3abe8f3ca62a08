"""The KPI store in one SQLite file: the embedded default.

One process writes, others read (WAL). A write is one transaction that is on the disk when the method returns:
the pipeline acknowledges its source only then.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pipeline.errors import StoreRejected
from pipeline.stores import common
from pipeline.stores.sqlite_file import SqliteFile
from pipeline.stores.sqlite_names import NO_DEFINITION, Names
from pipeline.stores.sqlite_query import (
    ALERT_FIELDS,
    DROP_HAPPENING,
    HAPPENING_FIELDS,
    KIND_LIVE,
    KIND_STATUS,
    NOTE_FIELDS,
    PUT_HAPPENING,
)
from pipeline.stores.sqlite_reading import SqliteReading
from pipeline.stores.sqlite_schema import KPI_SCHEMA
from pipeline.stores.sqlite_versions import file_version
from pipeline.values import (
    WINDOWS,
    AlertChange,
    AlertNote,
    CsfStatus,
    Exits,
    Happening,
    KpiRevision,
    KpiValue,
    ReportText,
)

#: Rows that one write removes at most of what is older than the retention: old days go in small steps.
_RETENTION_STEP = 5_000
#: Checking a file page by page takes about a second for this size; larger ones are only opened.
_QUICK_CHECK_BYTES = 256 * 2**20


class SqliteStore(SqliteReading):
    """A KPI store in one file; implements ``pipeline.stores.port.KpiStore``.

    Args:
        path: the file; it is made where it does not exist (its directory must exist).
        read_only: never write, and refuse a file that does not exist; for commands that only look.
        live_retention_s: live values that ended longer ago are not written (counted in ``skipped_old``)
            and removed in small steps.
        busy_timeout_s: how long a write waits for another process's write.
        clock: epoch seconds now, for the retention only.

    Raises:
        StoreUnavailable: directory or file cannot be opened, or the disk is full.
        StoreRejected: the file is damaged, foreign, or of a newer version.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        read_only: bool = False,
        live_retention_s: float = common.LIVE_RETENTION_S,
        busy_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retention_s = live_retention_s
        self._clock = clock
        self._names = Names()
        self.skipped_old = 0
        self._file = SqliteFile(path, KPI_SCHEMA, read_only=read_only, busy_timeout_s=busy_timeout_s)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._file.transaction() as connection:
                self._names.connection = connection
                yield connection
        except BaseException:
            # What the names learnt in this transaction was rolled back with it.
            self._names.forget()
            raise

    def write_values(self, values: Sequence[KpiValue]) -> None:
        """Write values; see the port. Old live values are not written but counted in ``skipped_old``."""
        common.require_finite(values)
        oldest = self._clock() - self._retention_s
        live, period, old = common.split_live(values, oldest)
        if live or period:
            with self._writing() as connection:
                if live:
                    self._put_values(connection, "kpi_live", "ends, starts", live)
                    self._put_newest(
                        connection,
                        KIND_LIVE,
                        ((v.period, v.kpi, v.scope, v.csf, v.definition_version, v.end) for v in live),
                    )
                    self._forget(connection, KIND_LIVE, int(oldest))
                if period:
                    self._put_values(connection, "kpi_period", "starts, ends", period)
        self.skipped_old += old

    def _put_values(self, connection: sqlite3.Connection, table: str, times: str, values: Sequence[KpiValue]) -> None:
        live = table == "kpi_live"
        label, series = self._names.label, self._names.series
        rows = [
            (
                label(v.period),
                v.end if live else v.start,
                v.start if live else v.end,
                series(v.kpi, v.scope, v.csf, v.definition_version),
                v.value,
                v.numerator,
                v.denominator,
                v.count,
                v.coverage,
                v.target,
                label(v.status),
                v.score,
                label(v.state),
                v.revision,
                v.reported,
                v.previous,
                label(v.unit),
                v.reason,
            )
            for v in values
        ]
        # In the order of the key, so that neighbouring rows go to the same page.
        rows.sort(key=lambda row: (row[0], row[1], row[3]))
        connection.executemany(
            f"INSERT OR REPLACE INTO {table} (period, {times}, series, value, numerator, denominator, count,"  # noqa: S608 - table is one of two constants
            " coverage, target, status, score, state, revision, reported, previous, unit, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _put_newest(
        self, connection: sqlite3.Connection, kind: int, points: Iterable[tuple[str, str, str, str, int, int]]
    ) -> None:
        newest: dict[tuple[int, int], int] = {}
        for period, kpi, scope, csf, definition, at in points:
            key = (self._names.label(period), self._names.series(kpi, scope, csf, definition))
            newest[key] = max(at, newest.get(key, at))
        connection.executemany(
            "INSERT INTO newest VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            [(kind, period, series, at) for (period, series), at in newest.items()],
        )

    def _forget(self, connection: sqlite3.Connection, kind: int, oldest: int) -> None:
        """Remove some of what ended before ``oldest``, a moment at a time, about a step's rows."""
        table, column = ("kpi_live", "ends") if kind == KIND_LIVE else ("csf_status", "starts")
        left = _RETENTION_STEP
        for window, length in WINDOWS.items():
            period = self._names.label(window)
            before = oldest - length if column == "starts" else oldest
            while left > 0:
                first = connection.execute(f"SELECT min({column}) FROM {table} WHERE period = ?", (period,))  # noqa: S608 - constants
                at = first.fetchone()[0]
                if at is None or at >= before:
                    break
                gone = connection.execute(f"DELETE FROM {table} WHERE period = ? AND {column} = ?", (period, at))  # noqa: S608 - constants
                connection.execute("DELETE FROM newest WHERE kind = ? AND period = ? AND at = ?", (kind, period, at))
                left -= max(gone.rowcount, 1)

    def write_statuses(self, statuses: Sequence[CsfStatus]) -> None:
        """Write CSF statuses; those of rolling windows older than the retention are counted, not written."""
        common.require_finite_records(statuses)
        oldest = self._clock() - self._retention_s
        kept, old = common.split_statuses(statuses, oldest)
        if kept:
            with self._writing() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO csf_status VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            self._names.label(s.period),
                            s.start,
                            self._names.series("", s.scope, s.csf, NO_DEFINITION),
                            s.end,
                            self._names.label(s.status),
                            s.score,
                            s.known_weight,
                            s.total_weight,
                            s.worst_service,
                        )
                        for s in kept
                    ],
                )
                self._put_newest(
                    connection, KIND_STATUS, ((s.period, "", s.scope, s.csf, NO_DEFINITION, s.start) for s in kept)
                )
                self._forget(connection, KIND_STATUS, int(oldest))
        self.skipped_old += old

    def write_revisions(self, revisions: Sequence[KpiRevision]) -> None:
        """Keep superseded values of closed periods."""
        common.require_finite_records(revisions)
        if revisions:
            with self._writing() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO kpi_revision VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            self._names.label(r.period),
                            r.start,
                            self._names.series(r.kpi, r.scope, r.csf, NO_DEFINITION),
                            r.revision,
                            r.value,
                            r.reason,
                            r.replaced_by,
                        )
                        for r in revisions
                    ],
                )

    def write_report_texts(self, texts: Sequence[ReportText]) -> None:
        """Keep what issued reports say; see the port."""
        if texts:
            with self._writing() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO report_text VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            self._names.label(t.period),
                            t.start,
                            self._names.series("", t.scope, t.csf, NO_DEFINITION),
                            self._names.label(t.verdict),
                            t.insight,
                            t.concerns,
                            t.suggestions,
                            t.issue,
                        )
                        for t in texts
                    ],
                )

    def write_alerts(self, changes: Sequence[AlertChange]) -> None:
        """Keep changes of alerts; see the port."""
        common.require_finite_records(changes)
        if changes:
            marks = ", ".join("?" * len(ALERT_FIELDS))
            with self._writing() as connection:
                connection.executemany(
                    f"INSERT OR REPLACE INTO alert ({', '.join(ALERT_FIELDS)}) VALUES ({marks})",  # noqa: S608 - constants
                    [tuple(getattr(change, name) for name in ALERT_FIELDS) for change in changes],
                )

    def write_alert_notes(self, notes: Sequence[AlertNote]) -> None:
        """Keep what people and channels did about alerts; see the port."""
        if notes:
            rows = [{**msgspec.structs.asdict(n), "alerts": msgspec.json.encode(n.alerts).decode()} for n in notes]
            marks = ", ".join(f":{name}" for name in NOTE_FIELDS)
            with self._writing() as connection:
                connection.executemany(
                    f"INSERT OR REPLACE INTO alert_note ({', '.join(NOTE_FIELDS)}) VALUES ({marks})",  # noqa: S608 - constants
                    rows,
                )

    def write_happenings(self, happenings: Sequence[Happening]) -> None:
        """Keep what happened to services; see the port."""
        if happenings:
            with self._writing() as connection:
                for found in happenings:
                    row = tuple(getattr(found, name) for name in HAPPENING_FIELDS)
                    connection.execute(*((DROP_HAPPENING, row[:5]) if found.gone else (PUT_HAPPENING, row)))

    def write_exits(self, exits: Sequence[Exits]) -> None:
        """Keep the latest exit counts of source partitions."""
        common.require_finite_records(exits)
        if exits:
            with self._writing() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO exits VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [
                        (
                            e.topic,
                            e.partition,
                            e.received,
                            e.kpi,
                            e.dead_letter,
                            e.duplicate,
                            e.unmapped,
                            e.ignored,
                            msgspec.json.encode(e.reasons).decode(),
                            e.truncated,
                            e.clock,
                        )
                        for e in exits
                    ],
                )

    def check(self) -> str:
        """Return one line that says the store is well (name, version, where, size), or raise."""
        with self._file.reader() as connection:
            version = file_version(connection, self._file.path, KPI_SCHEMA)
            size = Path(self._file.path).stat().st_size
            if size <= _QUICK_CHECK_BYTES:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    said = " ".join(verdict.split())
                    raise StoreRejected(f"the KPI store {self._file.path} is damaged ({said}); {KPI_SCHEMA.repair}")
        if not self._file.read_only:
            with self._file.transaction():
                pass  # the lock for writing can be had
        return f"SQLite {sqlite3.sqlite_version}, schema {version}, {self._file.path}, {size / 2**20:.1f} MiB"

    def close(self) -> None:
        """Release files and connections; safe to call twice."""
        self._file.close()
