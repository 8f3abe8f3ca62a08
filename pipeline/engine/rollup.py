"""Rollup: partials of all source partitions merged to services, teams and the organisation, and judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pipeline.catalogue.model import Kpi, Stock
from pipeline.engine import wire
from pipeline.engine.agenda import SHORT, Agenda, Card
from pipeline.engine.bases import Base
from pipeline.engine.closing import Barrier, ClosedMonths
from pipeline.engine.coverage import CoverageBook
from pipeline.engine.definitions import DEFS_KEY, Definitions
from pipeline.engine.facts import Entry, Facts, source_name
from pipeline.engine.freshness import Freshness
from pipeline.engine.measures import RUNNING_STEP_S, Outcome, Span, World, measure
from pipeline.engine.plan import Plan
from pipeline.engine.reported import Reported
from pipeline.engine.uptime import MIN_OUTAGE_MS, Uptime
from pipeline.evaluate.judge import judge, judge_csf
from pipeline.time.intervals import Intervals, subtract, union
from pipeline.time.panes import DAY, HOUR, window_bounds
from pipeline.values import WINDOWS, CsfStatus, Exits, KpiRevision, KpiValue

#: Share of changed finished periods worked out a turn while more changes arrive.
_HISTORY_SHARE = 0.02
_DAY_S = 86_400
_LIVELY_S = 30 * _DAY_S
#: So long after its end a day's outages may still become long enough to be some: the least length, in whole steps.
_OUTAGE_CLEAR_S = MIN_OUTAGE_MS // 1000 + RUNNING_STEP_S
_NEVER = 2**62
#: The chunk that says from which offset on messages were said by this generation of state.
FLOOR_KEY = b"floor"
#: no value yet, not even none
_UNSEEN = object()
_LASTING = frozenset({"stock", "checks", "syncs", "major", "maintenance"})


@dataclass
class RollupOutput:
    """What evaluation found, for the store."""

    values: list[KpiValue] = field(default_factory=list)
    statuses: list[CsfStatus] = field(default_factory=list)
    revisions: list[KpiRevision] = field(default_factory=list)
    exits: list[Exits] = field(default_factory=list)


class RollupPartition:
    """One partition of ``csf.partials``: folds statements, evaluates what they change."""

    def __init__(self, plan: Plan, partition: int) -> None:
        self.partition = partition
        #: last offset folded, -1 before the first
        self.position = -1
        self._plan = plan
        self._facts = Facts(plan)
        self._coverage = CoverageBook()
        self._uptime = Uptime(self._facts, self._coverage)
        self._freshness = Freshness(self._facts)
        self._world = World(self._facts, self._uptime, self._freshness)
        self._closing = ClosedMonths()
        self._agenda = Agenda()
        self._definitions = Definitions(plan)
        self._now = 0.0
        self._running_at = 0.0
        #: cards of periods to come, of which facts tell ahead of their time
        self._ahead: set[Card] = set()
        #: the clock at which everything asked for had been told
        self._told_at = 0.0
        #: messages before this offset were said by an older generation of state
        self._floor = 0
        self._csfs: set[str] = set()
        #: (kpi, scope, month) → reported value, target, numerator, denominator, count
        self._reported = Reported()
        self._exits: dict[str, Exits] = {}
        self._exits_dirty: set[str] = set()
        self._months: dict[tuple[str, str, int], float | None] = {}
        self._live_known: set[tuple[str, str, str]] = set()
        self._statuses_known: set[Card] = set()
        #: bases whose facts also concern later days: what is inside, and what holds until the next point
        self._lasting_bases = {b.key for b in plan.bases.values() if b.spec.how in _LASTING}
        self._lasting_csfs = {csf for key in self._lasting_bases for csf in plan.bases[key].shards}
        #: (CSF, scope) → first and last day with facts
        self._extent: dict[tuple[str, str], tuple[int, int]] = {}
        self._lasting_from: dict[tuple[str, str], int] = {}
        #: (CSF, base key, service, day) whose checks changed, which may say what held before
        self._checked: set[tuple[str, str, str, int]] = set()
        self._unsaved_now = False
        #: months whose last barrier came, in that order, with the agenda's mark; a barrier told twice closes once
        self._close_now: dict[tuple[int, str], int] = {}
        #: the agenda's mark when values were worked out last
        self._looked_at = -1
        #: while a month is closed: services first heard of after its barriers
        self._strangers: set[str] = set()
        #: (CSF, scope) that were asked for what sources had delivered
        self._met: set[tuple[str, str]] = set()
        #: a CSF or scope was heard of since they were asked
        self._unmet = False
        #: services that the catalogue does not name → team
        self._discovered: dict[str, str] = {}
        self._unsaved_services = False
        #: (CSF, polled key) whose first word made coverage known
        self._covered_by: set[tuple[str, str]] = set()
        #: those of them whose consequences were all worked out
        self._covered_told: set[tuple[str, str]] = set()

    @property
    def pending(self) -> int:
        """How many cards and live entries are still to be evaluated."""
        waiting = len(self._agenda) + len(self._lasting_from) + len(self._close_now) + len(self._exits_dirty)
        return waiting + self._unmet

    @property
    def clock(self) -> float:
        """The largest arrival clock heard of, epoch seconds."""
        return self._now

    @property
    def csfs(self) -> frozenset[str]:
        """The CSFs it has heard of."""
        return frozenset(self._csfs)

    def maintenance(self) -> dict[str, list[tuple[int, int]]]:
        """Return the planned maintenance that counts, by service, as [start, end) in epoch seconds."""
        base = next((roles["maintenance"] for roles in self._plan.roles.values() if "maintenance" in roles), None)
        if base is None:
            return {}
        planned = {s: self._uptime.windows(base, s, int(self._now * 1000)) for s in self._facts.services("org")}
        return {s: [(a // 1000, -(-b // 1000)) for a, b in windows] for s, windows in planned.items() if windows}

    # --- folding ---

    def fold(self, records: Iterable[tuple[int, int, bytes]]) -> None:
        """Fold messages of ``csf.partials`` (offset, arrival, value).

        A message at or below ``position`` (a replay) changes no state, but what it concerns is evaluated again.
        """
        before = self._now
        for offset, _arrival_ms, value in records:
            if offset < self._floor:
                self._old(wire.decode(value))
            else:
                self._one(wire.decode(value))
            self.position = max(self.position, offset)
        if self._now > before:
            self._facts.expire(self._now)
            self._agenda.slide(before, self._now)
            if int(self._now) // RUNNING_STEP_S != int(self._running_at) // RUNNING_STEP_S:
                self._ask_running(self._running_at or self._now)
                self._running_at = self._now

    def _one(self, message: list[Any]) -> None:
        kind, topic, partition, position, clock_ms, csf, *body = message
        if csf not in self._csfs:
            self._csfs.add(csf)
            self._unsaved_now = self._unmet = True
        source = source_name(topic, partition)
        if clock_ms / 1000 > self._now:
            self._now = clock_ms / 1000
            self._unsaved_now = True
        if kind == wire.CELL:
            self._cell(csf, source, position, *body)
        elif kind == wire.POLLED:
            self._poll(csf, source, *body)
        elif kind == wire.REPORTED:
            self._report(csf, source, *body)
        elif kind == wire.SERVICE:
            self._know(source, *body)
        elif kind == wire.BARRIER:
            self._barrier(csf, source, *body)
        elif kind == wire.EXITS:
            counts, reasons = body
            clock = clock_ms / 1000
            self._exits[source] = Exits(topic=topic, partition=partition, **counts, reasons=reasons, clock=clock)
            self._exits_dirty.add(source)
        elif kind == wire.BASES and self._definitions.hear(source, *body):
            for known, scope in list(self._extent):
                if known == csf:
                    self._ask_all(csf, scope)

    def _old(self, message: list[Any]) -> None:
        """Take a message from before the state was made anew: it knows better, but what was told of it may be lost."""
        kind, _topic, _partition, _position, _clock_ms, csf, *body = message
        if kind == wire.CELL:
            service, _team, level, start, states = body
            self._mark(csf, service, level, start, bool(self._lasting_bases & states.keys()))
        elif kind in {wire.POLLED, wire.REPORTED, wire.BARRIER}:
            for known, scope in list(self._extent):
                if known == csf:
                    self._ask_all(csf, scope)

    def _cell(
        self, csf: str, source: str, position: int, service: str, team: str, level: int, start: int,
        states: dict[str, bytes],
    ) -> None:  # fmt: skip
        cell = (level, start, service)
        # a month is made of days; finer cells may expire while a barrier is under way
        months = {m for m, _ in self._closing.open} if level == DAY else ()
        self._know(source, service, team)
        ends = {m: self._plan.calendar.next_month(m) for m in months}
        for base_key, raw in states.items():
            base = self._plan.bases.get(base_key)
            if base is None:
                continue
            replaced = self._facts.put(cell, team, base_key, (source, position, raw))
            if replaced is False:
                continue
            was: Entry | None = replaced if isinstance(replaced, tuple) else None
            checks = base.spec.how == "checks"
            if ends and (was is None or was[2] != raw):
                # a check after the month's end says what held in it
                self._closing.keep(dict.fromkeys(ends, _NEVER) if checks else ends, cell, base_key, source, was)
            if checks:
                self._uptime.forget(service, start)
                if level == DAY:
                    self._checked.add((csf, base_key, service, start))
            elif base.spec.how == "syncs":
                self._freshness.forget(base_key, service)
            elif base.spec.state == "windows":
                self._uptime.forget_windows(base_key, service)
        self._mark(csf, service, level, start, bool(self._lasting_bases & states.keys()))

    def _know(self, source: str, service: str, team: str) -> None:
        """Note that a source speaks of a service."""
        known = self._facts.knows(service)
        if self._closing.open:
            self._closing.keep_stranger(source, service, known=known)
        if not known:
            self._facts.know(service, team)
            self._discovered[service] = team
            self._unmet = self._unsaved_services = True

    def _covered_services(self, scope: str) -> list[str]:
        """Return the services of a scope whose coverage counts: listed ones, or all of a scope that lists none.

        A discovered service does not count beside listed ones: nobody promised to deliver its events.
        """
        services, listed = self._facts.services(scope), self._plan.catalogue.services
        known = [s for s in services if s not in self._strangers] if self._strangers else services
        return [s for s in known if s in listed] or known

    def _mark(self, csf: str, service: str, level: int, start: int, stock: bool) -> None:
        """Put what a changed cell concerns on the agenda."""
        for scope in self._scopes(service):
            if level == DAY:
                first, last = self._extent.get((csf, scope), (start, start))
                self._extent[(csf, scope)] = (min(first, start), max(last, start))
                if start > last and csf in self._lasting_csfs:  # what lasts fills the days in between
                    self._lasting_from[(csf, scope)] = min(self._lasting_from.get((csf, scope), last), last)
                self._ask(csf, scope, "day", start)
                self._ask(csf, scope, "month", self._plan.calendar.month_start(start))
                if stock and start < self._now:
                    known = self._lasting_from.get((csf, scope), start)
                    self._lasting_from[(csf, scope)] = min(known, start)
            elif level == HOUR:
                self._ask(csf, scope, "hour", start)
            if start > self._now - _LIVELY_S:
                self._agenda.live(csf, scope)

    def _scopes(self, service: str) -> tuple[str, str, str]:
        return f"service:{service}", f"team:{self._facts.team(service)}", "org"

    def _ask(self, csf: str, scope: str, period: str, start: int) -> None:
        end = self._plan.calendar.period(period, start)[1]
        self._agenda.card((csf, scope, period, start), running=start <= self._now < end)

    def _ask_running(self, before: float) -> None:
        """Ask for the running hour, day and month of what has facts, for those that ended since, and what lay ahead.

        What lasts is asked for all days since, and for the one before until it is clear which outages began in it.
        """
        for card in [c for c in self._ahead if c[3] <= self._now]:
            self._ahead.discard(card)
            self._ask(*card)
        for csf, scope in list(self._extent):
            ats = {int(before), int(self._now)}
            if csf in self._lasting_csfs:
                since = int(before) - _OUTAGE_CLEAR_S
                if self._plan.calendar.day_start(since) != self._plan.calendar.day_start(int(self._now)):
                    ats.add(since)
                    self._lasting_from[(csf, scope)] = min(self._lasting_from.get((csf, scope), since), since)
            for period in ("hour", "day", "month"):
                if period == "hour" and (csf, scope) not in self._agenda.lively:
                    continue
                for at in ats:
                    self._ask(csf, scope, period, self._plan.calendar.period(period, at)[0])

    def _ask_lasting(self) -> None:
        """Expand what lasts: every later day and month until now, with facts of its own or not."""
        calendar, last = self._plan.calendar, int(self._now)
        for csf, base_key, service, day in self._checked:
            since = self._uptime.changed_since(self._plan.bases[base_key], service, day)
            for scope in self._scopes(service) if since < day else ():
                at = calendar.day_start(since)
                self._ask(csf, scope, "day", at)
                self._ask(csf, scope, "month", calendar.month_start(at))
                self._lasting_from[(csf, scope)] = min(self._lasting_from.get((csf, scope), at), at)
        self._checked.clear()
        for (csf, scope), start in self._lasting_from.items():
            day = calendar.next_day(start)
            while day <= last:
                self._ask(csf, scope, "day", day)
                day = calendar.next_day(day)
            month = calendar.next_month(calendar.month_start(start))
            while month <= last:
                self._ask(csf, scope, "month", month)
                month = calendar.next_month(month)
        self._lasting_from = {}

    def _poll(self, csf: str, source: str, name: str, types: list[str], services: list[str] | None, spans: Any) -> None:
        key = f"{source}|{name}|{','.join(types)}|{'*' if services is None else ','.join(services)}"
        intervals = [(a, b) for a, b in spans]
        was = self._coverage.put(key, name, types, services, intervals)
        self._closing.keep_poll(csf, source, key, was)
        if (csf, key) not in self._covered_by:  # what had no source has one: its coverage is no longer unknown
            self._covered_by.add((csf, key))
            for known, scope in list(self._extent):
                if known == csf and self._covers(services, scope):
                    self._ask_all(csf, scope)
        covered = _newly_covered(was.intervals if was else [], intervals)
        for known, scope in self._met:
            if known == csf and self._covers(services, scope):
                self._ask_covered(csf, scope, covered)

    def _ask_all(self, csf: str, scope: str) -> None:
        """Ask for every hour, day and month that has facts, and the live windows."""
        calendar = self._plan.calendar
        first, last = self._span(csf, scope)
        for day in calendar.days(first, last + 1):
            self._ask(csf, scope, "day", day)
            self._ask(csf, scope, "month", calendar.month_start(day))
        for hour in self._facts.hours(scope, [(first, last + 86_400)]):
            self._ask(csf, scope, "hour", hour)
        if last > self._now - _LIVELY_S:
            self._agenda.look_again(csf, scope)

    def _span(self, csf: str, scope: str) -> tuple[int, int]:
        """Return from when to when there may be values: first and last day with facts, or now for what lasts."""
        first, last = self._extent.get((csf, scope), (0, 0))
        return first, max(last, int(self._now)) if csf in self._lasting_csfs else last

    def _ask_month_after(self, value: KpiValue, month: int) -> None:
        """Ask for the month after one whose value changed, which carries it, where that is told at all."""
        following = self._plan.calendar.next_month(month)
        last = self._span(value.csf, value.scope)[1]
        running = following <= self._now < self._plan.calendar.next_month(following)
        if following <= last or running or self._reported.holds((value.kpi, value.scope, following)):
            self._ask(value.csf, value.scope, "month", following)

    def _covers(self, services: Iterable[str] | None, scope: str) -> bool:
        return services is None or not set(services).isdisjoint(self._facts.services(scope))

    def _meet(self) -> None:
        """Ask for what sources delivered before a scope was known."""
        self._unmet = False
        for csf in self._csfs:
            types = self._plan.types_of_csf(csf)
            for scope in self._facts.scopes():
                if (csf, scope) not in self._met:
                    self._met.add((csf, scope))
                    for services, intervals in self._coverage.delivered(types):
                        if self._covers(services, scope):
                            self._ask_covered(csf, scope, intervals)

    def _ask_covered(self, csf: str, scope: str, intervals: list[tuple[int, int]]) -> None:
        """Ask for the months, days and hours that a poll covered."""
        calendar = self._plan.calendar
        for hour in self._facts.hours(scope, intervals):
            self._ask(csf, scope, "hour", hour)
        for start, end in intervals:
            day = calendar.day_start(start)
            month = calendar.month_start(start)
            first, last = self._extent.get((csf, scope), (day, day))
            self._extent[(csf, scope)] = (min(first, day), max(last, calendar.day_start(max(start, end - 1))))
            while month < end:
                self._ask(csf, scope, "month", month)
                month = calendar.next_month(month)
            while day < end:
                self._ask(csf, scope, "day", day)
                day = calendar.next_day(day)
            if end > self._now - _LIVELY_S:
                self._agenda.look_again(csf, scope)

    def _report(self, csf: str, source: str, kpi: str, scope: str, month: str, *numbers: float | None) -> None:
        start = self._plan.calendar.parse_month(month)
        was = self._reported.put((kpi, scope, start), list(numbers))
        self._closing.keep_report(csf, source, (kpi, scope, start), was)
        self._ask(csf, scope, "month", start)

    def _barrier(self, csf: str, source: str, month: str, _barrier_id: str, need: int) -> None:
        start = self._plan.calendar.parse_month(month)
        if self._closing.arrive(start, csf, source, need):
            self._close_now[(start, csf)] = self._agenda.current
        elif self._closing.is_closed(start, csf):  # a replay: what was closed is told again
            for scope in self._facts.scopes():
                self._ask(csf, scope, "month", start)

    # --- evaluating ---

    def mark(self) -> int:
        """Return a mark that covers everything folded so far; see ``settled``."""
        self._expand()
        return self._agenda.mark()

    def settled(self, mark: int) -> bool:
        """Return whether everything that was folded up to a mark is worked out; to be asked once it is also written."""
        if self.pending:
            return self._looked_at > mark and self._agenda.settled(mark)
        if self._told_at != self._running_at:
            self._told_at = self._running_at
            self._unsaved_now = True
        return True

    def _expand(self) -> None:
        """Ask for what new scopes find told already, and for what lasts."""
        if self._unmet:
            self._meet()
        self._ask_lasting()

    def evaluate(self, limit: int, *, urgent_only: bool = False) -> RollupOutput:
        """Work out what is urgent, then (unless told otherwise) the rest, up to about ``limit`` values."""
        out = RollupOutput()
        self._looked_at = self._agenda.current
        for at, mark in self._close_now.items():
            with self._agenda.because_of(mark):
                self._close(*at, out)
        self._close_now.clear()
        self._expand()
        for csf, scope in self._agenda.next_urgent():
            for window in SHORT:
                self._live(csf, scope, window, out)
            if len(out.values) >= limit:
                break
        else:
            if not urgent_only:
                self._evaluate_rest(limit, out)
        for source in self._exits_dirty:
            out.exits.append(self._exits[source])
        self._exits_dirty = set()
        if not self._agenda and len(self._covered_told) != len(self._covered_by):
            self._covered_told = set(self._covered_by)
            self._unsaved_now = True
        return out

    def _evaluate_rest(self, limit: int, out: RollupOutput) -> None:
        for entry in self._agenda.next_due():
            if len(entry) == 3:
                window, csf, scope = entry
                self._live(csf, scope, window, out)
            else:
                self._card(entry, out, closing=False)
            if len(out.values) >= limit:
                return
        for card in self._agenda.next_cards(_HISTORY_SHARE):
            self._card(card, out, closing=False)
            if len(out.values) >= limit:
                return

    def _close(self, month: int, csf: str, out: RollupOutput) -> None:
        """Evaluate a month from the states before every barrier: revision 1."""
        barrier = self._closing.open[(month, csf)]
        changed = barrier.saved or barrier.polls or barrier.reports or barrier.strangers
        later = self._swap(barrier)
        self._strangers = barrier.strangers
        self._closing.close(month, csf)
        scopes = self._facts.scopes()
        for scope in dict.fromkeys([*scopes, *self._reported.scopes(month)]):
            self._card((csf, scope, "month", month), out, closing=True)
        self._strangers = set()
        self._swap(later)
        if changed:
            for scope in scopes:
                self._ask(csf, scope, "month", month)

    def _swap(self, barrier: Barrier) -> Barrier:
        """Set everything that changed since a barrier to what it was; return what undoes that."""
        undo = Barrier(barrier.need)
        for cell, base_key, source in barrier.saved:
            was = barrier.saved[(cell, base_key, source)]
            undo.saved[(cell, base_key, source)] = self._facts.swap(cell, base_key, was, source)
        for key, said in barrier.polls.items():
            undo.polls[key] = self._coverage.swap(key, said)
        for report, numbers in barrier.reports.items():
            undo.reports[report] = self._reported.swap(report, numbers)
        self._forget_uptime(barrier.saved)
        return undo

    def _forget_uptime(self, saved: Iterable[tuple[tuple[int, int, str], str, str]]) -> None:
        for cell, base_key, _ in saved:
            self._uptime.forget(cell[2], cell[1])
            self._uptime.forget_windows(base_key, cell[2])
            self._freshness.forget(base_key, cell[2])

    def _live(self, csf: str, scope: str, window: str, out: RollupOutput) -> None:
        start, end = window_bounds(window, self._now)
        values, _ = self._values(csf, scope, Span(window, start, end, self._now))
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

    def _card(self, card: Card, out: RollupOutput, *, closing: bool) -> None:
        csf, scope, period, start = card
        end = self._plan.calendar.period(period, start)[1]
        span = Span(period, start, end, self._now)
        if start > self._now:
            self._ahead.add(card)
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
        if period != "hour" and (told or card in self._statuses_known):
            self._statuses_known.add(card)
            out.statuses.append(self._status(csf, scope, period, start, end, values))

    def _monthly(self, value: KpiValue, span: Span, *, closing: bool, out: RollupOutput) -> None:
        """Settle what only months have: reported values, previous value, revision."""
        self._reported.fill(self._plan.catalogue.kpis[value.kpi], value, span.start)
        at = (value.kpi, value.scope, span.start)
        if self._months.get(at, _UNSEEN) != value.value:
            self._months[at] = value.value
            self._ask_month_after(value, span.start)
        value.previous = self._month_before(value, span)
        out.revisions += self._closing.settle(span.start, value, closing=closing)

    def _month_before(self, value: KpiValue, span: Span) -> float | None:
        """Return the value of the month before, worked out if this life of the worker has not told that month."""
        start = self._plan.calendar.previous_month(span.start)
        at = (value.kpi, value.scope, start)
        if at not in self._months:
            before = Span("month", start, span.start, self._now)
            for found in self._values(value.csf, value.scope, before)[0]:
                self._reported.fill(self._plan.catalogue.kpis[found.kpi], found, start)
                self._months[(found.kpi, found.scope, start)] = found.value
            self._months.setdefault(at, None)
        return self._months[at]

    def _values(self, csf: str, scope: str, span: Span) -> tuple[list[KpiValue], set[str]]:
        """Return every KPI of a CSF for a scope and span, and which of them have facts there."""
        values: list[KpiValue] = []
        touched: set[str] = set()
        day = self._plan.calendar.local(span.start).date()
        service = scope[8:] if scope.startswith("service:") else None
        team = self._facts.team(service) if service else None
        services = self._covered_services(scope)
        covered: dict[tuple[frozenset[str], int], float | None] = {}
        for kpi in self._plan.kpis_of_csf[csf]:
            since = self._definitions.since(kpi.id)
            if not _offered(kpi, self._plan.roles[kpi.id], span) or (since and since >= span.measured_end):
                continue
            types, first = self._plan.types_of_kpi[kpi.id], max(span.start, since)
            at = (types, first)
            if at not in covered:
                covered[at] = self._coverage.mean(types, services, first, span.measured_end)
            outcome = measure(kpi, self._plan.roles[kpi.id], self._world, scope, span)
            if outcome.touched:
                touched.add(kpi.id)
            target = self._plan.catalogue.target_for(kpi.id, scope, team, day)
            values.append(self._value(kpi, scope, span, outcome, covered[at], target))
            if since > span.start:
                self._definitions.mark(values[-1], kpi, span, since, covered[at])
        return values, touched

    def _value(
        self, kpi: Kpi, scope: str, span: Span, outcome: Outcome, coverage: float | None, target: float | None
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

    def _status(self, csf: str, scope: str, period: str, start: int, end: int, values: list[KpiValue]) -> CsfStatus:
        kpis = self._plan.catalogue.kpis
        scores = [(v.score, kpis[v.kpi].weight) for v in values]
        state, score, known, total = judge_csf(scores, self._plan.catalogue.organisation)
        return CsfStatus(
            csf=csf, scope=scope, period=period, start=start, end=end, status=state, score=score,
            known_weight=known, total_weight=total,
        )  # fmt: skip

    # --- durable state ---

    def take_chunks(self) -> list[tuple[bytes, bytes | None]]:
        """Return the durable state that changed since the last call."""
        chunks: list[tuple[bytes, bytes | None]] = []
        for part in (self._facts, self._coverage, self._closing, self._reported, self._definitions):
            chunks.extend(part.chunks())
        if self._unsaved_now:
            self._unsaved_now = False
            now = [self._now, sorted(self._csfs), sorted(self._covered_told), self._told_at]
            chunks.append((b"now", msgspec.msgpack.encode(now)))
        if self._unsaved_services:
            self._unsaved_services = False
            chunks.append((b"services", msgspec.msgpack.encode(self._discovered)))
        return chunks

    def restore(self, position: int, chunks: Iterable[tuple[bytes, bytes]]) -> None:
        """Take recovered state: all chunks as of ``position``; what is running is evaluated anew.

        Raises:
            DefinitionChanged: the state was made by other definitions of the same versions.
        """
        self.position = position
        made_by: bytes | None = None
        for key, value in chunks:
            if key == DEFS_KEY:
                made_by = value
            elif key == FLOOR_KEY:
                self._floor = msgspec.msgpack.decode(value)
            elif key == b"now":
                self._now, csfs, covered_by, *told_at = msgspec.msgpack.decode(value)
                self._told_at = told_at[0] if told_at else self._now
                self._csfs = set(csfs)
                self._covered_by = {(csf, polled) for csf, polled in covered_by}
                self._covered_told = set(self._covered_by)
                self._unmet = bool(self._csfs)
            elif key == b"services":
                self._discovered = msgspec.msgpack.decode(value)
                for service, team in self._discovered.items():
                    self._facts.know(service, team)
            elif key[:2] == b"c|":
                self._facts.restore(key, value)
            elif key[:2] == b"p|":
                self._coverage.restore(key, value)
            elif key[:2] == b"m|":
                self._closing.restore(key, value)
            elif key[:2] == b"r|":
                self._reported.restore(key, value)
        if made_by is not None:
            self._definitions.restore(made_by, self._now, self._facts.sources)
        self._recall()
        for (month, csf), barrier in self._closing.open.items():
            if len(barrier.sources) >= barrier.need:
                self._close_now[(month, csf)] = self._agenda.current

    def _recall(self) -> None:
        """Work out again what is derived from the recovered facts: extents, and what time changed since all was told."""
        told_at = self._told_at or self._now
        for base_key, service, days in self._facts.extents():
            base = self._plan.bases.get(base_key)
            if base is None or not days:
                continue
            for csf in base.shards & self._csfs:
                for scope in self._scopes(service):
                    first, last = self._extent.get((csf, scope), (days[0], days[-1]))
                    self._extent[(csf, scope)] = (min(first, days[0]), max(last, days[-1]))
                    if days[-1] + _DAY_S > told_at - _LIVELY_S:  # windows held it when they were told
                        self._agenda.look_again(csf, scope)
        for csf, scope in self._agenda.lively:  # what was known before the crash may be unknown now: say so
            for kpi in self._plan.kpis_of_csf[csf]:
                self._live_known |= {(kpi.id, scope, window) for window in WINDOWS}
        for level, start, service, bases in self._facts.after(told_at):
            shards = {csf for key in bases if key in self._plan.bases for csf in self._plan.bases[key].shards}
            for csf in shards & self._csfs:  # a base may be read by CSFs of other partitions too
                self._mark(csf, service, level, start, stock=False)
        self._running_at = self._now
        self._ask_running(told_at)


def _newly_covered(before: Intervals, now: Intervals) -> Intervals:
    """Return what a poll changed: its spans, and a gap before its end, in which what a log said last now holds.

    Where nothing changed it is a replay, and everything may be unevaluated.
    """
    changed = [*subtract(now, before), *subtract(before, now)]
    if before and now and now[-1][1] > before[-1][1]:
        changed.append((before[-1][1], now[-1][1]))
    return union(changed) or now


def _offered(kpi: Kpi, roles: dict[str, Base], span: Span) -> bool:
    """Return whether a KPI is offered for a span: of its length, and hours only where an hour's facts decide."""
    if span.period == "hour" and (isinstance(kpi.measure, Stock) or any(HOUR not in b.levels for b in roles.values())):
        return False
    least = {"live": 0, "hour": 3_600, "6h": 21_600, "day": 72_000, "week": 7 * 86_400}[kpi.smallest]
    length = WINDOWS.get(span.period, span.end - span.start)
    return length >= least
