"""The direct path: events of additive types decoded whole and folded many at a time.

It does for a run of messages what ``IngestPartition`` does for one event, by the same rules, and stops before an
event that it cannot lead to its exit: one that is invalid, near the edge of a rule, of another type, or of a
service nobody knows yet. That one goes the long way, which decides everything anew.

Events go in chunks through passes, each a comprehension or a loop that runs in C: a loop over the events that does
everything for each was a tenth slower (decision 0007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.aggregate.base import Contribution
from pipeline.engine.bases import Base
from pipeline.engine.bounds import NAMING, Names
from pipeline.engine.cells import Cells
from pipeline.engine.cellstore import CellId
from pipeline.engine.columns import Column, Rows
from pipeline.engine.plan import ENTITY_TYPES, SESSION, ByColumns, Plan
from pipeline.engine.seen import SeenIds, event_keys
from pipeline.engine.services import ServiceBook
from pipeline.engine.sessions import Sessions
from pipeline.errors import InvalidEvent
from pipeline.events.families import TYPES, event_topic
from pipeline.events.validate import CONTROL_TYPES, FUTURE_LIMIT_MS, NUMBERS, check_of
from pipeline.events.whole import whole_decoder, whole_structs
from pipeline.time.calendar import EPOCH, to_ms
from pipeline.time.panes import KEEP, LENGTH, MINUTE

#: An event this near to the edge of a rule goes the long way, seconds: neither floating point nor whole seconds decide.
_EDGE_S = 2.0
_FRESH_S = KEEP[MINUTE] - _EDGE_S
_FUTURE_S = FUTURE_LIMIT_MS / 1000 - _EDGE_S
_HOUR_MS, _DAY_S = 3_600_000, 86_400
#: Events of one chunk: few enough that a processor's cache holds them, many enough that passes cost little.
_MOST, _LEAST = 1024, 8
#: Bits of a cell's code that number its service; more than may be gathered at once.
_SERVICE_BITS = 27
Codes: TypeAlias = NDArray[np.int64]

#: (service, data, time ms, clock ms)
Visit = Callable[[str, Any, int, int], None]
Item = tuple[int, int, Any]  # offset, arrival ms, bytes of one event


@dataclass(frozen=True)
class Taken:
    """What a run took: the index it stopped at, the clock there, and the exits of what lies before."""

    upto: int
    clock_ms: int
    kpi: int
    duplicate: int


@dataclass
class _Type:
    """How events of one type are led.

    Attributes:
        check: the rules that the types of its fields do not say.
        naming: the type, where its events bring names that are bounded.
        by: how their data is folded.
        visit: tells sessions of an event, where sessions are measured.
        gathered: codes of cells, and columns, of the chunks since ``settle``.
    """

    check: Callable[[Any, int], None] | None
    naming: str | None
    by: ByColumns
    visit: Visit | None
    gathered: list[tuple[Codes, list[Column]]] = field(default_factory=list)

    def rows(self) -> tuple[list[int], Rows]:
        """Return the codes of the cells of what was gathered, and its records in their order; then it is forgotten."""
        codes = np.concatenate([codes for codes, _ in self.gathered])
        columns = [np.concatenate(parts) for parts in zip(*[columns for _, columns in self.gathered], strict=True)]
        self.gathered.clear()
        return Rows.of(columns, codes)


@dataclass
class _Chunk:
    """Events on their way, with what is known of each: lists of the same length.

    Attributes:
        stamps: event times in whole seconds, rounded down: ``timestamp()`` takes half as long again.
    """

    events: list[Any]
    stamps: list[int]
    services: list[str | None]
    clocks: list[int]

    def cut(self, length: int) -> None:
        """Leave the first events only."""
        for each in (self.events, self.stamps, self.services, self.clocks):
            del each[length:]

    def keep(self, mask: list[bool]) -> None:
        """Leave the events of a mask only."""
        self.events, self.stamps = list(compress(self.events, mask)), list(compress(self.stamps, mask))
        self.services, self.clocks = list(compress(self.services, mask)), list(compress(self.clocks, mask))


class DirectPath:
    """The direct path of one source partition."""

    def __init__(
        self, plan: Plan, topic: str, seen: SeenIds, services: ServiceBook, names: Names, cells: Cells,
        sessions: Sessions, horizon_ms: int,
    ) -> None:  # fmt: skip
        self._seen, self._services, self._names, self._cells = seen, services, names, cells
        self._horizon_s = horizon_ms / 1000 + _EDGE_S
        visits: dict[str, Visit] = (
            {"page.viewed": sessions.view_page, "task.finished": sessions.finish} if SESSION in plan.by_type else {}
        )
        wanted = additive_types() & plan.wanted_types
        types = frozenset(t for t in wanted if event_topic(TYPES[t][0]) == topic)
        self._types = {
            struct: _Type(
                None if t in NUMBERS else check_of(t),
                t if t in NAMING else None,
                plan.columns[t],
                visits.get(t),
            )
            for t, struct in whole_structs(types).items()
        }
        self._looked_into = any(how.check or how.naming for how in self._types.values())
        self._decode = whole_decoder(types) if types else None
        self._size = _LEAST
        #: services of what is gathered, numbered
        self._numbers: dict[str, int] = {}
        #: codes of the cells of what is gathered
        self._touched: set[int] = set()

    @property
    def cells(self) -> int:
        """How many cells take what is gathered, at their finest level."""
        return len(self._touched)

    def take(self, items: Sequence[Item], start: int, clock_ms: int) -> Taken:
        """Lead items from ``start`` on to their exits, as far as they go this way.

        Args:
            items: single events in the order of the log.
            start: index of the first.
            clock_ms: the partition's clock before it.
        """
        at, kpi, duplicate = start, 0, 0
        while self._decode is not None and not self._seen.legacy and at < len(items):
            part = items[at : at + self._size]
            chunk = self._read(part, clock_ms)
            taken, clock = len(chunk.events), chunk.clocks[-1] if chunk.clocks else clock_ms
            counted = self._fold(chunk) if taken else 0
            if counted is None:
                taken = 0
            else:
                clock_ms = clock
                kpi += counted
                duplicate += taken - counted
            at += taken
            if taken < len(part):
                self._size = max(_LEAST, taken)  # what is decoded behind such an event is decoded again
                break
            self._size = min(_MOST, 2 * self._size)
        return Taken(at, clock_ms, kpi, duplicate)

    def _read(self, part: Sequence[Item], clock_ms: int) -> _Chunk:
        """Decode events up to the first that cannot go this way, or to the end of the clock's hour."""
        _, arrivals, raws = zip(*part, strict=True)
        clocks = list(accumulate(arrivals, max, initial=clock_ms))[1:]
        events: list[Any] = []
        try:
            events.extend(map(self._decode, raws))  # type: ignore[arg-type] # only called where there is one
        except Exception:  # the first that is refused; what lies before it was taken
            del clocks[len(events) :]
        stamps = [(since := event.time - EPOCH).days * _DAY_S + since.seconds for event in events]
        chunk = _Chunk(events, stamps, self._services_of(events), clocks)
        chunk.cut(self._good(chunk, min(arrivals)))
        return chunk

    def _services_of(self, events: list[Any]) -> list[str | None]:
        services: list[str | None] = list(map(self._services.known.get, [event.subject for event in events]))
        if None in services:
            told = self._services.told.get
            for i, (event, service) in enumerate(zip(events, services, strict=True)):
                if service is None and event.csfteam:
                    services[i] = told(event.subject)
        return services

    def _good(self, chunk: _Chunk, arrival_ms: int) -> int:
        """Return how many of the first events keep all rules for sure, at their earliest possible arrival."""
        good = len(chunk.events)
        if None in chunk.services:
            good = chunk.services.index(None)
        least, most = self._horizon_s, arrival_ms / 1000 + _FUTURE_S
        if good and not (min(chunk.stamps) >= least and max(chunk.stamps) <= most):
            good = min(good, next(i for i, at in enumerate(chunk.stamps) if not least <= at <= most))
        if good and chunk.clocks[good - 1] // _HOUR_MS != chunk.clocks[0] // _HOUR_MS:
            hour = chunk.clocks[0] // _HOUR_MS
            good = next(i for i, clock in enumerate(chunk.clocks) if clock // _HOUR_MS != hour)
        if self._looked_into:
            for i, (event, service) in enumerate(zip(chunk.events[:good], chunk.services, strict=False)):
                if not self._sound(event, service, arrival_ms):
                    return i
        return good

    def _sound(self, event: Any, service: str | None, arrival_ms: int) -> bool:
        """Return whether an event keeps the rules that its types do not say, and brings no new name."""
        how = self._types[type(event)]
        if how.naming and not self._names.knows(how.naming, event.data, service or ""):
            return False
        if how.check is not None:
            try:
                how.check(event.data, arrival_ms + FUTURE_LIMIT_MS)
            except InvalidEvent:
                return False
        return True

    def _fold(self, chunk: _Chunk) -> int | None:
        """Gather the events that are no duplicates; return how many these are, None where one of them is a fault's."""
        noted = self._drop_duplicates(chunk)
        events = chunk.events
        kinds = set(map(type, events))
        if kinds:
            try:
                self._gather(chunk, kinds)
            except Exception:  # the long way finds the event, and makes a letter of it alone
                self._seen.forget(noted, chunk.clocks[-1])
                return None
        if any(self._types[kind].visit for kind in kinds):
            self._visit(chunk)
        return len(events)

    def _gather(self, chunk: _Chunk, kinds: set[type]) -> None:
        """Keep the columns of a chunk's events: of all of them or, where one cannot be read, of none."""
        events, codes = chunk.events, self._codes_of(chunk)
        found: list[tuple[_Type, Codes, list[Column]]] = []
        for kind in kinds:
            how = self._types[kind]
            if len(kinds) == 1:
                found.append((how, codes, how.by.read([event.data for event in events])))
            else:
                mine = [type(event) is kind for event in events]
                found.append((how, codes[mine], how.by.read([event.data for event in compress(events, mine)])))
        dated = list(self._by_others(chunk)) if any(self._types[kind].by.others for kind in kinds) else ()
        # all is read: what follows fails for no event's sake
        for how, its_codes, columns in found:
            how.gathered.append((its_codes, columns))
        for base, service, dated_ms, clock_ms, contribution in dated:
            self._cells.gather(base, service, dated_ms, clock_ms, contribution)
        self._touched.update(np.unique(codes).tolist())

    def _by_others(self, chunk: _Chunk) -> Iterator[tuple[Base, str, int, int, Contribution]]:
        """Yield what the bases that have no columns read of the events, each with its service, its time and its clock."""
        for event, service, clock_ms in zip(chunk.events, chunk.services, chunk.clocks, strict=True):
            assert service is not None
            for base in self._types[type(event)].by.others:
                for dated_ms, contribution in base.extract(event.data, to_ms(event.time), ""):
                    yield base, service, dated_ms, clock_ms, contribution

    def _drop_duplicates(self, chunk: _Chunk) -> list[bytes]:
        """Leave the events that are new; return their keys, which are noted."""
        keys = event_keys(chunk.events)
        ids, fresh = self._seen.of_hour(chunk.clocks[0])
        known, before = ids.intersection(keys), len(ids)
        ids.update(keys)
        new = len(ids) - before
        if new < len(keys):
            mask = [key not in known for key in keys]
            if sum(mask) > new:  # an event is twice in this chunk: the first counts
                mask = [key not in known and _noted(known, key) for key in keys]
            keys = list(compress(keys, mask))
            chunk.keep(mask)
        fresh += keys
        return keys

    def _codes_of(self, chunk: _Chunk) -> Codes:
        """Return the code of the finest cell of each event, for bases that enter every level."""
        services = self._numbers_of(chunk.services)  # type: ignore[arg-type] # no service is None any more
        if min(chunk.stamps) >= chunk.clocks[-1] / 1000 - _FRESH_S:
            stamps = np.array(chunk.stamps, dtype=np.int64)
            return _code(stamps - stamps % LENGTH[MINUTE], MINUTE, services)
        cell_of = self._cells.cell_of
        each = zip(chunk.events, chunk.services, chunk.clocks, strict=True)
        cells = [cell_of(service, to_ms(event.time), clock) for event, service, clock in each]  # type: ignore[arg-type] # as above
        panes = np.array([cell[:2] for cell in cells], dtype=np.int64)
        return _code(panes[:, 1], panes[:, 0], services)

    def _numbers_of(self, services: list[str]) -> Codes:
        """Return a number for each service, the same until ``settle``."""
        numbers: list[Any] = list(map(self._numbers.get, services))
        if None in numbers:
            known = self._numbers
            numbers = [known.setdefault(service, len(known)) for service in services]
        return np.array(numbers, dtype=np.int64)

    def _visit(self, chunk: _Chunk) -> None:
        """Tell sessions of the events, in their order."""
        reporting = self._services.reporting
        for event, service, clock_ms in zip(chunk.events, chunk.services, chunk.clocks, strict=True):
            visit = self._types[type(event)].visit
            assert service is not None
            if visit is not None and service not in reporting:
                visit(service, event.data, to_ms(event.time), clock_ms)

    def settle(self) -> None:
        """Fold the gathered columns into the states that cells gather."""
        services = list(self._numbers)
        for how in self._types.values():
            if how.gathered:
                codes, rows = how.rows()
                gathered = [self._cells.gathered(_cell(code, services)) for code in codes]
                for key, absorb, fold in how.by.folds:
                    for states, state in zip(gathered, fold(rows), strict=True):
                        if state is not None:
                            held = states.get(key)
                            states[key] = state if held is None else absorb(held, state)
        self._numbers.clear()
        self._touched.clear()


def _code(starts: Codes, levels: Codes | int, services: Codes) -> Codes:
    """Return the codes of cells: numbers that are theirs alone, in the order of time."""
    return ((starts * 4 + levels) << _SERVICE_BITS) + services


def _cell(code: int, services: list[str]) -> CellId:
    """Return the cell of a code."""
    pane = code >> _SERVICE_BITS
    return pane & 3, pane >> 2, services[code & ((1 << _SERVICE_BITS) - 1)]


def _noted(keys: set[bytes], key: bytes) -> bool:
    """Note a key: the next event with it is a duplicate."""
    keys.add(key)
    return True


def additive_types() -> set[str]:
    """Return the types whose events can go the direct way; whether a reported session counts, its service says."""
    return TYPES.keys() - ENTITY_TYPES - CONTROL_TYPES - {"session.ended"}
