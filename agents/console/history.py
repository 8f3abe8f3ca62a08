"""What came before: the series behind sparklines, trend lines and changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.console.selection import Selection
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.time.panes import FIVE_MINUTES, HOUR, MINUTE, SLIDE
from pipeline.values import WINDOWS, CsfStatus, KpiValue

MONTHS = 13
DAYS = 31
#: Points of a sparkline at most; live series have more and are thinned.
MOST_POINTS = 60
#: How far back the line of a live value goes, by how often its window slides, seconds.
_LIVE_SPAN_S = {MINUTE: 7_200, FIVE_MINUTES: 86_400, HOUR: 7 * 86_400}
#: How long a history may be shown before it is read again, seconds; the newest value is added when shown.
PERIOD_TTL_S = 5.0
_LIVE_TTL_S = {MINUTE: 20.0, FIVE_MINUTES: 60.0, HOUR: 600.0}


@dataclass(frozen=True)
class History:
    """Values by KPI and statuses by CSF of one scope, oldest first."""

    values: dict[str, list[KpiValue]]
    statuses: dict[str, list[CsfStatus]]


def ttl(period: str) -> float:
    """Return how long a history of a period or window may be shown before it is read again, seconds."""
    return _LIVE_TTL_S[SLIDE[period]] if period in WINDOWS else PERIOD_TTL_S


def _grouped(values: Sequence[KpiValue], statuses: Sequence[CsfStatus]) -> History:
    by_kpi: dict[str, list[KpiValue]] = {}
    for v in values:
        by_kpi.setdefault(v.kpi, []).append(v)
    by_csf: dict[str, list[CsfStatus]] = {}
    for s in statuses:
        by_csf.setdefault(s.csf, []).append(s)
    return History(by_kpi, by_csf)


def first_start(period: str, start: int, calendar: Calendar) -> int:
    """Return where the history of a month or day begins: 13 months or 31 days, the last one included."""
    first = start
    for _ in range((MONTHS if period == "month" else DAYS) - 1):
        first = calendar.period(period, first - 1)[0]
    return first


def period_history(scope: str, period: str, start: int, calendar: Calendar) -> Callable[[KpiStore], History]:
    """Return the question for the months or days up to and including ``start``."""
    first = first_start(period, start, calendar)

    def question(store: KpiStore) -> History:
        return _grouped(
            store.periods(period=period, scopes=[scope], start_from=first, start_to=start),
            store.statuses(period=period, scopes=[scope], start_from=first, start_to=start),
        )

    return question


def live_history(selection: Selection, kpis: Sequence[str], end: int) -> Callable[[KpiStore], History]:
    """Return the question for the recent values of a window that now ends at ``end``."""
    since = end - _LIVE_SPAN_S[SLIDE[selection.period]]
    window, scopes = selection.period, [selection.scope]

    def question(store: KpiStore) -> History:
        return _grouped(
            store.live(window=window, scopes=scopes, kpis=list(kpis), end_from=since),
            store.statuses(period=window, scopes=scopes, start_from=since - WINDOWS[window]),
        )

    return question


def thinned(points: list[list[float | None]]) -> list[list[float | None]]:
    """Return at most ``MOST_POINTS`` of the points, evenly spread, the last always."""
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(MOST_POINTS)]


def _drawn(value: float | None) -> float | None:
    """Return a value as exact as a line can show it: sparklines are most of what is sent."""
    return None if value is None else float(f"{value:.5g}")


def line(
    found: Sequence[tuple[int, float | None]], selection: Selection, start: int | None, calendar: Calendar
) -> list[list[float | None]]:
    """Return a sparkline as ``[epoch seconds, value]``; months and days without a value are null, not left out."""
    if selection.live:
        return thinned([[at, _drawn(value)] for at, value in found])
    if start is None:
        return []
    known = dict(found)
    at, last = first_start(selection.period, start, calendar), start
    points: list[list[float | None]] = []
    while at <= last:
        points.append([at, _drawn(known.get(at))])
        at = calendar.period(selection.period, at)[1]
    return points


def previous_start(period: str, start: int, calendar: Calendar) -> int:
    """Return the start of the period before."""
    return calendar.period(period, start - 1)[0]
