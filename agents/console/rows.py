"""Values as rows and series: what ``kpis`` and ``series`` answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agents.console.describe import value_row
from agents.console.selection import PERIODS, BadParameterError, one_of, parse_start, several
from pipeline.catalogue.model import Catalogue
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS, KpiValue

#: How many values one answer may hold.
MOST_ROWS = 100_000
_LENGTH_S = {"hour": 3_600, "day": 86_400, "month": 28 * 86_400}
#: How far back an answer goes where ``from`` is absent, seconds; months: all.
_DEFAULT_SPAN_S = {"hour": 7 * 86_400, "day": 92 * 86_400}

ROW_PARAMETERS = ("csf", "kpi", "scope", "period", "from", "to", "window")
SERIES_PARAMETERS = ("csf", "kpi", "scope", "period", "from", "to", "window", "last")


@dataclass(frozen=True)
class Range:
    """Which values are asked for; ``first`` and ``last`` are starts of periods, both included."""

    kpis: tuple[str, ...] | None
    scopes: tuple[str, ...] | None
    period: str
    first: int | None
    last: int | None

    def values(self, store: KpiStore) -> list[KpiValue]:
        """Read the values."""
        kpis = None if self.kpis is None else list(self.kpis)
        scopes = None if self.scopes is None else list(self.scopes)
        if self.period in WINDOWS:
            return store.live(window=self.period, kpis=kpis, scopes=scopes)
        return store.periods(period=self.period, kpis=kpis, scopes=scopes, start_from=self.first, start_to=self.last)


def _kpis(parameters: Mapping[str, str], catalogue: Catalogue) -> tuple[str, ...] | None:
    """Return the KPIs that ``kpi`` and ``csf`` name together; None for all."""
    csfs = several("csf", parameters.get("csf"), catalogue.csfs)
    named = several("kpi", parameters.get("kpi"), catalogue.kpis)
    if csfs is None:
        return None if named is None else tuple(named)
    inside = [k.id for k in catalogue.kpis.values() if k.csf in csfs]
    if named is None:
        return tuple(inside)
    for kpi in named:
        one_of("kpi", kpi, inside)
    return tuple(named)


def parse_range(
    parameters: Mapping[str, str], catalogue: Catalogue, scopes: list[str], calendar: Calendar, now_s: float
) -> Range:
    """Return the range that a request's parameters make.

    Raises:
        BadParameterError: a value is not allowed, or the answer would be larger than ``MOST_ROWS``.
    """
    kpis = _kpis(parameters, catalogue)
    wanted = several("scope", parameters.get("scope"), scopes)
    if "window" in parameters:
        for name in ("period", "from", "to"):
            if name in parameters:
                raise BadParameterError(
                    f"window and {name} exclude each other; allowed: window, or period, from and to"
                )
        window = one_of("window", parameters["window"], WINDOWS)
        return Range(kpis, None if wanted is None else tuple(wanted), window, None, None)
    period = one_of("period", parameters.get("period", "month"), PERIODS)
    first = parse_start("from", parameters["from"], period, calendar) if "from" in parameters else None
    last = parse_start("to", parameters["to"], period, calendar) if "to" in parameters else None
    if first is None and period in _DEFAULT_SPAN_S:
        first = int(last if last is not None else now_s) - _DEFAULT_SPAN_S[period]
    if first is not None and last is not None and first > last:
        raise BadParameterError(
            f"from '{parameters['from']}' is later than to '{parameters['to']}'; allowed: from up to to, both included"
        )
    if first is not None:
        periods = max(1.0, ((last if last is not None else now_s) - first) / _LENGTH_S[period])
        rows = periods * len(kpis or catalogue.kpis) * len(wanted or scopes)
        if rows > MOST_ROWS:
            raise BadParameterError(
                f"this asks for up to {rows:.0f} values; allowed: {MOST_ROWS}; narrow it by kpi, scope, from or to"
            )
    return Range(kpis, None if wanted is None else tuple(wanted), period, first, last)


def rows_question(asked: Range, calendar: Calendar) -> Callable[[KpiStore], list[dict[str, Any]]]:
    """Return the question for the rows of a range."""
    return lambda store: [value_row(v, calendar) for v in asked.values(store)]


def _kpi_points(values: list[KpiValue], calendar: Calendar) -> list[dict[str, Any]]:
    return [
        {
            "start": calendar.iso(v.start),
            "end": calendar.iso(v.end),
            "value": v.value,
            "count": v.count,
            "coverage": v.coverage,
            "target": v.target,
            "status": v.status,
            "state": v.state,
            "revision": v.revision,
        }
        for v in values
    ]


def series_question(
    asked: Range, csf: str | None, since: int | None, calendar: Calendar
) -> Callable[[KpiStore], list[dict[str, Any]]]:
    """Return the question for one line: of a KPI, or of a CSF's score; ``since`` is the first end of live values."""
    scopes = list(asked.scopes or ("org",))

    def kpi_line(store: KpiStore) -> list[dict[str, Any]]:
        kpis = list(asked.kpis or ())
        if asked.period in WINDOWS:
            return _kpi_points(store.live(window=asked.period, kpis=kpis, scopes=scopes, end_from=since), calendar)
        return _kpi_points(asked.values(store), calendar)

    def score_line(store: KpiStore) -> list[dict[str, Any]]:
        first = asked.first if since is None else since - WINDOWS[asked.period]
        found = store.statuses(period=asked.period, scopes=scopes, start_from=first, start_to=asked.last)
        return [
            {"start": calendar.iso(s.start), "end": calendar.iso(s.end), "value": s.score, "status": s.status}
            for s in found
            if s.csf == csf
        ]

    return kpi_line if csf is None else score_line
