"""Reading the KPI store's SQLite file."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.stores import common
from pipeline.stores.sqlite_file import SqliteFile
from pipeline.stores.sqlite_names import NO_DEFINITION
from pipeline.stores.sqlite_query import (
    ALERT_FIELDS,
    HAPPENING_FIELDS,
    KIND_LIVE,
    KIND_STATUS,
    NOTE_FIELDS,
    NOTES_QUERY,
    ORDER,
    VALUE_COLUMNS,
    alerts_query,
    decode_values,
    happenings_query,
    label_texts,
    newest_query,
    range_arguments,
    range_query,
)
from pipeline.values import AlertChange, AlertNote, CsfStatus, Exits, Happening, KpiRevision, KpiValue, ReportText


class SqliteReading:
    """What the port's reading methods give, from one file; ``SqliteStore`` also writes."""

    _file: SqliteFile

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
                arguments = [KIND_LIVE, window, *(kpis or ()), *(scopes or ())]
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
                arguments = [KIND_STATUS, period, *(scopes or ())]
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
