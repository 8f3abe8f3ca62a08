"""Rollup: partials of all source partitions merged to services, teams and the organisation, and judged.

One partition folds statements into what is heard (``heard``), asks for what they concern (``asking``), and works it out when
its turn comes (``telling``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.engine import wire
from pipeline.engine.agenda import SHORT, Agenda
from pipeline.engine.asking import Asking
from pipeline.engine.definitions import DEFS_KEY
from pipeline.engine.facts import source_name
from pipeline.engine.heard import Heard
from pipeline.engine.plan import Plan
from pipeline.engine.telling import RollupOutput, Telling
from pipeline.time.intervals import Intervals, subtract, union
from pipeline.time.panes import DAY
from pipeline.values import Exits, Happening

#: Share of changed finished periods worked out a turn while more changes arrive.
_HISTORY_SHARE = 0.02
#: Values of finished periods for each that windows take while more of them wait: where more windows change than
#: there is time for, periods would else never be told, and nothing acknowledged. An eighth was too little for a worker that
#: had no time left: an hour ended with more cards than an eighth of its turns.
_PERIODS_SHARE = 0.5
_NEVER = 2**62
#: The chunk that says from which offset on messages were said by this generation of state.
FLOOR_KEY = b"floor"


class RollupPartition:
    """One partition of ``csf.partials``: folds statements, evaluates what they change."""

    def __init__(self, plan: Plan, partition: int) -> None:
        self.partition = partition
        #: last offset folded, -1 before the first
        self.position = -1
        self.heard = Heard(plan)
        #: bases of which more is kept than what is merged
        self._watched = {
            key
            for key, base in plan.bases.items()
            if base.spec.how in {"checks", "syncs"} or base.spec.state == "windows"
        }
        self._agenda = Agenda()
        self._asking = Asking(self.heard, self._agenda)
        self._telling = Telling(self.heard, self._asking)
        #: messages before this offset were said by an older generation of state
        self._floor = 0
        #: the clock at which everything asked for had been told
        self._told_at = 0.0
        self._unsaved_now = False
        self._exits: dict[str, Exits] = {}
        self._exits_dirty: set[str] = set()
        #: what happened to services and is not yet told
        self._happened: list[Happening] = []
        #: months whose last barrier came, in that order, with the agenda's mark; a barrier told twice closes once
        self._close_now: dict[tuple[int, str], int] = {}
        #: the agenda's mark when values were worked out last
        self._looked_at = -1
        #: services that the catalogue does not name → team
        self._discovered: dict[str, str] = {}
        self._unsaved_services = False
        #: (CSF, polled key) whose first word made coverage known
        self._covered_by: set[tuple[str, str]] = set()
        #: those of them whose consequences were all told
        self._covered_told: set[tuple[str, str]] = set()

    @property
    def pending(self) -> int:
        """How many cards and live entries are still to be evaluated."""
        said = len(self._exits_dirty) + len(self._happened)
        return len(self._agenda) + self._asking.unexpanded + len(self._close_now) + said

    @property
    def clock(self) -> float:
        """The largest arrival clock heard of, epoch seconds."""
        return self.heard.clock

    @property
    def csfs(self) -> frozenset[str]:
        """The CSFs it has heard of."""
        return frozenset(self.heard.csfs)

    def maintenance(self) -> dict[str, list[tuple[int, int]]]:
        """Return the planned maintenance that counts, by service, as [start, end) in epoch seconds."""
        heard = self.heard
        base = next((roles["maintenance"] for roles in heard.plan.roles.values() if "maintenance" in roles), None)
        if base is None:
            return {}
        planned = {s: heard.uptime.windows(base, s, int(heard.clock * 1000)) for s in heard.facts.services("org")}
        return {s: [(a // 1000, -(-b // 1000)) for a, b in windows] for s, windows in planned.items() if windows}

    # --- folding ---

    def fold(self, records: Iterable[tuple[int, int, bytes]]) -> None:
        """Fold messages of ``csf.partials`` (offset, arrival, value).

        A message at or below ``position`` (a replay) changes no state, but what it concerns is evaluated again.
        """
        before = self.heard.clock
        for offset, _arrival_ms, value in records:
            if offset < self._floor:
                self._old(wire.decode(value))
            else:
                self._one(wire.decode(value))
            self.position = max(self.position, offset)
        if self.heard.clock > before:
            self.heard.facts.expire(self.heard.clock)
            self._asking.passed(before)

    def _one(self, message: list[Any]) -> None:
        kind, topic, partition, position, clock_ms, csf, *body = message
        if csf not in self.heard.csfs:
            self.heard.csfs.add(csf)
            self._unsaved_now = self._asking.unmet = True
        source = source_name(topic, partition)
        if clock_ms / 1000 > self.heard.clock:
            self.heard.clock = clock_ms / 1000
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
        elif kind == wire.HAPPENED:
            self._happened.append(msgspec.convert(body[0], Happening))
        elif kind == wire.BASES and self.heard.definitions.hear(source, *body):
            self._asking.everything(csf)

    def _old(self, message: list[Any]) -> None:
        """Take a message from before the state was made anew: it knows better, but what was told of it may be lost."""
        kind, _topic, _partition, _position, _clock_ms, csf, *body = message
        if kind == wire.CELL:
            service, _team, level, start, states = body
            self._asking.changed(csf, service, level, start, states)
        elif kind in {wire.POLLED, wire.REPORTED, wire.BARRIER}:
            self._asking.everything(csf)

    def _cell(
        self, csf: str, source: str, position: int, service: str, team: str, level: int, start: int,
        states: dict[str, bytes],
    ) -> None:  # fmt: skip
        heard = self.heard
        cell = (level, start, service)
        # a month is made of days; finer cells may expire while a barrier is under way
        months = {m for m, _ in heard.closing.open} if level == DAY else ()
        self._know(source, service, team)
        ends = {m: heard.plan.calendar.next_month(m) for m in months}
        bases = heard.plan.bases
        known = states if states.keys() <= bases.keys() else {key: raw for key, raw in states.items() if key in bases}
        for base_key, was in heard.facts.put(cell, team, source, position, known) if known else ():
            if not ends and base_key not in self._watched:
                continue
            base = bases[base_key]
            checks = base.spec.how == "checks"
            if ends and (was is None or was[2] != known[base_key]):
                # a check after the month's end says what held in it
                heard.closing.keep(dict.fromkeys(ends, _NEVER) if checks else ends, cell, base_key, source, was)
            if checks:
                heard.uptime.forget(service, start)
                if level == DAY:
                    self._asking.checked(csf, base_key, service, start)
            elif base.spec.how == "syncs":
                heard.freshness.forget(base_key, service)
            elif base.spec.state == "windows":
                heard.uptime.forget_windows(base_key, service)
        self._asking.changed(csf, service, level, start, states)

    def _know(self, source: str, service: str, team: str) -> None:
        """Note that a source speaks of a service."""
        known = self.heard.facts.knows(service)
        if self.heard.closing.open:
            self.heard.closing.keep_stranger(source, service, known=known)
        if not known:
            self.heard.facts.know(service, team)
            self._discovered[service] = team
            self._asking.unmet = self._unsaved_services = True

    def _poll(self, csf: str, source: str, name: str, types: list[str], services: list[str] | None, spans: Any) -> None:
        key = f"{source}|{name}|{','.join(types)}|{'*' if services is None else ','.join(services)}"
        intervals = [(a, b) for a, b in spans]
        was = self.heard.coverage.put(key, name, types, services, intervals)
        self.heard.closing.keep_poll(csf, source, key, was)
        first = (csf, key) not in self._covered_by
        self._covered_by.add((csf, key))
        self._asking.delivered(csf, services, _newly_covered(was.intervals if was else [], intervals), first=first)

    def _report(self, csf: str, source: str, kpi: str, scope: str, month: str, *numbers: float | None) -> None:
        start = self.heard.plan.calendar.parse_month(month)
        was = self.heard.reported.put((kpi, scope, start), list(numbers))
        self.heard.closing.keep_report(csf, source, (kpi, scope, start), was)
        self._asking.ask(csf, scope, "month", start)

    def _barrier(self, csf: str, source: str, month: str, _barrier_id: str, need: int) -> None:
        start = self.heard.plan.calendar.parse_month(month)
        if self.heard.closing.arrive(start, csf, source, need):
            self._close_now[(start, csf)] = self._agenda.current
        elif self.heard.closing.is_closed(start, csf):  # a replay: what was closed is told again
            for scope in self.heard.facts.scopes():
                self._asking.ask(csf, scope, "month", start)

    # --- evaluating ---

    def mark(self) -> int:
        """Return a mark that covers everything folded so far; see ``settled``."""
        self._asking.expand()
        return self._agenda.mark()

    def settled(self, mark: int) -> bool:
        """Return whether everything that was folded up to a mark is worked out; to be asked once it is also written."""
        if self.pending:
            return self._looked_at > mark and self._agenda.settled(mark)
        if self._told_at != self._asking.running_at:
            self._told_at = self._asking.running_at
            self._unsaved_now = True
        if len(self._covered_told) != len(self._covered_by):
            self._covered_told = set(self._covered_by)
            self._unsaved_now = True
        return True

    def evaluate(self, limit: int, *, urgent_only: bool = False) -> RollupOutput:
        """Work out what is urgent, then (unless told otherwise) the rest, up to about ``limit`` values."""
        out = RollupOutput()
        self._looked_at = self._agenda.current
        self._asking.expand()
        for at, mark in self._close_now.items():
            with self._agenda.because_of(mark):
                self._telling.close(*at, out)
        self._close_now.clear()
        self._asking.expand()
        for csf, scope in self._agenda.next_urgent():
            for window in SHORT:
                self._telling.live(csf, scope, window, out)
            if len(out.values) >= limit:
                break
        else:
            if not urgent_only:
                self._evaluate_rest(limit, out)
        for source in self._exits_dirty:
            out.exits.append(self._exits[source])
        self._exits_dirty = set()
        out.happenings, self._happened = self._happened, []
        return out

    def _evaluate_rest(self, limit: int, out: RollupOutput) -> None:
        for entry in self._agenda.next_due():
            if len(entry) == 3:
                window, csf, scope = entry
                self._telling.live(csf, scope, window, out)
            else:
                self._telling.card(entry, out)
            if len(out.values) >= limit:
                limit = len(out.values) + int(limit * _PERIODS_SHARE)
                break
        for card in self._agenda.next_cards(_HISTORY_SHARE):
            self._telling.card(card, out)
            if len(out.values) >= limit:
                return

    # --- durable state ---

    @property
    def changed_cells(self) -> int:
        """How many cells changed since they were taken last."""
        return self.heard.facts.changes

    def take_chunks(self) -> list[tuple[bytes, bytes | None]]:
        """Return the durable state that changed since the last call."""
        heard = self.heard
        chunks: list[tuple[bytes, bytes | None]] = []
        for part in (heard.facts, heard.coverage, heard.closing, heard.reported, heard.definitions):
            chunks.extend(part.chunks())
        if self._unsaved_now:
            self._unsaved_now = False
            now = [heard.clock, sorted(heard.csfs), sorted(self._covered_told), self._told_at]
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
                self.heard.clock, csfs, covered_by, *told_at = msgspec.msgpack.decode(value)
                self._told_at = told_at[0] if told_at else self.heard.clock
                self.heard.csfs = set(csfs)
                self._covered_by = {(csf, polled) for csf, polled in covered_by}
                self._covered_told = set(self._covered_by)
                self._asking.unmet = bool(self.heard.csfs)
            elif key == b"services":
                self._discovered = msgspec.msgpack.decode(value)
                for service, team in self._discovered.items():
                    self.heard.facts.know(service, team)
            elif key[:2] in {b"b|", b"c|"}:
                self.heard.facts.restore(key, value)
            elif key[:2] == b"p|":
                self.heard.coverage.restore(key, value)
            elif key[:2] == b"m|":
                self.heard.closing.restore(key, value)
            elif key[:2] == b"r|":
                self.heard.reported.restore(key, value)
        self.heard.facts.expire(self.heard.clock)  # a block may still have what was dropped of it
        if made_by is not None:
            self.heard.definitions.restore(made_by, self.heard.clock, self.heard.facts.sources)
        self._asking.recall(self._told_at or self.heard.clock)
        self._telling.recall(self._agenda)
        for (month, csf), barrier in self.heard.closing.open.items():
            if len(barrier.sources) >= barrier.need:
                self._close_now[(month, csf)] = self._agenda.current


def _newly_covered(before: Intervals, now: Intervals) -> Intervals:
    """Return what a poll changed: its spans, and a gap before its end, in which what a log said last now holds.

    Where nothing changed it is a replay, and everything may be unevaluated.
    """
    changed = [*subtract(now, before), *subtract(before, now)]
    if before and now and now[-1][1] > before[-1][1]:
        changed.append((before[-1][1], now[-1][1]))
    return union(changed) or now
