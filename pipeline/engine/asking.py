"""Asking: which values what was heard concerns, so that they are on the agenda and worked out again.

A fact concerns the windows, hours, days and months it lies in; what lasts (stocks, checks, copies, outages) also every
later day; what a source delivered, all that it covers; time itself, what runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.engine.agenda import Agenda, Card
from pipeline.engine.heard import Heard
from pipeline.engine.measures import RUNNING_STEP_S
from pipeline.engine.uptime import MIN_OUTAGE_MS
from pipeline.time.intervals import Intervals
from pipeline.time.panes import DAY, HOUR
from pipeline.values import KpiValue

_DAY_S = 86_400
_LIVELY_S = 30 * _DAY_S
#: So long after its end a day's outages may still become long enough to be some: the least length, in whole steps.
_OUTAGE_CLEAR_S = MIN_OUTAGE_MS // 1000 + RUNNING_STEP_S
_LASTING = frozenset({"stock", "checks", "syncs", "major", "maintenance"})


class Asking:
    """Puts on the agenda what is to be worked out again.

    Attributes:
        ahead: cards of periods to come, of which facts tell ahead of their time.
        running_at: the clock at which running periods were asked for last.
        unmet: a CSF or scope was heard of since they were asked for what sources had delivered.
    """

    def __init__(self, heard: Heard, agenda: Agenda) -> None:
        self._heard, self._agenda = heard, agenda
        self._calendar = heard.plan.calendar
        bases = heard.plan.bases
        self.ahead: set[Card] = set()
        self.running_at = 0.0
        self.unmet = False
        #: bases whose facts also concern later days: what is inside, and what holds until the next point
        self._lasting_bases = {b.key for b in bases.values() if b.spec.how in _LASTING}
        self._lasting_csfs = {csf for key in self._lasting_bases for csf in bases[key].shards}
        #: (CSF, scope) → first and last day with facts
        self._extent: dict[tuple[str, str], tuple[int, int]] = {}
        self._lasting_from: dict[tuple[str, str], int] = {}
        #: (CSF, service) → (level, start) of its cells that changed → whether with a fact that lasts
        self._changed: dict[tuple[str, str], dict[tuple[int, int], bool]] = {}
        #: (CSF, base key, service, day) whose checks changed, which may say what held before
        self._checked: set[tuple[str, str, str, int]] = set()
        #: (CSF, scope) that were asked for what sources had delivered
        self._met: set[tuple[str, str]] = set()

    @property
    def unexpanded(self) -> int:
        """How much was heard that ``expand`` has not yet asked for."""
        return len(self._changed) + len(self._lasting_from) + self.unmet

    def ask(self, csf: str, scope: str, period: str, start: int) -> None:
        """Ask for a card."""
        end = self._calendar.period(period, start)[1]
        self._agenda.card((csf, scope, period, start), running=start <= self._heard.clock < end)

    # --- what was heard ---

    def changed(self, csf: str, service: str, level: int, start: int, bases: Iterable[str]) -> None:
        """Note that a cell changed; ``bases`` are those of its states that did.

        What that concerns is asked for once for all cells of a service, when it is next needed: see ``expand``.
        """
        cells = self._changed.get((csf, service))
        if cells is None:
            cells = self._changed[(csf, service)] = {}
        lasts = not self._lasting_bases.isdisjoint(bases)
        cells[(level, start)] = lasts or cells.get((level, start), False)

    def _concerned(self) -> None:
        """Ask for what changed cells concern: in their services, teams and the organisation."""
        changed, self._changed = self._changed, {}
        by_scope: dict[tuple[str, str], dict[tuple[int, int], bool]] = {}
        for (csf, service), cells in changed.items():
            for scope in self._heard.scopes_of(service):
                known = by_scope.setdefault((csf, scope), {})
                if csf not in self._lasting_csfs:  # no fact of it lasts
                    known.update(cells)
                    continue
                for cell, lasts in cells.items():
                    known[cell] = lasts or known.get(cell, False)
        for (csf, scope), cells in by_scope.items():
            self._concerns(csf, scope, cells)

    def _concerns(self, csf: str, scope: str, cells: dict[tuple[int, int], bool]) -> None:
        """Ask for what changed cells of one scope concern."""
        recently = self._heard.clock - _LIVELY_S
        for (level, start), lasts in cells.items():
            if level == DAY:
                first, last = self._extent.get((csf, scope), (start, start))
                self._extent[(csf, scope)] = (min(first, start), max(last, start))
                if start > last and csf in self._lasting_csfs:  # what lasts fills the days in between
                    self._lasts_from(csf, scope, last)
                self.ask(csf, scope, "day", start)
                self.ask(csf, scope, "month", self._calendar.month_start(start))
                if lasts and start < self._heard.clock:
                    self._lasts_from(csf, scope, start)
            elif level == HOUR:
                self.ask(csf, scope, "hour", start)
        if any(start > recently for _, start in cells):
            self._agenda.live(csf, scope)

    def checked(self, csf: str, base_key: str, service: str, day: int) -> None:
        """Note that checks of a day changed, which may say what held before."""
        self._checked.add((csf, base_key, service, day))

    def delivered(self, csf: str, services: Iterable[str] | None, spans: Intervals, *, first: bool) -> None:
        """Ask for what a source newly says that it delivered.

        Args:
            csf: whose coverage it is.
            services: of which services, None for all.
            spans: [start, end) in epoch seconds.
            first: what had no source has one: its coverage is no longer unknown, at any time.
        """
        self._concerned()
        if first:
            for known, scope in list(self._extent):
                if known == csf and self._covers(services, scope):
                    self._all(csf, scope)
        for known, scope in self._met:
            if known == csf and self._covers(services, scope):
                self._covered(csf, scope, spans)

    def everything(self, csf: str) -> None:
        """Ask for all that a CSF says."""
        self._concerned()
        for known, scope in list(self._extent):
            if known == csf:
                self._all(csf, scope)

    def passed(self, before: float) -> None:
        """Ask for what time has changed since the clock stood at ``before``."""
        self._concerned()
        now = self._heard.clock
        self._agenda.slide(before, now)
        if int(now) // RUNNING_STEP_S != int(self.running_at) // RUNNING_STEP_S:
            self._running(self.running_at or now)
            self.running_at = now

    def month_after(self, value: KpiValue, month: int) -> None:
        """Ask for the month after one whose value changed, which carries it, where that is told at all."""
        following = self._calendar.next_month(month)
        last = self._span(value.csf, value.scope)[1]
        running = following <= self._heard.clock < self._calendar.next_month(following)
        if following <= last or running or self._heard.reported.holds((value.kpi, value.scope, following)):
            self.ask(value.csf, value.scope, "month", following)

    def expand(self) -> None:
        """Ask for what changed cells concern, for what new scopes find told already, and for what lasts."""
        self._concerned()
        if self.unmet:
            self._meet()
        self._lasting()

    def recall(self, told_at: float) -> None:
        """Ask again after a recovery: extents follow from the facts, and what time changed since ``told_at`` is asked for."""
        heard, bases = self._heard, self._heard.plan.bases
        for base_key, service, days in heard.facts.extents():
            base = bases.get(base_key)
            if base is None or not days:
                continue
            for csf in base.shards & heard.csfs:
                for scope in heard.scopes_of(service):
                    first, last = self._extent.get((csf, scope), (days[0], days[-1]))
                    self._extent[(csf, scope)] = (min(first, days[0]), max(last, days[-1]))
                    if days[-1] + _DAY_S > told_at - _LIVELY_S:  # windows held it when they were told
                        self._agenda.look_again(csf, scope)
        for level, start, service, keys in heard.facts.after(told_at):
            shards = {csf for key in keys if key in bases for csf in bases[key].shards}
            for csf in shards & heard.csfs:  # a base may be read by CSFs of other partitions too
                self.changed(csf, service, level, start, ())
        self._concerned()
        self.running_at = heard.clock
        self._running(told_at)

    # --- what that concerns ---

    def _lasts_from(self, csf: str, scope: str, start: int) -> None:
        known = self._lasting_from.get((csf, scope), start)
        self._lasting_from[(csf, scope)] = min(known, start)

    def _running(self, before: float) -> None:
        """Ask for the running hour, day and month of what has facts, for those that ended since, and what lay ahead.

        What lasts is asked for all days since, and for the one before until it is clear which outages began in it.
        """
        now, calendar = self._heard.clock, self._calendar
        for card in [c for c in self.ahead if c[3] <= now]:
            self.ahead.discard(card)
            self.ask(*card)
        for csf, scope in list(self._extent):
            ats = {int(before), int(now)}
            if csf in self._lasting_csfs:
                since = int(before) - _OUTAGE_CLEAR_S
                if calendar.day_start(since) != calendar.day_start(int(now)):
                    ats.add(since)
                    self._lasts_from(csf, scope, since)
            for period in ("hour", "day", "month"):
                if period == "hour" and (csf, scope) not in self._agenda.lively:
                    continue
                for at in ats:
                    self.ask(csf, scope, period, calendar.period(period, at)[0])

    def _lasting(self) -> None:
        """Expand what lasts: every later day and month until now, with facts of its own or not."""
        heard, calendar, last = self._heard, self._calendar, int(self._heard.clock)
        for csf, base_key, service, day in self._checked:
            since = heard.uptime.changed_since(heard.plan.bases[base_key], service, day)
            for scope in heard.scopes_of(service) if since < day else ():
                at = calendar.day_start(since)
                self.ask(csf, scope, "day", at)
                self.ask(csf, scope, "month", calendar.month_start(at))
                self._lasts_from(csf, scope, at)
        self._checked.clear()
        for (csf, scope), start in self._lasting_from.items():
            day = calendar.next_day(start)
            while day <= last:
                self.ask(csf, scope, "day", day)
                day = calendar.next_day(day)
            month = calendar.next_month(calendar.month_start(start))
            while month <= last:
                self.ask(csf, scope, "month", month)
                month = calendar.next_month(month)
        self._lasting_from = {}

    def _all(self, csf: str, scope: str) -> None:
        """Ask for every hour, day and month that has facts, and the live windows."""
        calendar = self._calendar
        first, last = self._span(csf, scope)
        for day in calendar.days(first, last + 1):
            self.ask(csf, scope, "day", day)
            self.ask(csf, scope, "month", calendar.month_start(day))
        for hour in self._heard.facts.hours(scope, [(first, last + _DAY_S)]):
            self.ask(csf, scope, "hour", hour)
        if last > self._heard.clock - _LIVELY_S:
            self._agenda.look_again(csf, scope)

    def _span(self, csf: str, scope: str) -> tuple[int, int]:
        """Return from when to when there may be values: first and last day with facts, or now for what lasts."""
        first, last = self._extent.get((csf, scope), (0, 0))
        return first, max(last, int(self._heard.clock)) if csf in self._lasting_csfs else last

    def _covers(self, services: Iterable[str] | None, scope: str) -> bool:
        return services is None or not set(services).isdisjoint(self._heard.facts.services(scope))

    def _meet(self) -> None:
        """Ask for what sources delivered before a scope was known."""
        self.unmet = False
        heard = self._heard
        for csf in heard.csfs:
            types = heard.plan.types_of_csf(csf)
            for scope in heard.facts.scopes():
                if (csf, scope) not in self._met:
                    self._met.add((csf, scope))
                    for services, intervals in heard.coverage.delivered(types):
                        if self._covers(services, scope):
                            self._covered(csf, scope, intervals)

    def _covered(self, csf: str, scope: str, intervals: Intervals) -> None:
        """Ask for the months, days and hours that a poll covered."""
        calendar = self._calendar
        for hour in self._heard.facts.hours(scope, intervals):
            self.ask(csf, scope, "hour", hour)
        for start, end in intervals:
            day = calendar.day_start(start)
            month = calendar.month_start(start)
            first, last = self._extent.get((csf, scope), (day, day))
            self._extent[(csf, scope)] = (min(first, day), max(last, calendar.day_start(max(start, end - 1))))
            while month < end:
                self.ask(csf, scope, "month", month)
                month = calendar.next_month(month)
            while day < end:
                self.ask(csf, scope, "day", day)
                day = calendar.next_day(day)
            if end > self._heard.clock - _LIVELY_S:
                self._agenda.look_again(csf, scope)
