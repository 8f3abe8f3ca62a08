"""The KPI store in InfluxDB 2.x: measurements, tags and times as ``docs/storage.md`` lists them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from influxdb_client import BucketRetentionRules

from pipeline.errors import StoreRejected
from pipeline.stores import common, influx_databases, influx_flux, influx_lines, influx_rows
from pipeline.stores.influx_http import InfluxConnection, Precision
from pipeline.stores.influx_lines import ALERT, EXITS, HAPPENING, LIVE, NOTE, PERIOD, REVISION, STATUS, TEXT
from pipeline.stores.influx_rows import Row
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

_T = TypeVar("_T")


class InfluxStore:
    """A KPI store in two buckets; implements ``pipeline.stores.port.KpiStore``.

    Args:
        url, token, org: the server, an API token that may read and write both buckets, its organisation.
        live_bucket: rolling windows, kept ``live_retention_s``.
        history_bucket: periods, revisions, exit counts, kept for good.
        timeout_s: longest wait for the answer to a write, query_timeout_s: to a query (many series are slow).
        live_retention_s: older live points are not written and counted in ``skipped_old``.
        clock: epoch seconds now, for the retention only.
        ca_file: PEM certificates that the server's is checked by where the URL is https; None: the system's.

    Nothing is sent before the first call. Retrying is the caller's: StoreUnavailable says when.
    """

    def __init__(
        self,
        url: str,
        token: str,
        org: str,
        live_bucket: str = "csf_live",
        history_bucket: str = "csf_history",
        *,
        timeout_s: float = 10.0,
        query_timeout_s: float = 60.0,
        live_retention_s: float = common.LIVE_RETENTION_S,
        clock: Callable[[], float] = time.time,
        ca_file: Path | None = None,
    ) -> None:
        self._influx = InfluxConnection(url, token, org, timeout_s, query_timeout_s, ca_file)
        self._live = live_bucket
        self._history = history_bucket
        self._retention_s = live_retention_s
        self._clock = clock
        self.skipped_old = 0

    def setup_buckets(self) -> None:
        """Create the two buckets where they are missing; what exists stays as it is."""
        api = self._influx.client.buckets_api()
        for bucket, seconds in ((self._live, int(self._retention_s)), (self._history, 0)):
            with self._influx.errors("create", bucket):
                if api.find_bucket_by_name(bucket) is None:
                    rules = BucketRetentionRules(type="expire", every_seconds=seconds)
                    api.create_bucket(bucket_name=bucket, org=self._influx.org, retention_rules=rules)

    def map_databases(self) -> list[str]:
        """Let InfluxQL (Grafana) ask both buckets by their names; return the names that were mapped only now."""
        return [b for b in (self._live, self._history) if influx_databases.map_database(self._influx, b)]

    # -- writing -------------------------------------------------------------------------------------------

    def write_values(self, values: Sequence[KpiValue]) -> None:
        """Write values; see the port."""
        common.require_finite(values)
        live, period, old = common.split_live(values, self._clock() - self._retention_s)
        self._write(self._live, map(influx_lines.value_line, live))
        self._write(self._history, map(influx_lines.value_line, period))
        self.skipped_old += old

    def write_statuses(self, statuses: Sequence[CsfStatus]) -> None:
        """Write CSF statuses: those of windows to the live bucket, others to the history bucket."""
        common.require_finite_records(statuses)
        kept, old = common.split_statuses(statuses, self._clock() - self._retention_s)
        for bucket, part in (
            (self._live, [s for s in kept if s.period in WINDOWS]),
            (self._history, [s for s in kept if s.period not in WINDOWS]),
        ):
            self._write(bucket, map(influx_lines.status_line, part))
        self.skipped_old += old

    def write_revisions(self, revisions: Sequence[KpiRevision]) -> None:
        """Keep superseded values of closed periods."""
        common.require_finite_records(revisions)
        self._write(self._history, map(influx_lines.revision_line, revisions))

    def write_report_texts(self, texts: Sequence[ReportText]) -> None:
        """Keep what issued reports say; see the port."""
        self._write(self._history, map(influx_lines.text_line, texts))

    def write_alerts(self, changes: Sequence[AlertChange]) -> None:
        """Keep changes of alerts; see the port."""
        common.require_finite_records(changes)
        self._write(self._history, map(influx_lines.alert_line, changes))

    def write_alert_notes(self, notes: Sequence[AlertNote]) -> None:
        """Keep what people and channels did about alerts; see the port."""
        self._write(self._history, map(influx_lines.note_line, notes))

    def write_happenings(self, happenings: Sequence[Happening]) -> None:
        """Keep what happened to services; see the port."""
        self._write(self._history, map(influx_lines.happening_line, happenings), precision="ns")

    def write_exits(self, exits: Sequence[Exits]) -> None:
        """Keep the latest exit counts of source partitions."""
        common.require_finite_records(exits)
        self._write(self._history, map(influx_lines.exits_line, exits))

    def _write(self, bucket: str, lines: Iterable[str], *, precision: Precision = "s") -> None:
        written = list(lines)
        for line in written:
            try:
                line.encode()
            except UnicodeEncodeError as error:
                raise StoreRejected(
                    f"text with a lone surrogate cannot be stored: {line[:120]!r}; correct it at the source"
                ) from error
        if written:
            self.skipped_old += self._influx.write(bucket, written, precision)

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
        filters = {"period": [period], "kpi": kpis, "scope": scopes}
        rows = self._points(self._history, PERIOD, filters, start_from, start_to)
        values = self._decode(self._history, partial(influx_rows.row_value, live=False), rows)
        values.sort(key=lambda v: (v.start, v.kpi, v.scope, v.csf, v.definition_version))
        return common.newest_definitions(values, live=False)

    def live(
        self,
        *,
        window: str,
        kpis: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        end_from: int | None = None,
    ) -> list[KpiValue]:
        """Return live values; see the port."""
        filters = {"window": [window], "kpi": kpis, "scope": scopes}
        rows = self._points(self._live, LIVE, filters, end_from, None, newest=end_from is None)
        values = self._decode(self._live, partial(influx_rows.row_value, live=True), rows)
        values.sort(key=lambda v: (v.end, v.kpi, v.scope, v.csf, v.definition_version))
        values = common.newest_definitions(values, live=True)
        return common.newest_only(values) if end_from is None else values

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
        shift = WINDOWS.get(period, 0)
        bucket = self._live if period in WINDOWS else self._history
        rows = self._points(
            bucket,
            STATUS,
            {"period": [period], "scope": scopes},
            None if start_from is None else start_from + shift,
            None if start_to is None else start_to + shift,
            newest=latest and start_from is None and start_to is None,
        )
        statuses = sorted(self._decode(bucket, influx_rows.row_status, rows), key=lambda s: (s.start, s.csf, s.scope))
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
        filters = {"period": [period], "kpi": None if kpi is None else [kpi]}
        rows = self._points(self._history, REVISION, filters, start_from, start_to)
        return sorted(
            self._decode(self._history, influx_rows.row_revision, rows),
            key=lambda r: (r.start, r.kpi, r.scope, r.revision, r.csf),
        )

    def report_texts(
        self,
        *,
        period: str,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[ReportText]:
        """Return what issued reports say; see the port."""
        rows = self._points(self._history, TEXT, {"period": [period], "scope": scopes}, start_from, start_to)
        return sorted(self._decode(self._history, influx_rows.row_text, rows), key=lambda t: (t.start, t.csf, t.scope))

    def alerts(
        self, *, at_from: int | None = None, at_to: int | None = None, scopes: Sequence[str] | None = None
    ) -> list[AlertChange]:
        """Return changes of alerts; see the port."""
        rows = self._points(self._history, ALERT, {"scope": scopes}, at_from, at_to)
        found = self._decode(self._history, influx_rows.row_alert, rows)
        return sorted(found, key=lambda c: (c.at, c.rule, c.scope, c.state))

    def alert_notes(self, *, at_from: int | None = None, at_to: int | None = None) -> list[AlertNote]:
        """Return what people and channels did about alerts; see the port."""
        found = self._decode(self._history, influx_rows.row_note, self._points(self._history, NOTE, {}, at_from, at_to))
        return sorted(found, key=lambda n: (n.at, n.kind, n.slot))

    def happenings(
        self, *, start_from: int | None = None, start_to: int | None = None, services: Sequence[str] | None = None
    ) -> list[Happening]:
        """Return what happened to services; see the port."""
        scopes = None if services is None else [f"service:{service}" for service in services]
        rows = self._points(self._history, HAPPENING, {"scope": scopes}, start_from, start_to)
        found = self._decode(self._history, influx_rows.row_happening, rows)
        return sorted((h for h in found if not h.gone), key=lambda h: (h.start, h.kind, h.service, h.source, h.id))

    def exits(self) -> list[Exits]:
        """Return the latest exit counts of every source partition, ordered by (topic, partition)."""
        at = influx_lines.EXITS_TIME
        rows = self._points(self._history, EXITS, {}, at, at)
        return sorted(self._decode(self._history, influx_rows.row_exits, rows), key=lambda e: (e.topic, e.partition))

    def scopes(self) -> list[str]:
        """Return all scopes that have values, sorted."""
        found: set[str] = set()
        for bucket, measurement in ((self._live, LIVE), (self._history, PERIOD)):
            rows = self._influx.query(bucket, influx_flux.tag_values(bucket, measurement, "scope"))
            found |= {influx_lines.tag_text(row["_value"]) for row in rows}
        return sorted(found)

    def _decode(self, bucket: str, decode: Callable[[Row], _T], rows: Iterable[Row]) -> list[_T]:
        """Decode rows; a point that is not ours, or whose field has another type elsewhere, is named."""
        row: Row = {}
        try:
            return [decode(row := row_) for row_ in rows]
        except (KeyError, ValueError, OverflowError, msgspec.MsgspecError) as error:
            raise StoreRejected(
                f"bucket {bucket} at {self._influx.url} has a point that csf-pulse did not write so "
                f"({error}; {dict(list(row.items())[3:9])}); delete it, or use buckets that nothing else writes to"
            ) from error

    def _points(
        self,
        bucket: str,
        measurement: str,
        tags: Mapping[str, Sequence[str] | None],
        time_from: int | None,
        time_to: int | None,
        *,
        newest: bool = False,
    ) -> list[Row]:
        if any(names is not None and not names for names in tags.values()):
            return []
        if time_from is not None and time_to is not None and time_from > time_to:
            return []
        flux = influx_flux.series(bucket, measurement, tags, time_from, time_to)
        rows = self._influx.query(bucket, flux + (influx_flux.NEWEST if newest else influx_flux.ROWS))
        wanted = {
            key: {influx_lines.tag_value(name) for name in names}
            for key, names in tags.items()
            if names is not None and len(names) > influx_flux.FILTER_NAMES
        }
        # A row without the field that every point has is a field that the newest point does not have.
        always = {
            STATUS: "total_weight",
            EXITS: "clock",
            REVISION: "known_fields",
            TEXT: "issue",
            HAPPENING: "shown",
        }.get(measurement, "known_fields")
        return [row for row in rows if row.get(always) and all(row[key] in names for key, names in wanted.items())]

    # -- upkeep --------------------------------------------------------------------------------------------

    def check(self) -> str:
        """Return one line that says the store is well, or raise: asks for both permissions on both buckets."""
        with self._influx.errors("read", None):
            version = self._influx.client.version()
        for bucket in (self._live, self._history):
            self._influx.check_write(bucket)
            flux = influx_flux.series(bucket, "none", {}, 0, 0)
            list(self._influx.query(bucket, flux))
        return (
            f"InfluxDB {version} at {self._influx.url}, organisation {self._influx.org},"
            f" buckets {self._live} and {self._history}"
        )

    def close(self) -> None:
        """Release connections; everything was sent when its write returned."""
        self._influx.close()
