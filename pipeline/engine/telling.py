"""Telling: the values of what is on the agenda, worked out from what was heard, judged, and said to the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.catalogue.model import Kpi, Stock
from pipeline.engine.agenda import Agenda, Card
from pipeline.engine.asking import Asking
from pipeline.engine.bases import Base
from pipeline.engine.closing import Barrier
from pipeline.engine.heard import Heard
from pipeline.engine.measures import Outcome, Span, World, measure
from pipeline.engine.starts import Starts
from pipeline.evaluate.judge import judge, judge_csf
from pipeline.time.panes import HOUR, window_bounds
from pipeline.values import WINDOWS, CsfStatus, Exits, Happening, KpiRevision, KpiValue

#: no value yet, not even none
_UNSEEN = object()


@dataclass
class RollupOutput:
    """What evaluation found, for the store."""

    values: list[KpiValue] = field(default_factory=list)
    statuses: list[CsfStatus] = field(default_factory=list)
    revisions: list[KpiRevision] = field(default_factory=list)
    exits: list[Exits] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)


class Telling:
    """Works out windows, periods and months as they are closed."""

    def __init__(self, heard: Heard, asking: Asking) -> None:
        self._heard, self._asking = heard, asking
        self._plan = heard.plan
        self._world = World(heard.facts, heard.uptime, heard.freshness)
        self._months: dict[tuple[str, str, int], float | None] = {}
        self._live_known: set[tuple[str, str, str]] = set()
        #: (CSF, scope, period) → of which starts its status was told
        self._statuses_known: Starts[tuple[str, str, str]] = Starts()
        #: while a month is closed: services first heard of after its barriers
        self._strangers: set[str] = set()

    def recall(self, agenda: Agenda) -> None:
        """Take what is on the agenda after a recovery for known: what is unknown by now is said to be."""
        for csf, scope in agenda.lively:
            for kpi in self._plan.kpis_of_csf[csf]:
                self._live_known |= {(kpi.id, scope, window) for window in WINDOWS}

    def live(self, csf: str, scope: str, window: str, out: RollupOutput) -> None:
        """Tell a window."""
        start, end = window_bounds(window, self._heard.clock)
        values, _ = self._values(csf, scope, Span(window, start, end, self._heard.clock))
        for value in values:
            value.state = "live"
            known = (value.kpi, scope, window)
            if value.value is not None or value.coverage is not None:
                self._live_known.add(known)
                out.values.append(value)
            elif known in self._live_known:
                self._live_known.discard(known)
                out.values.append(value)
        out.statuses.append(self._status(csf, scope, window, start, end, values))

    def card(self, card: Card, out: RollupOutput, *, closing: bool = False) -> None:
        """Tell a period; one that lies ahead is told when its time has come."""
        csf, scope, period, start = card
        end = self._plan.calendar.period(period, start)[1]
        span = Span(period, start, end, self._heard.clock)
        if start > self._heard.clock:
            self._asking.ahead.add(card)
            return
        values, touched = self._values(csf, scope, span)
        told = []
        for value in values:
            if period == "month":
                self._monthly(value, span, closing=closing, out=out)
            known = value.value is not None or value.coverage is not None or value.revision
            if value.kpi in touched or (known and period != "hour"):
                told.append(value)
        out.values += told
        if period != "hour" and (told or self._statuses_known.holds((csf, scope, period), start)):
            self._statuses_known.add((csf, scope, period), start)
            out.statuses.append(self._status(csf, scope, period, start, end, values))

    # --- closing a month ---

    def close(self, month: int, csf: str, out: RollupOutput) -> None:
        """Tell a month from the states before every barrier: revision 1."""
        heard = self._heard
        barrier = heard.closing.open[(month, csf)]
        changed = barrier.saved or barrier.polls or barrier.reports or barrier.strangers
        later = self._swap(barrier)
        self._strangers = barrier.strangers
        heard.closing.close(month, csf)
        scopes = heard.facts.scopes()
        for scope in dict.fromkeys([*scopes, *heard.reported.scopes(month)]):
            self.card((csf, scope, "month", month), out, closing=True)
        self._strangers = set()
        self._swap(later)
        if changed:
            for scope in scopes:
                self._asking.ask(csf, scope, "month", month)

    def _swap(self, barrier: Barrier) -> Barrier:
        """Set everything that changed since a barrier to what it was; return what undoes that."""
        heard, undo = self._heard, Barrier(barrier.need)
        for cell, base_key, source in barrier.saved:
            was = barrier.saved[(cell, base_key, source)]
            undo.saved[(cell, base_key, source)] = heard.facts.swap(cell, base_key, was, source)
        for key, said in barrier.polls.items():
            undo.polls[key] = heard.coverage.swap(key, said)
        for report, numbers in barrier.reports.items():
            undo.reports[report] = heard.reported.swap(report, numbers)
        self._forget_uptime(barrier.saved)
        return undo

    def _forget_uptime(self, saved: Iterable[tuple[tuple[int, int, str], str, str]]) -> None:
        for cell, base_key, _ in saved:
            self._heard.uptime.forget(cell[2], cell[1])
            self._heard.uptime.forget_windows(base_key, cell[2])
            self._heard.freshness.forget(base_key, cell[2])

    # --- what only months have ---

    def _monthly(self, value: KpiValue, span: Span, *, closing: bool, out: RollupOutput) -> None:
        """Settle reported values, previous value and revision."""
        self._heard.reported.fill(self._plan.catalogue.kpis[value.kpi], value, span.start)
        at = (value.kpi, value.scope, span.start)
        if self._months.get(at, _UNSEEN) != value.value:
            self._months[at] = value.value
            self._asking.month_after(value, span.start)
        value.previous = self._month_before(value, span)
        out.revisions += self._heard.closing.settle(span.start, value, closing=closing)

    def _month_before(self, value: KpiValue, span: Span) -> float | None:
        """Return the value of the month before, worked out if this life of the worker has not told that month."""
        start = self._plan.calendar.previous_month(span.start)
        at = (value.kpi, value.scope, start)
        if at not in self._months:
            before = Span("month", start, span.start, self._heard.clock)
            for found in self._values(value.csf, value.scope, before)[0]:
                self._heard.reported.fill(self._plan.catalogue.kpis[found.kpi], found, start)
                self._months[(found.kpi, found.scope, start)] = found.value
            self._months.setdefault(at, None)
        return self._months[at]

    # --- values ---

    def _values(self, csf: str, scope: str, span: Span) -> tuple[list[KpiValue], set[str]]:
        """Return every KPI of a CSF for a scope and span, and which of them have facts there."""
        values: list[KpiValue] = []
        touched: set[str] = set()
        heard, plan = self._heard, self._plan
        day = plan.calendar.local(span.start).date()
        service = scope[8:] if scope.startswith("service:") else None
        team = heard.facts.team(service) if service else None
        services = self._covered_services(scope)
        covered: dict[tuple[frozenset[str], int], float | None] = {}
        for kpi in plan.kpis_of_csf[csf]:
            since = heard.definitions.since(kpi.id)
            if not _offered(kpi, plan.roles[kpi.id], span) or (since and since >= span.measured_end):
                continue
            types, first = plan.types_of_kpi[kpi.id], max(span.start, since)
            at = (types, first)
            if at not in covered:
                covered[at] = heard.coverage.mean(types, services, first, span.measured_end)
            outcome = measure(kpi, plan.roles[kpi.id], self._world, scope, span)
            if outcome.touched:
                touched.add(kpi.id)
            target = plan.catalogue.target_for(kpi.id, scope, team, day)
            values.append(_value(kpi, scope, span, outcome, covered[at], target))
            if since > span.start:
                heard.definitions.mark(values[-1], kpi, span, since, covered[at])
        return values, touched

    def _covered_services(self, scope: str) -> list[str]:
        """Return the services of a scope whose coverage counts: listed ones, or all of a scope that lists none.

        A discovered service does not count beside listed ones: nobody promised to deliver its events.
        """
        services, listed = self._heard.facts.services(scope), self._plan.catalogue.services
        known = [s for s in services if s not in self._strangers] if self._strangers else services
        return [s for s in known if s in listed] or known

    def _status(self, csf: str, scope: str, period: str, start: int, end: int, values: list[KpiValue]) -> CsfStatus:
        kpis = self._plan.catalogue.kpis
        scores = [(v.score, kpis[v.kpi].weight) for v in values]
        state, score, known, total = judge_csf(scores, self._plan.catalogue.organisation)
        return CsfStatus(
            csf=csf, scope=scope, period=period, start=start, end=end, status=state, score=score,
            known_weight=known, total_weight=total,
        )  # fmt: skip


def _value(
    kpi: Kpi, scope: str, span: Span, outcome: Outcome, coverage: float | None, target: float | None
) -> KpiValue:
    value, count = outcome.value, outcome.count
    if outcome.is_count and not count and not coverage:
        value = None
    sample = max(count, kpi.min_sample) if outcome.is_count else count
    status, score = judge(kpi, value, sample, target)
    return KpiValue(
        csf=kpi.csf, kpi=kpi.id, scope=scope, period=span.period, start=span.start, end=span.end, value=value,
        unit=kpi.unit, numerator=outcome.numerator, denominator=outcome.denominator, count=count,
        coverage=coverage, target=target, status=status, score=score, definition_version=kpi.version,
    )  # fmt: skip


def _offered(kpi: Kpi, roles: dict[str, Base], span: Span) -> bool:
    """Return whether a KPI is offered for a span: of its length, and hours only where an hour's facts decide."""
    if span.period == "hour" and (isinstance(kpi.measure, Stock) or any(HOUR not in b.levels for b in roles.values())):
        return False
    least = {"live": 0, "hour": 3_600, "6h": 21_600, "day": 72_000, "week": 7 * 86_400}[kpi.smallest]
    length = WINDOWS.get(span.period, span.end - span.start)
    return length >= least
