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
    NOTE_FIELDS,
    NOTES_QUERY,
    ORDER,
    PUT_HAPPENING,
    VALUE_COLUMNS,
    alerts_query,
    decode_values,
    happenings_query,
    label_texts,
    newest_query,
    range_arguments,
    range_query,
)
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

_KIND_LIVE, _KIND_STATUS = 0, 1
#: Rows that one write removes at most of what is older than the retention: old days go in small steps.
_RETENTION_STEP = 5_000
#: Checking a file page by page takes about a second for this size; larger ones are only opened.
_QUICK_CHECK_BYTES = 256 * 2**20


class SqliteStore:
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

    # -- writing -------------------------------------------------------------------------------------------

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
                        _KIND_LIVE,
                        ((v.period, v.kpi, v.scope, v.csf, v.definition_version, v.end) for v in live),
                    )
                    self._forget(connection, _KIND_LIVE, int(oldest))
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
        table, column = ("kpi_live", "ends") if kind == _KIND_LIVE else ("csf_status", "starts")
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
                    connection, _KIND_STATUS, ((s.period, "", s.scope, s.csf, NO_DEFINITION, s.start) for s in kept)
                )
                self._forget(connection, _KIND_STATUS, int(oldest))
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

    # -- reading -------------------------------------------------------------------------------------------

    def periods(
        self,
        *,
        period: str,
        kpis: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[KpiValue]:
        """Return period values; see the port."""
        with self._file.reader() as connection:
            query = range_query("kpi_period", VALUE_COLUMNS, kpis, scopes)
            found = connection.execute(
                f"{query} ORDER BY v.starts, {ORDER}", range_arguments(period, kpis, scopes, start_from, start_to)
            )
            return common.newest_definitions(decode_values(connection, period, found), live=False)

    def live(
        self,
        *,
        window: str,
        kpis: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        end_from: int | None = None,
    ) -> list[KpiValue]:
        """Return live values; see the port."""
        with self._file.reader() as connection:
            if end_from is not None:
                query = range_query("kpi_live", VALUE_COLUMNS, kpis, scopes)
                arguments = range_arguments(window, kpis, scopes, end_from, None)
            else:
                query = newest_query("kpi_live", VALUE_COLUMNS, kpis, scopes)
                arguments = [_KIND_LIVE, window, *(kpis or ()), *(scopes or ())]
            found = connection.execute(f"{query} ORDER BY v.ends, {ORDER}", arguments)
            values = common.newest_definitions(decode_values(connection, window, found), live=True)
        # Series of an older definition have a newest value too: of each KPI and scope only the last one counts.
        return values if end_from is not None else common.newest_only(values)

    def statuses(
        self,
        *,
        period: str,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
        latest: bool = False,
    ) -> list[CsfStatus]:
        """Return CSF statuses ordered by (start, csf, scope); see the port."""
        columns = "v.starts, v.ends, v.status, v.score, v.known_weight, v.total_weight, v.worst_service"
        with self._file.reader() as connection:
            if latest and start_from is None and start_to is None:
                query = newest_query("csf_status", columns, None, scopes)
                arguments = [_KIND_STATUS, period, *(scopes or ())]
            else:
                query = range_query("csf_status", columns, None, scopes)
                arguments = range_arguments(period, None, scopes, start_from, start_to)
            found = connection.execute(f"{query} ORDER BY v.starts, s.csf, s.scope", arguments).fetchall()
            labels = label_texts(connection)
        statuses = [
            CsfStatus(
                csf=row[2],
                scope=row[1],
                period=period,
                start=row[4],
                end=row[5],
                status=labels[row[6]],
                score=row[7],
                known_weight=row[8],
                total_weight=row[9],
                worst_service=row[10],
            )
            for row in found
        ]
        return common.latest_statuses(statuses) if latest else statuses

    def revisions(
        self,
        *,
        period: str,
        kpi: str | None = None,
        start: int | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[KpiRevision]:
        """Return superseded values; see the port."""
        if start is not None:
            start_from = start_to = start
        kpis = None if kpi is None else [kpi]
        with self._file.reader() as connection:
            query = range_query("kpi_revision", "v.starts, v.revision, v.value, v.reason, v.replaced_by", kpis, None)
            found = connection.execute(
                f"{query} ORDER BY v.starts, s.kpi, s.scope, v.revision, s.csf",
                range_arguments(period, kpis, None, start_from, start_to),
            ).fetchall()
        return [
            KpiRevision(
                csf=row[2],
                kpi=row[0],
                scope=row[1],
                period=period,
                start=row[4],
                revision=row[5],
                value=row[6],
                reason=row[7],
                replaced_by=row[8],
            )
            for row in found
        ]

    def report_texts(
        self,
        *,
        period: str,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[ReportText]:
        """Return what issued reports say; see the port."""
        columns = "v.starts, v.verdict, v.insight, v.concerns, v.suggestions, v.issue"
        with self._file.reader() as connection:
            found = connection.execute(
                f"{range_query('report_text', columns, None, scopes)} ORDER BY v.starts, s.csf, s.scope",
                range_arguments(period, None, scopes, start_from, start_to),
            ).fetchall()
            labels = label_texts(connection)
        return [
            ReportText(
                csf=row[2],
                scope=row[1],
                period=period,
                start=row[4],
                verdict=labels[row[5]],
                insight=row[6],
                concerns=row[7],
                suggestions=row[8],
                issue=row[9],
            )
            for row in found
        ]

    def alerts(
        self, *, at_from: int | None = None, at_to: int | None = None, scopes: Sequence[str] | None = None
    ) -> list[AlertChange]:
        """Return changes of alerts; see the port."""
        first, last = (0 if at_from is None else at_from), (2**53 if at_to is None else at_to)
        with self._file.reader() as connection:
            found = connection.execute(alerts_query(scopes), [first, last, *(scopes or ())]).fetchall()
        return [AlertChange(**dict(zip(ALERT_FIELDS, row, strict=True))) for row in found]

    def alert_notes(self, *, at_from: int | None = None, at_to: int | None = None) -> list[AlertNote]:
        """Return what people and channels did about alerts; see the port."""
        between = [0 if at_from is None else at_from, 2**53 if at_to is None else at_to]
        with self._file.reader() as connection:
            found = connection.execute(NOTES_QUERY, between).fetchall()
        notes = []
        for row in found:
            fields = dict(zip(NOTE_FIELDS, row, strict=True))
            fields["alerts"] = msgspec.json.decode(fields["alerts"], type=tuple[str, ...])
            notes.append(AlertNote(**fields))
        return notes

    def happenings(
        self, *, start_from: int | None = None, start_to: int | None = None, services: Sequence[str] | None = None
    ) -> list[Happening]:
        """Return what happened to services; see the port."""
        first, last = (-(2**53) if start_from is None else start_from), (2**53 if start_to is None else start_to)
        with self._file.reader() as connection:
            found = connection.execute(happenings_query(services), [first, last, *(services or ())]).fetchall()
        return [Happening(**dict(zip(HAPPENING_FIELDS, row, strict=True))) for row in found]

    def exits(self) -> list[Exits]:
        """Return the latest exit counts of every source partition, ordered by (topic, partition)."""
        with self._file.reader() as connection:
            found = connection.execute("SELECT * FROM exits ORDER BY topic, partition").fetchall()
        return [
            Exits(
                topic=row[0],
                partition=row[1],
                received=row[2],
                kpi=row[3],
                dead_letter=row[4],
                duplicate=row[5],
                unmapped=row[6],
                ignored=row[7],
                reasons=msgspec.json.decode(row[8], type=dict[str, int]),
                truncated=row[9],
                clock=row[10],
            )
            for row in found
        ]

    def scopes(self) -> list[str]:
        """Return all scopes that ever had a value, sorted."""
        with self._file.reader() as connection:
            found = connection.execute(
                "SELECT DISTINCT scope FROM series WHERE definition <> ? ORDER BY scope", (NO_DEFINITION,)
            ).fetchall()
        return [row[0] for row in found]

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
