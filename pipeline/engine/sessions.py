"""Sessions: visits of one user to one service, told apart by inactivity, merged when a late view bridges two.

A session (and a finished task) is forgotten some time after the arrival of what last joined it; what it
contributed stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from pipeline.engine.bases import Base
from pipeline.engine.cells import Cells
from pipeline.engine.plan import Hot
from pipeline.engine.segments import Segments
from pipeline.events.families import PageViewed, SessionEnded, TaskFinished
from pipeline.time.calendar import from_ms

#: How long after the arrival of its last event a session still takes more, ms.
HOLD_MS = 25 * 3_600_000
#: A session counts as engaged from this length, seconds, or these pages, or a finished task.
ENGAGED_S = 10
ENGAGED_PAGES = 2

_SHEDS_KEY = b"s!"

Visitor = tuple[str, str]  # (service, user)


@dataclass(slots=True)
class SessionRecord:
    """A session as the measures read it."""

    user: str
    started_ms: int
    ended_ms: int
    duration_s: float
    pages: int
    tasks: int
    engaged: bool

    @property
    def started_at(self) -> datetime:
        """Start as a datetime."""
        return from_ms(self.started_ms)

    @property
    def ended_at(self) -> datetime:
        """End as a datetime."""
        return from_ms(self.ended_ms)


def _record(user: str, start: int, end: int, pages: int, tasks: int) -> SessionRecord:
    duration = (end - start) / 1000
    engaged = duration >= ENGAGED_S or pages >= ENGAGED_PAGES or tasks >= 1
    return SessionRecord(user, start, end, duration, pages, tasks, engaged)


def reported_record(data: SessionEnded, start_ms: int) -> SessionRecord:
    """Return a session its source counted as a record."""
    engaged = data.engaged
    if engaged is None:
        engaged = data.duration_s >= ENGAGED_S or data.pages >= ENGAGED_PAGES
    end = start_ms + int(data.duration_s * 1000)
    return SessionRecord(data.user, start_ms, end, data.duration_s, data.pages, 0, engaged)


@dataclass(slots=True, eq=False)
class _Session:
    row: int
    visitor: Visitor
    start: int
    end: int
    pages: int
    #: clock when it was begun: decides which panes its contributions go to
    born: int
    #: clock when the last event joined
    touched: int
    #: (start, end, pages, tasks) that it contributes as now
    counted: tuple[int, int, int, int] | None = None


@dataclass(slots=True, eq=False)
class _Task:
    row: int
    visitor: Visitor
    at: int
    touched: int


@dataclass(slots=True)
class _Visits:
    #: no session or task was touched before this clock
    since: int
    sessions: list[_Session] = field(default_factory=list)
    tasks: list[_Task] = field(default_factory=list)


class Sessions:
    """All open sessions of one source partition."""

    def __init__(
        self, hot: tuple[Hot, ...], others: tuple[Base, ...], cells: Cells, gap_ms: int, most: int
    ) -> None:  # fmt: skip
        self._most = most
        #: number of the row before which there cannot be too many
        self._look_at = 0
        #: (last event, visitor) up to which visitors were forgotten, and the last row there was
        self._sheds: list[tuple[int, Visitor, int]] = []
        self._sheds_changed = False
        self._hot = hot
        self._others = others
        self._cells = cells
        self._gap = gap_ms
        self._visits: dict[Visitor, _Visits] = {}
        self._rows: dict[int, _Session | _Task] = {}
        self._next_row = 0
        self._segments = Segments("s")
        #: sessions changed since they were settled: they contribute once, then
        self._due: dict[int, _Session] = {}
        self._swept = 0

    def view_page(self, service: str, data: PageViewed, at_ms: int, clock_ms: int) -> None:
        """Fold the data of a page view."""
        self.view(service, data.user, at_ms, clock_ms)

    def finish(self, service: str, data: TaskFinished, at_ms: int, clock_ms: int) -> None:
        """Fold the data of a finished task; one given up changes no session."""
        if data.completed:
            self.task(service, data.user, at_ms, clock_ms)

    def view(self, service: str, user: str, at_ms: int, clock_ms: int) -> None:
        """Fold a page view; what its session contributes follows with ``settle``."""
        visitor = (service, user)
        visits = self._of(visitor, clock_ms)
        earliest, latest = at_ms - self._gap, at_ms + self._gap
        known = visits.sessions
        if len(known) == 1:  # most visitors: spares the list
            joined = known if known[0].end >= earliest and known[0].start <= latest else []
        else:
            joined = [s for s in known if s.end >= earliest and s.start <= latest]
        if joined:
            session = joined[0]
            session.start = min(session.start, at_ms)
            session.end = max(session.end, at_ms)
            session.pages += 1
            session.touched = clock_ms
            for other in joined[1:]:  # the view bridges them
                self._absorb(visits, session, other)
        else:
            session = _Session(self._new_row(), visitor, at_ms, at_ms, 1, clock_ms, clock_ms)
            self._rows[session.row] = session
            visits.sessions.append(session)
        self._due[session.row] = session

    def task(self, service: str, user: str, at_ms: int, clock_ms: int) -> None:
        """Fold a completed task: it engages the session that holds its time, now or later."""
        visitor = (service, user)
        visits = self._of(visitor, clock_ms)
        task = _Task(self._new_row(), visitor, at_ms, clock_ms)
        self._rows[task.row] = task
        visits.tasks.append(task)
        self._segments.touch(task.row)
        for session in visits.sessions:
            if session.start <= at_ms <= session.end:
                session.touched = clock_ms
                self._due[session.row] = session

    def settle(self) -> None:
        """Let every session that changed contribute what it is now."""
        for session in self._due.values():
            self._settle(session)
        self._due = {}

    def _settle(self, session: _Session) -> None:
        visits = self._visits.get(session.visitor)
        tasks = visits.tasks if visits is not None else ()
        inside = sum(session.start <= t.at <= session.end for t in tasks) if tasks else 0
        self._recount(session, (session.start, session.end, session.pages, inside))
        if session.row in self._rows:
            self._segments.touch(session.row)

    def _new_row(self) -> int:
        self._next_row += 1
        return self._next_row

    def _absorb(self, visits: _Visits, session: _Session, other: _Session) -> None:
        """Let a session take over another, whose contributions are taken back."""
        session.start = min(session.start, other.start)
        session.end = max(session.end, other.end)
        session.pages += other.pages
        self._recount(other, None)
        visits.sessions.remove(other)
        self._due.pop(other.row, None)
        del self._rows[other.row]
        self._segments.remove(other.row)

    def _recount(self, session: _Session, now: tuple[int, int, int, int] | None) -> None:
        """Replace what a session contributes: both states are worked out from what it was and is."""
        before, session.counted = session.counted, now
        if before == now:
            return
        service, user = session.visitor
        was = None if before is None else _record(user, *before)
        is_now = None if now is None else _record(user, *now)
        if self._hot:
            self._recount_hot(session, was, is_now)
        gather = self._cells.gather
        for base in self._others:
            old = [] if was is None else list(base.extract(was, was.started_ms, user))
            new = [] if is_now is None else list(base.extract(is_now, is_now.started_ms, user))
            if old != new:
                for at_ms, contribution in old:
                    gather(base, service, at_ms, session.born, contribution, -1)
                for at_ms, contribution in new:
                    gather(base, service, at_ms, session.born, contribution)

    def _recount_hot(self, session: _Session, was: SessionRecord | None, is_now: SessionRecord | None) -> None:
        """The same for measures that date a session by its start."""
        service = session.visitor[0]
        old_states = (
            None if was is None else self._cells.gathered(self._cells.cell_of(service, was.started_ms, session.born))
        )
        new_states = (
            None
            if is_now is None
            else self._cells.gathered(self._cells.cell_of(service, is_now.started_ms, session.born))
        )
        for key, add, contribution_of in self._hot:
            old = None if was is None else contribution_of(was)
            new = None if is_now is None else contribution_of(is_now)
            if old == new and old_states is new_states:
                continue
            if old is not None and old_states is not None:
                old_states[key] = add(old_states.get(key), old, -1)
            if new is not None and new_states is not None:
                new_states[key] = add(new_states.get(key), new, 1)

    def _of(self, visitor: Visitor, clock_ms: int) -> _Visits:
        visits = self._visits.get(visitor)
        if visits is None:
            visits = self._visits[visitor] = _Visits(clock_ms)
        elif visits.since < clock_ms - HOLD_MS:
            self._forget(visits, clock_ms)
        return visits

    def _forget(self, visits: _Visits, clock_ms: int) -> None:
        oldest = clock_ms - HOLD_MS
        gone = [s.row for s in visits.sessions if s.touched < oldest]
        gone += [t.row for t in visits.tasks if t.touched < oldest]
        if gone:
            for session in visits.sessions:  # as long as the tasks are there that engage them
                if self._due.pop(session.row, None) is not None:
                    self._settle(session)
            for row in gone:
                del self._rows[row]
                self._segments.forget(row)
            visits.sessions = [s for s in visits.sessions if s.touched >= oldest]
            visits.tasks = [t for t in visits.tasks if t.touched >= oldest]
        kept = [*(s.touched for s in visits.sessions), *(t.touched for t in visits.tasks)]
        visits.since = min(kept, default=clock_ms)

    def bound(self, clock_ms: int) -> int:
        """Forget the visitors who came longest ago, where there are too many sessions and tasks that take more.

        They are counted without those that are over anyway; a quarter goes, so that it is seldom.

        Returns:
            how many sessions and tasks were forgotten.
        """
        if len(self._rows) <= self._most or self._next_row < self._look_at:
            return 0
        oldest = clock_ms - HOLD_MS
        rows: dict[Visitor, list[int]] = {}
        last: dict[Visitor, int] = {}
        for item in self._rows.values():
            if item.touched >= oldest:
                rows.setdefault(item.visitor, []).append(item.row)
                last[item.visitor] = max(last.get(item.visitor, 0), item.touched)
        held = left = sum(map(len, rows.values()))
        if left > self._most:
            self.settle()
            shed = (0, ("", ""))
            for shed_next in sorted((touched, visitor) for visitor, touched in last.items()):
                if left <= self._most - self._most // 4:
                    break
                shed = shed_next
                left -= len(rows[shed[1]])
                self._forget_visitor(shed[1])
            self._sheds = [s for s in self._sheds if s[0] >= oldest] + [(*shed, self._next_row)]
            self._sheds_changed = True
        self._look_at = self._next_row + self._most - left + 1
        return held - left

    def _forget_visitor(self, visitor: Visitor) -> None:
        """Forget all rows of a visitor; a recovery that finds them again knows by ``_sheds`` that they are over."""
        visits = self._visits.pop(visitor)
        for row in [*(s.row for s in visits.sessions), *(t.row for t in visits.tasks)]:
            del self._rows[row]
            self._segments.forget(row)

    def _shed_again(self) -> None:
        """Forget what was forgotten before the recovery: rows of then, of visitors who had not come since."""
        for touched, visitor, row in self._sheds:
            self._next_row = max(self._next_row, row)
            for name in list(self._visits):
                visits = self._visits[name]
                old: list[_Session | _Task] = [s for s in visits.sessions if s.row <= row]
                old += [t for t in visits.tasks if t.row <= row]
                if old and (max(i.touched for i in old), name) <= (touched, visitor):
                    for item in old:
                        del self._rows[item.row]
                        self._segments.forget(item.row)
                    visits.sessions = [s for s in visits.sessions if s.row > row]
                    visits.tasks = [t for t in visits.tasks if t.row > row]
                    if not visits.sessions and not visits.tasks:
                        del self._visits[name]

    def expire(self, clock_ms: int) -> None:
        """Forget idle visitors, once an arrival hour (they would be forgotten at their next event anyway)."""
        hour = clock_ms // 3_600_000
        if hour == self._swept:
            return
        self._swept = hour
        for visitor in list(self._visits):
            visits = self._visits[visitor]
            self._forget(visits, clock_ms)
            if not visits.sessions and not visits.tasks:
                del self._visits[visitor]

    def _pack(self, row: int) -> Any:
        item = self._rows.get(row)
        if item is None:
            return None
        if isinstance(item, _Task):
            return [*item.visitor, item.at, item.touched]
        inside = item.counted[3] if item.counted else 0
        return [*item.visitor, item.start, item.end, item.pages, item.born, item.touched, inside]

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        if key == _SHEDS_KEY:
            found = msgspec.msgpack.decode(value)
            self._sheds = [(touched, (service, user), row) for touched, (service, user), row in found]
        else:
            self._segments.restore(key, value)

    def restored(self) -> None:
        """Put the recovered rows in place, once all chunks are taken."""
        for row, data in self._segments.rows():
            visitor = (data[0], data[1])
            visits = self._visits.setdefault(visitor, _Visits(0))
            self._next_row = max(self._next_row, row)
            if len(data) == 4:
                task = _Task(row, visitor, data[2], data[3])
                visits.tasks.append(task)
                self._rows[row] = task
            else:
                start, end, pages, born, touched, inside = data[2:]
                session = _Session(row, visitor, start, end, pages, born, touched, (start, end, pages, inside))
                visits.sessions.append(session)
                self._rows[row] = session
        self._shed_again()

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call (None: dropped)."""
        yield from self._segments.chunks(self._pack)
        if self._sheds_changed:
            self._sheds_changed = False
            yield _SHEDS_KEY, msgspec.msgpack.encode(self._sheds)
