"""Sessions: visits of one user to one service, told apart by inactivity, merged when a late view bridges two.

Kept in chunks ``s|day|n`` by the day a session starts, so that live traffic rewrites little. A session (and a
finished task) is forgotten some time after the arrival of what last joined it; what it contributed stays.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from pipeline.engine import records
from pipeline.engine.bases import Base
from pipeline.engine.cells import Cells
from pipeline.events.families import SessionEnded
from pipeline.time.calendar import from_ms

#: How long after the arrival of its last event a session still takes more, ms.
HOLD_MS = 25 * 3_600_000
#: A session counts as engaged from this length, seconds, or two pages, or a finished task.
ENGAGED_S = 10
ENGAGED_PAGES = 2
_SPREAD = 8
_encoder = msgspec.msgpack.Encoder()

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


@dataclass(slots=True, eq=False)
class _Session:
    start: int
    end: int
    pages: int
    touched: int
    chunk: str
    held: records.Contributions = field(default_factory=dict)


@dataclass(slots=True)
class _Visits:
    sessions: list[_Session] = field(default_factory=list)
    #: [time, arrival clock, chunk] of finished tasks
    tasks: list[tuple[int, int, str]] = field(default_factory=list)


class Sessions:
    """All open sessions of one source partition."""

    def __init__(self, bases_of_session: tuple[Base, ...], bases: dict[str, Base], cells: Cells, gap_ms: int) -> None:
        self._session_bases = bases_of_session
        self._bases = bases
        self._cells = cells
        self._gap = gap_ms
        self._visits: dict[Visitor, _Visits] = {}
        self._members: dict[str, set[Visitor]] = {}
        self._dirty: set[str] = set()
        #: sessions changed by the batch: they contribute once, when it settles
        self._due: dict[int, tuple[Visitor, _Visits, _Session]] = {}
        self._swept = 0

    def view(self, service: str, user: str, at_ms: int, clock_ms: int) -> None:
        """Fold a page view; what its session contributes follows when the batch settles."""
        visitor = (service, user)
        visits = self._of(visitor, clock_ms)
        joined = [s for s in visits.sessions if s.start - self._gap <= at_ms <= s.end + self._gap]
        if joined:
            session = joined[0]
            session.start = min(session.start, at_ms)
            session.end = max(session.end, at_ms)
            session.pages += 1
            session.touched = clock_ms
            for other in joined[1:]:  # the view bridges them
                self._absorb(visits, session, other, clock_ms)
        else:
            session = _Session(at_ms, at_ms, 1, clock_ms, "")
            visits.sessions.append(session)
        self._due[id(session)] = (visitor, visits, session)

    def _absorb(self, visits: _Visits, session: _Session, other: _Session, clock_ms: int) -> None:
        """Let a session take over another, whose contributions are taken back."""
        session.start = min(session.start, other.start)
        session.end = max(session.end, other.end)
        session.pages += other.pages
        records.replace(self._cells, self._bases, other.held, iter(()), clock_ms)
        visits.sessions.remove(other)
        self._due.pop(id(other), None)
        if other.chunk:
            self._dirty.add(other.chunk)

    def settle(self) -> None:
        """Let every session the batch changed contribute what it is now."""
        for visitor, visits, session in self._due.values():
            chunk = self._chunk(visitor, session.start)
            if chunk != session.chunk:
                if session.chunk:
                    self._dirty.add(session.chunk)
                session.chunk = chunk
            self._mark(chunk, visitor)
            self._refold(visitor, visits, session)
        self._due = {}

    def task(self, service: str, user: str, at_ms: int, clock_ms: int) -> None:
        """Fold a completed task: it engages the session that holds its time, now or later."""
        visitor = (service, user)
        visits = self._of(visitor, clock_ms)
        chunk = self._chunk(visitor, at_ms)
        visits.tasks.append((at_ms, clock_ms, chunk))
        self._mark(chunk, visitor)
        for session in visits.sessions:
            if session.start <= at_ms <= session.end:
                session.touched = max(session.touched, clock_ms)
                self._due[id(session)] = (visitor, visits, session)

    @staticmethod
    def reported(data: SessionEnded, start_ms: int) -> SessionRecord:
        """Return a session its source counted as a record."""
        engaged = data.engaged
        if engaged is None:
            engaged = data.duration_s >= ENGAGED_S or data.pages >= ENGAGED_PAGES
        end = start_ms + int(data.duration_s * 1000)
        return SessionRecord(data.user, start_ms, end, data.duration_s, data.pages, 0, engaged)

    def _of(self, visitor: Visitor, clock_ms: int) -> _Visits:
        visits = self._visits.get(visitor)
        if visits is None:
            visits = self._visits[visitor] = _Visits()
        elif visits.sessions or visits.tasks:
            self._forget(visitor, visits, clock_ms)
        return visits

    def _refold(self, visitor: Visitor, visits: _Visits, session: _Session) -> None:
        tasks = sum(session.start <= at <= session.end for at, _, _ in visits.tasks) if visits.tasks else 0
        duration = (session.end - session.start) / 1000
        record = SessionRecord(
            visitor[1],
            session.start,
            session.end,
            duration,
            session.pages,
            tasks,
            duration >= ENGAGED_S or session.pages >= ENGAGED_PAGES or tasks >= 1,
        )
        new = records.contributions_of(self._session_bases, record, visitor[0], session.start, visitor[1])
        session.held = records.replace(self._cells, self._bases, session.held, new, session.touched)

    def _chunk(self, visitor: Visitor, at_ms: int) -> str:
        spread = zlib.crc32("\x00".join(visitor).encode()) % _SPREAD
        return f"s|{at_ms // 86_400_000}|{spread}"

    def _mark(self, chunk: str, visitor: Visitor) -> None:
        self._members.setdefault(chunk, set()).add(visitor)
        self._dirty.add(chunk)

    def _forget(self, visitor: Visitor, visits: _Visits, clock_ms: int) -> None:
        oldest = clock_ms - HOLD_MS
        for session in visits.sessions:
            if session.touched < oldest:
                self._dirty.add(session.chunk)
        for at_task in visits.tasks:
            if at_task[1] < oldest:
                self._dirty.add(at_task[2])
        visits.sessions = [s for s in visits.sessions if s.touched >= oldest]
        visits.tasks = [t for t in visits.tasks if t[1] >= oldest]

    def expire(self, clock_ms: int) -> None:
        """Forget idle visitors, once an arrival hour (they would be forgotten at their next event anyway)."""
        hour = clock_ms // 3_600_000
        if hour == self._swept:
            return
        self._swept = hour
        for visitor in list(self._visits):
            visits = self._visits[visitor]
            self._forget(visitor, visits, clock_ms)
            if not visits.sessions and not visits.tasks:
                del self._visits[visitor]

    def restore(self, _key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        chunk, rows = msgspec.msgpack.decode(value)
        for service, user, sessions, tasks in rows:
            visits = self._visits.setdefault((service, user), _Visits())
            for start, end, pages, touched, held in sessions:
                visits.sessions.append(_Session(start, end, pages, touched, chunk, records.unpack(held)))
            visits.tasks += [(at, clock, chunk) for at, clock in tasks]
            self._members.setdefault(chunk, set()).add((service, user))

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call; an empty one is dropped."""
        for chunk in self._dirty:
            rows: list[Any] = []
            for visitor in sorted(self._members.get(chunk, ())):
                visits = self._visits.get(visitor)
                sessions = [s for s in visits.sessions if s.chunk == chunk] if visits else []
                tasks = [(t[0], t[1]) for t in visits.tasks if t[2] == chunk] if visits else []
                if sessions or tasks:
                    packed = [[s.start, s.end, s.pages, s.touched, records.pack(s.held)] for s in sessions]
                    rows.append([*visitor, packed, tasks])
                else:
                    self._members[chunk].discard(visitor)
            if not rows:
                self._members.pop(chunk, None)
            yield chunk.encode(), _encoder.encode([chunk, rows]) if rows else None
        self._dirty = set()
