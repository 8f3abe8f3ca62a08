"""Closing a month: what lies before the barrier of every partition is revision 1, whatever comes after.

While some partitions have passed their barrier and others have not, states that the former change are kept
as they were; when the last barrier arrives the month is evaluated from those.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from pipeline.engine.cellstore import CellId
from pipeline.engine.coverage import Polled, pack, unpack
from pipeline.engine.merging import Entry
from pipeline.engine.reported import Numbers, ReportKey
from pipeline.values import KpiRevision, KpiValue

#: why a closed month's value changed
LATE = "events arrived after the month was closed"
_encoder = msgspec.msgpack.Encoder()

Saved = dict[tuple[CellId, str, str], Entry | None]  # (cell, base, source) → as it was at the barrier


@dataclass
class Barrier:
    """A month on its way to be closed, as one CSF sees it."""

    need: int
    sources: set[str] = field(default_factory=set)
    saved: Saved = field(default_factory=dict)
    #: what sources had said of coverage, and what had been reported, where that changed after the barrier
    polls: dict[str, Polled | None] = field(default_factory=dict)
    reports: dict[ReportKey, Numbers | None] = field(default_factory=dict)
    #: services that nobody had heard of before the barrier
    strangers: set[str] = field(default_factory=set)


class ClosedMonths:
    """Barriers under way and the values of closed months, a CSF."""

    def __init__(self) -> None:
        #: (month start, CSF) → barrier
        self.open: dict[tuple[int, str], Barrier] = {}
        #: (month start, CSF) → {"kpi|scope": values, revision 1 first}
        self._closed: dict[tuple[int, str], dict[str, list[float | None]]] = {}
        self._dirty: set[tuple[int, str]] = set()

    def is_closed(self, month: int, csf: str) -> bool:
        """Return whether a month was closed."""
        return (month, csf) in self._closed

    def arrive(self, month: int, csf: str, source: str, need: int) -> bool:
        """Note a partition's barrier; return whether it was the last. A closed month stays closed."""
        if self.is_closed(month, csf):
            return False
        barrier = self.open.setdefault((month, csf), Barrier(need))
        barrier.need = max(barrier.need, need)
        barrier.sources.add(source)
        self._dirty.add((month, csf))
        return len(barrier.sources) >= barrier.need

    def keep(self, month_ends: dict[int, int], cell: CellId, base: str, source: str, was: Entry | None) -> None:
        """Keep a state that a partition past its barrier is about to change."""
        for (month, of), barrier in self.open.items():
            if source in barrier.sources and cell[1] < month_ends[month]:
                barrier.saved.setdefault((cell, base, source), was)
                self._dirty.add((month, of))

    def keep_poll(self, csf: str, source: str, key: str, was: Polled | None) -> None:
        """Keep what a source had said before a partition past its barrier said something else."""
        for at, barrier in self._past(csf, source):
            barrier.polls.setdefault(key, was)
            self._dirty.add(at)

    def keep_report(self, csf: str, source: str, key: ReportKey, was: Numbers | None) -> None:
        """Keep what had been reported before a partition past its barrier reported something else."""
        for at, barrier in self._past(csf, source):
            if at[0] == key[2]:
                barrier.reports.setdefault(key, was)
                self._dirty.add(at)

    def keep_stranger(self, source: str, service: str, *, known: bool) -> None:
        """Note a service that a partition past its barrier is the first to speak of, until one before its own does."""
        for at, barrier in self.open.items():
            if source in barrier.sources:
                if not known:
                    barrier.strangers.add(service)
                    self._dirty.add(at)
            elif service in barrier.strangers:
                barrier.strangers.discard(service)
                self._dirty.add(at)

    def _past(self, csf: str, source: str) -> list[tuple[tuple[int, str], Barrier]]:
        return [(at, b) for at, b in self.open.items() if at[1] == csf and source in b.sources]

    def close(self, month: int, csf: str) -> None:
        """Mark a month closed; its values follow by ``settle``."""
        self._closed[(month, csf)] = {}
        self.open.pop((month, csf), None)
        self._dirty.add((month, csf))

    def settle(self, month: int, value: KpiValue, *, closing: bool) -> list[KpiRevision]:
        """Give a closed month's value its state and revision; return every revision it supersedes."""
        held = self._closed.get((month, value.csf))
        if held is None:
            return []
        name = f"{value.kpi}|{value.scope}"
        history = held.get(name)
        if history is None:
            # a value that did not exist when the month was closed restates "unknown"
            history = held[name] = [value.value] if closing else [None, value.value]
            self._dirty.add((month, value.csf))
        elif history[-1] != value.value:
            history.append(value.value)
            self._dirty.add((month, value.csf))
        value.revision = len(history)
        value.state = "closed" if value.revision == 1 else "restated"
        value.reason = "" if value.revision == 1 else LATE
        return [
            KpiRevision(
                csf=value.csf,
                kpi=value.kpi,
                scope=value.scope,
                period="month",
                start=month,
                revision=number,
                value=old,
                replaced_by=new,
                reason=LATE,
            )
            for number, (old, new) in enumerate(pairwise(history), start=1)
        ]

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        _, month, csf = key.decode().split("|", 2)
        at = (int(month), csf)
        closed, barrier = msgspec.msgpack.decode(value)
        if closed is not None:
            self._closed[at] = closed
        if barrier is not None:
            need, sources, saved, *said = barrier
            polls, reports, strangers = [*said, [], [], []][:3]
            kept: Saved = {
                ((c[0], c[1], c[2]), b, s): None if e is None else (e[0], e[1], e[2]) for c, b, s, e in saved
            }
            self.open[at] = Barrier(
                need, set(sources), kept,
                {k: None if p is None else unpack(p) for k, p in polls}, {(k[0], k[1], k[2]): n for k, n in reports},
                set(strangers),
            )  # fmt: skip

    def chunks(self) -> Iterable[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call."""
        for at in self._dirty:
            barrier = self.open.get(at)
            packed = None
            if barrier is not None:
                saved = [[c, b, s, e] for (c, b, s), e in barrier.saved.items()]
                polls = [[k, None if p is None else pack(p)] for k, p in barrier.polls.items()]
                reports, strangers = list(barrier.reports.items()), sorted(barrier.strangers)
                packed = [barrier.need, sorted(barrier.sources), saved, polls, reports, strangers]
            yield f"m|{at[0]}|{at[1]}".encode(), _encoder.encode([self._closed.get(at), packed])
        self._dirty = set()
