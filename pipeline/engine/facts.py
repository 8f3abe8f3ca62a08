"""Facts: the cells rollup has heard of, by service; ``merging`` puts them together by scope and span."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec

from pipeline.engine.bases import Base
from pipeline.engine.cellstore import CellId, CellStore, cell_id, cell_key
from pipeline.engine.merging import Entry, Merging
from pipeline.engine.plan import Plan
from pipeline.engine.prefixes import Prefixes
from pipeline.engine.starts import Starts
from pipeline.engine.teams import Teams
from pipeline.time.intervals import Intervals
from pipeline.time.panes import DAY, HOUR, MINUTE, SLIDE, Pane, cover

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder().decode
_PANE_LISTS = 256
#: how many, and two sums
_Sums = tuple[int, int, int]
_NOTHING: _Sums = (0, 0, 0)


class Facts:
    """Cells of all source partitions, merged on demand to services, teams and the organisation.

    Attributes:
        at: the merged state of a scope in one pane.
        span: the merged state of a scope over panes.
        know, knows, team, services, scopes: see ``pipeline.engine.teams.Teams``.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.calendar = plan.calendar
        teams = Teams({s.id: s.team for s in plan.catalogue.services.values()})
        self._cells: CellStore[list[Entry]] = CellStore(list[Entry], teams.team)
        self._dirty: set[CellId] = set()
        self._clock_s = 0.0
        self._merging = Merging(self._cells, teams)
        self.at, self.span = self._merging.at, self._merging.span
        self.know, self.knows, self.team = teams.know, teams.knows, teams.team
        self.services, self.scopes = teams.services, teams.scopes
        #: (base, service) → the sums up to the end of each day
        self._running: dict[tuple[str, str], Prefixes[_Sums]] = {}
        self._panes: dict[tuple[str, int, int], list[Pane]] = {}
        self._day_panes: dict[tuple[str, int, int, int], list[list[Pane]]] = {}
        #: days on which a base of a service has a cell, in order
        self._days: Starts[tuple[str, str]] = Starts()

    # --- taking ---

    def put(
        self, cell: CellId, team: str, source: str, position: int, states: Mapping[str, bytes]
    ) -> list[tuple[str, Entry | None]]:  # fmt: skip
        """Put what a source says of a cell.

        Args:
            cell: its level, start and service.
            team: of its service.
            source: who says it.
            position: of the source when it said it.
            states: packed, by base.

        Returns:
            each base whose state was not older than the one held, with the entry it replaced, None for none.
        """
        level, start, service = cell
        self.know(service, team)
        held = self._cells.make(cell)
        noted = self._merging.noted(service, (level, start))
        put: list[tuple[str, Entry | None]] = []
        dirty = False
        for base_key, raw in states.items():
            entry = (source, position, raw)
            entries = held.get(base_key)
            before: Entry | None = None
            if entries is None:
                noted.setdefault(base_key, ())
                self._outdate(cell, base_key)
                held[base_key] = [entry]
                if level == DAY:
                    self._days.add((base_key, service), start)
                dirty = True
            else:
                at, before = next(((i, e) for i, e in enumerate(entries) if e[0] == source), (len(entries), None))
                if before is not None and before[1] > position:
                    continue
                if before is None or before[2] != raw:
                    noted.setdefault(base_key, tuple(entries))
                    self._outdate(cell, base_key)
                    dirty = True
                entries[at : at + 1] = [entry]
            put.append((base_key, before))
        if dirty:
            self._dirty.add(cell)
        return put

    def swap(self, cell: CellId, base_key: str, entry: Entry | None, source: str) -> Entry | None:
        """Set a source's state of a cell to another for a while (None: take it out); return the one it had."""
        held = self._cells.make(cell)
        entries = held[base_key]
        before = next((e for e in entries if e[0] == source), None)
        kept = [e for e in entries if e[0] != source]
        held[base_key] = kept if entry is None else [*kept, entry]
        self._forget(cell, base_key)
        return before

    def _forget(self, cell: CellId, base_key: str) -> None:
        """Forget what was merged with a state."""
        level, start, service = cell
        self._merging.drop(base_key, service, (level, start))
        self._outdate(cell, base_key)

    def _outdate(self, cell: CellId, base_key: str) -> None:
        """Forget the running sums that a day is part of."""
        level, start, service = cell
        if level == DAY and (base_key, service) in self._running:
            self._running[(base_key, service)].forget(start)

    def expire(self, clock_s: float) -> None:
        """Drop fine panes that can change no more."""
        self._clock_s = clock_s
        for cell, base_keys in self._cells.expire(clock_s):
            for base_key in base_keys:
                self._forget(cell, base_key)
            self._dirty.discard(cell)

    # --- durable state ---

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk: a cell, or a block of them."""
        if key[:2] == b"b|":
            block, team = self._cells.restore_block(key, value)
            self.know(block[2], team)
            for base_key, starts in self._cells.bases_of(block) if block[0] == DAY else ():
                for start in starts:
                    self._days.add((base_key, block[2]), start)
            return
        cell = cell_id(key)
        team, states = _decode(value)
        self.know(cell[2], team)
        self._cells.restore(cell, {base: [(s, p, b) for s, p, b in entries] for base, entries in states.items()})
        if cell[0] == DAY:
            for base_key in states:
                self._days.add((base_key, cell[2]), cell[1])

    @property
    def changes(self) -> int:
        """How many cells changed since ``chunks`` was last called."""
        return len(self._dirty)

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call (None: dropped)."""
        yield from self._cells.over()
        for cell in self._dirty | self._cells.take_opened():
            yield cell_key(cell), _encoder.encode([self.team(cell[2]), self._cells.whole(cell)])
        self._dirty = set()
        yield from self._cells.pack(self._clock_s)

    # --- reading ---

    def has(self, base_key: str, service: str, pane: Pane) -> bool:
        """Return whether a base of a service has a cell in a pane."""
        return self._cells.item((*pane, service), base_key) is not None

    def days_of(self, base_key: str, service: str) -> Sequence[int]:
        """Return the days on which a base of a service has a cell, in order."""
        return self._days.of((base_key, service))

    def hours(self, scope: str, spans: Intervals) -> set[int]:
        """Return the hours that overlap any of these spans and in which a scope has facts."""
        services = self.services(scope)
        found: set[int] = set()
        for start, end in spans:
            first = start - start % 3_600
            if (end - first) // 3_600 * len(services) < len(self._cells):
                asked = range(first, end, 3_600)
                found |= {h for h in asked if any((HOUR, h, s) in self._cells for s in services)}
            else:
                found |= {h for level, h, s in self._cells if level == HOUR and first <= h < end and s in services}
        return found

    def sources(self) -> set[str]:
        """Return the names of all source partitions that have facts."""
        cells = map(self._cells.whole, self._cells)
        return {entry[0] for held in cells for entries in held.values() for entry in entries}

    def after(self, at_s: float) -> Iterable[tuple[int, int, str, Iterable[str]]]:
        """Yield (level, start, service, base keys) of the cells of hours and days that begin after an instant."""
        for cell in self._cells:
            level, start, service = cell
            if start > at_s and level in {HOUR, DAY}:
                yield level, start, service, self._cells.whole(cell)

    def extents(self) -> Iterable[tuple[str, str, Sequence[int]]]:
        """Yield (base key, service, days with a cell)."""
        for (base_key, service), days in self._days.items():
            yield base_key, service, days

    def panes(self, period: str, start: int, end: int) -> list[Pane]:
        """Return the panes that make up a period or window: the same for every KPI and scope, so worked out once."""
        if period == "hour":
            return [(HOUR, start)]
        if period == "day":
            return [(DAY, start)]
        known = self._panes.get((period, start, end))
        if known is None:
            if period == "month":
                known = [(DAY, d) for d in self.calendar.days(start, end)]
            else:
                known = cover(start, end, SLIDE[period], self.calendar)
            if len(self._panes) > _PANE_LISTS:
                self._panes.clear()
            self._panes[(period, start, end)] = known
        return known

    def panes_by_day(self, period: str, start: int, end: int, last: int) -> list[list[Pane]]:
        """Return the panes of each local day of [start, end) up to the one that holds ``last``, worked out once."""
        calendar = self.calendar
        key = (period, start, end, calendar.day_start(last))
        known = self._day_panes.get(key)
        if known is None:
            known = []
            finest = SLIDE.get(period, MINUTE)
            for day in calendar.days(start, last + 1):
                first, until = max(day, start), min(calendar.next_day(day), end)
                if first == day and until == calendar.next_day(day):
                    known.append([(DAY, day)])
                else:
                    known.append([(HOUR, first)] if period == "hour" else cover(first, until, finest, calendar))
            if len(self._day_panes) > _PANE_LISTS:
                self._day_panes.clear()
            self._day_panes[key] = known
        return known

    def sums_until(self, base: Base, scope: str, at_s: int) -> _Sums | None:
        """Return the sums of everything dated before an instant (a whole minute), None where there is nothing."""
        today = self.calendar.day_start(at_s)
        found = False
        sums = _NOTHING
        panes = cover(today, at_s, MINUTE, self.calendar) if at_s > today else []
        for service in self.services(scope):
            days = self.days_of(base.key, service)
            if days and days[0] < today:
                found = True
                sums = _added(sums, self._running_sums(base, service, days, today))
            for pane in panes:
                if self.has(base.key, service, pane):
                    found = True
                    sums = _added(sums, self._sums_of(base, service, pane))
        return sums if found else None

    def _running_sums(self, base: Base, service: str, days: Sequence[int], day: int) -> _Sums:
        """Return the sums of all days of a service before one."""
        running = self._running.get((base.key, service))
        if running is None:
            running = self._running[(base.key, service)] = Prefixes(_NOTHING)
        return running.before(days, day, lambda sums, d: _added(sums, self._sums_of(base, service, (DAY, d))))

    def _sums_of(self, base: Base, service: str, pane: Pane) -> _Sums:
        state: _Sums = self.at(base, f"service:{service}", pane) or _NOTHING
        return state


def _added(a: _Sums, b: _Sums) -> _Sums:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@lru_cache(maxsize=4_096)
def source_name(topic: str, partition: int) -> str:
    """Return the short name of a source partition."""
    return f"{topic.removeprefix('csf.events.')}|{partition}"
