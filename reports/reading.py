"""From the KPI store to the inputs of a report: one query of each kind, whatever the number of services."""

from __future__ import annotations

import re

from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue
from pipeline.errors import ConfigError
from pipeline.evaluate.exits import clock_of
from pipeline.report.inputs import ReportInputs, month_name, months_to
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar

_MONTH = re.compile(r"(19[7-9]\d|20\d\d|21\d\d)-(0[1-9]|1[0-2])")
LATEST = "latest"


class ReportReader:
    """Reads what reports need from a store.

    Args:
        store: whose values are reported.
        catalogue: whose zone, services and KPIs hold.
        machine_now: epoch seconds by this machine's clock; used only before the first event.
    """

    def __init__(self, store: KpiStore, catalogue: Catalogue, machine_now: float) -> None:
        self._store = store
        self._catalogue = catalogue
        self._calendar = Calendar(catalogue.organisation.zone)
        self._exits = store.exits()
        self._now = clock_of(self._exits) or machine_now
        self._directory = Directory(catalogue, tuple(store.scopes()))

    @property
    def directory(self) -> Directory:
        """The scopes and services there are."""
        return self._directory

    @property
    def now(self) -> float:
        """The time up to which the pipeline has worked through what arrived, epoch seconds."""
        return self._now

    def month(self, name: str, scope: str) -> str:
        """Return the month that a name means: itself, or for ``latest`` the newest with values that is over.

        Where no month is over yet, the running one is the latest.

        Raises:
            ConfigError: it is no month, has not begun, or the scope has no months.
        """
        if name == LATEST:
            return self._latest(scope)
        if not _MONTH.fullmatch(name):
            raise ConfigError(f"'{name}' is no month; write it like 2026-10, or say {LATEST}")
        if self._calendar.parse_month(name) > self._now:
            raise ConfigError(
                f"{name} has not begun: the data have come to {self._calendar.iso(int(self._now))}; name a month up to "
                "that one"
            )
        return name

    def _latest(self, scope: str) -> str:
        starts = sorted({s.start for s in self._store.statuses(period="month", scopes=[scope])})
        starts = starts or sorted({v.start for v in self._store.periods(period="month", scopes=[scope])})
        if not starts:
            raise ConfigError(f"there are no months of {scope} yet: import something, or run `csf up`")
        over = [start for start in starts if self._calendar.next_month(start) <= self._now]
        return month_name(self._calendar, over[-1] if over else starts[-1])

    def check_scope(self, scope: str) -> None:
        """Raise where a scope is none, or neither catalogue nor store know it."""
        if scope != "org" and not re.fullmatch(r"(team|service):.+", scope):
            raise ConfigError(f"--scope {scope}: is none of org, team:ID, service:ID")
        known = self._directory.scopes()
        if scope not in known:
            kind = scope.partition(":")[0]
            there = [s for s in known if s.startswith(f"{kind}:")]
            named = ", ".join(there[:20]) + (" ..." if len(there) > 20 else "")
            raise ConfigError(f"--scope {scope}: there is no such {kind}; there are: {named or 'none'}")

    def end(self, inputs: ReportInputs) -> int:
        """Return the end of the month that was read, epoch seconds."""
        return self._calendar.next_month(self._calendar.parse_month(inputs.month))

    def read(self, month: str, scope: str) -> ReportInputs:
        """Return what the store says of a month and a scope.

        Args:
            month: ``2026-10``; see ``month``.
            scope: see ``check_scope``.

        Raises:
            StoreUnavailable, StoreRejected: the store does not answer, or refuses.
        """
        start = self._calendar.parse_month(month)
        starts = months_to(self._calendar, start)
        first, before = starts[0], starts[-2]
        below = self._directory.services(scope)
        inside = {scope, *below}
        values = self._store.periods(period="month", scopes=[scope], start_from=first, start_to=start)
        # of all services there are, reading everything is quicker than naming each
        wanted = None if scope == "org" else below
        services = (
            self._store.periods(period="month", scopes=wanted, start_from=before, start_to=start) if below else []
        )
        revisions = [
            r for r in self._store.revisions(period="month") if r.scope in inside and first <= r.start <= start
        ]
        return ReportInputs(
            month=month,
            scope=scope,
            clock=self._now,
            values=values,
            services=[v for v in services if v.scope in inside and v.scope != scope],
            statuses=self._store.statuses(period="month", scopes=[scope], start_from=first, start_to=start),
            revisions=revisions,
            exits=self._exits,
            stored=self._directory.stored,
        )
