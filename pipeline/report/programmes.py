"""Service Improvement Programmes as reports show them: what was planned, and whether the KPI has really moved since.

Pure but for ``read_months``, which asks the KPI store's port.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from pipeline.catalogue.directory import Directory
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.report.inputs import month_name
from pipeline.report.kpireport import Point
from pipeline.report.model import SipReport
from pipeline.report.months import elapsed_share, month_point, value_state
from pipeline.report.register import Sip
from pipeline.report.results import judge_sip
from pipeline.stores.port import KpiStore
from pipeline.time.calendar import Calendar
from pipeline.values import KpiValue

#: Months before the start that a SIP's months are compared with.
MONTHS_BEFORE = 12

#: (KPI, scope) → months, oldest first
Months = Mapping[tuple[str, str], Sequence[Point]]


def sip_reports(sips: Iterable[Sip], months: Months, catalogue: Catalogue, today: date) -> list[SipReport]:
    """Return SIPs with how their KPIs have moved, in the order given.

    Args:
        sips: what was folded from the register.
        months: of each SIP's KPI and scope, from ``MONTHS_BEFORE`` months before its start to the month reported.
        catalogue: whose KPIs they improve; a KPI that it no longer has leaves the result unknown.
        today: the local date by which a SIP is overdue.
    """
    return [_report(sip, months.get((sip.kpi, sip.scope), ()), catalogue.kpis.get(sip.kpi), today) for sip in sips]


def in_report(sips: Iterable[Sip], catalogue: Catalogue, scope: str, month: str) -> list[Sip]:
    """Return the SIPs that a month's report of a scope shows.

    Those of the scope itself and of what it holds (the organisation holds all), that had started by the month's end and
    were not closed before it began.
    """
    directory = Directory(catalogue)
    return [s for s in sips if s.start[:7] <= month <= (s.closed_on or month)[:7] and _holds(directory, scope, s.scope)]


def read_months(
    store: KpiStore, sips: Sequence[Sip], catalogue: Catalogue, last: str, clock: float
) -> dict[tuple[str, str], list[Point]]:
    """Return the months that ``sip_reports`` needs, up to the month ``last``, in one query.

    ``clock`` is the data's time, epoch seconds: it tells how much of a running month has passed.

    Raises:
        StoreUnavailable, StoreRejected: as the store says.
    """
    if not sips:
        return {}
    calendar = Calendar(catalogue.organisation.zone)
    end = calendar.parse_month(last)
    first = min([end, *(_first_month(calendar, sip) for sip in sips)])
    values = store.periods(
        period="month",
        kpis=sorted({s.kpi for s in sips}),
        scopes=sorted({s.scope for s in sips}),
        start_from=first,
        start_to=end,
    )
    held = {(v.kpi, v.scope, v.start): v for v in values}
    starts = [end]
    while starts[-1] > first:
        starts.append(calendar.previous_month(starts[-1]))
    return {
        (s.kpi, s.scope): [_point(calendar, at, held.get((s.kpi, s.scope, at)), clock) for at in reversed(starts)]
        for s in sips
    }


def _first_month(calendar: Calendar, sip: Sip) -> int:
    start = calendar.parse_month(sip.start[:7])
    for _ in range(MONTHS_BEFORE):
        start = calendar.previous_month(start)
    return start


def _point(calendar: Calendar, start: int, value: KpiValue | None, clock: float) -> Point:
    month, elapsed = month_name(calendar, start), elapsed_share(start, calendar.next_month(start), clock)
    if value is None:
        return Point(month=month, value=None, elapsed=elapsed, state="closed" if elapsed >= 1 else "to_date")
    state = value_state(value, over=elapsed >= 1)
    return month_point(value, month, state, elapsed if state == "to_date" else 1.0)


def _holds(directory: Directory, outer: str, inner: str) -> bool:
    """Return whether a scope is another or lies in it."""
    return outer in {"org", inner} or inner in directory.services(outer)


def _report(sip: Sip, months: Sequence[Point], kpi: Kpi | None, today: date) -> SipReport:
    since = [p for p in months if p.month >= sip.start[:7]]
    known = [p for p in since if p.value is not None]
    result, reason = judge_sip(sip, months, kpi)
    return SipReport(
        id=sip.id,
        title=sip.title,
        kpi=sip.kpi,
        kpi_name=kpi.name if kpi else sip.kpi,
        unit=kpi.unit if kpi else "",
        scope=sip.scope,
        owner=sip.owner,
        status=sip.status,
        opened=sip.start,
        due=sip.due,
        baseline=sip.baseline,
        goal=sip.goal,
        value=known[-1].value if known else None,
        actions=[f"{a.text} (done)" if a.done else a.text for a in sip.actions],
        result=result,
        result_reason=reason,
        overdue=sip.due is not None and sip.status != "closed" and result != "met" and today.isoformat() > sip.due,
        history=list(since),
    )
