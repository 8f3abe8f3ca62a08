"""The KPI store port: the few things the pipeline asks of a store.

Every write is idempotent: the same identity (measurement, tags, time) overwrites. Two adapters implement it:
``pipeline.stores.sqlite.SqliteStore`` and ``pipeline.stores.influx.InfluxStore``; the same contract tests run on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.values import AlertChange, AlertNote, CsfStatus, Exits, Happening, KpiRevision, KpiValue, ReportText


class KpiStore(Protocol):
    """Where KPI values live. Methods are synchronous; callers on an event loop use a thread.

    Raises:
        StoreUnavailable: the store does not answer or is overloaded (``retry_after_s`` if it said so).
        StoreRejected: the store refuses the data or the credentials.
    """

    def write_values(self, values: Sequence[KpiValue]) -> None:
        """Write values: ``state == "live"`` to the live measurement, others to the period measurement."""

    def write_statuses(self, statuses: Sequence[CsfStatus]) -> None:
        """Write CSF statuses (periods and windows)."""

    def write_revisions(self, revisions: Sequence[KpiRevision]) -> None:
        """Keep superseded values of closed periods."""

    def write_report_texts(self, texts: Sequence[ReportText]) -> None:
        """Keep what the newest issue of a report says of each CSF, scope and period."""

    def write_alerts(self, changes: Sequence[AlertChange]) -> None:
        """Keep changes of alerts; identity: rule, scope, instant and state."""

    def write_alert_notes(self, notes: Sequence[AlertNote]) -> None:
        """Keep what people and channels did about alerts; identity: instant, kind and slot."""

    def write_exits(self, exits: Sequence[Exits]) -> None:
        """Keep the latest exit counts of source partitions."""

    def write_happenings(self, happenings: Sequence[Happening]) -> None:
        """Keep what happened to services; what is gone is no longer returned."""

    def periods(
        self,
        *,
        period: str,
        kpis: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[KpiValue]:
        """Return period values, ``start_from <= start <= start_to``, ordered by (start, kpi, scope)."""

    def live(
        self,
        *,
        window: str,
        kpis: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        end_from: int | None = None,
    ) -> list[KpiValue]:
        """Return live values of a window ordered by (end, kpi, scope); without ``end_from`` only the newest each."""

    def statuses(
        self,
        *,
        period: str,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
        latest: bool = False,
    ) -> list[CsfStatus]:
        """Return CSF statuses; ``latest`` gives only the newest a (csf, scope)."""

    def revisions(
        self,
        *,
        period: str,
        kpi: str | None = None,
        start: int | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[KpiRevision]:
        """Return superseded values ordered by (start, kpi, scope, revision); ``start`` is both ends of the range."""

    def report_texts(
        self,
        *,
        period: str,
        scopes: Sequence[str] | None = None,
        start_from: int | None = None,
        start_to: int | None = None,
    ) -> list[ReportText]:
        """Return what issued reports say, ordered by (start, csf, scope)."""

    def alerts(
        self, *, at_from: int | None = None, at_to: int | None = None, scopes: Sequence[str] | None = None
    ) -> list[AlertChange]:
        """Return changes of alerts, ``at_from <= at <= at_to``, ordered by (at, rule, scope, state)."""

    def alert_notes(self, *, at_from: int | None = None, at_to: int | None = None) -> list[AlertNote]:
        """Return what people and channels did about alerts, ``at_from <= at <= at_to``, ordered by (at, kind, slot)."""

    def happenings(
        self, *, start_from: int | None = None, start_to: int | None = None, services: Sequence[str] | None = None
    ) -> list[Happening]:
        """Return what happened to services, ``start_from <= start <= start_to``, ordered by (start, kind, service, source, id)."""

    def exits(self) -> list[Exits]:
        """Return the latest exit counts of every source partition."""

    def scopes(self) -> list[str]:
        """Return all scopes that have values, sorted."""

    def check(self) -> str:
        """Return one line that says the store is well (name, version, where), or raise."""

    def close(self) -> None:
        """Release files and connections."""
