"""An in-memory Kafka with the engine on it: partitions, fetches, flushes, and crashes wherever wanted.

Reusable for any suite that needs the engine without a broker: write messages with ``append``, drive it step by
step (``fetch``, ``crash``) or all at once (``run``), then read ``values``, ``statuses`` and ``exits``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

from pipeline.catalogue.model import CSF_IDS
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.output import IngestOutput
from pipeline.engine.plan import Plan
from pipeline.engine.rollup import RollupPartition
from pipeline.values import WINDOWS, CsfStatus, Exits, KpiRevision, KpiValue

Record = tuple[int, int, bytes]  # offset, arrival ms, value
Place = tuple[str, int]  # topic, partition
Key = tuple[str, str, str, int]  # KPI or CSF, scope, period or window, start (0 for windows)


def _apply(kept: dict[bytes, bytes], chunks: list[tuple[bytes, bytes | None]]) -> None:
    """Apply chunks as a compacted changelog would."""
    for key, value in chunks:
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value


@dataclass
class _Durable:
    """What survives a crash: state and the position it was flushed at."""

    position: int = -1
    chunks: dict[bytes, bytes] = field(default_factory=dict)


class Cluster:
    """Event logs, one ingest machine a partition, and rollup machines that share the CSFs.

    Attributes:
        log: messages by topic and partition; offsets count from 0.
        values, statuses: as the store has them: the last write of a key wins.
        revisions: every superseded value told, by (kpi, scope, start, revision).
    """

    def __init__(self, plan: Plan, partitions: int = 1, rollups: int = 1) -> None:
        self.plan, self.partitions, self.rollups = plan, partitions, rollups
        self.log: dict[Place, list[Record]] = defaultdict(list)
        self.values: dict[Key, KpiValue] = {}
        self.statuses: dict[Key, CsfStatus] = {}
        self.revisions: dict[tuple[str, str, int, int], KpiRevision] = {}
        self.exits: dict[Place, Exits] = {}
        self.dead_letters: dict[bytes, bytes] = {}
        self.partials: list[list[Record]] = [[] for _ in range(rollups)]
        self._ingest: dict[Place, IngestPartition] = {}
        self._kept: dict[Place, _Durable] = defaultdict(_Durable)
        self._rollup: dict[int, RollupPartition] = {}
        self._rolled: dict[int, _Durable] = defaultdict(_Durable)
        #: offset up to which each rollup partition's partials are acknowledged
        self._acknowledged = [0] * rollups

    # --- writing ---

    def append(self, topic: str, key: str, arrival_ms: int, value: bytes) -> Place:
        """Append a message to the partition of its key."""
        place = self.place(topic, key)
        self.put(place, arrival_ms, value)
        return place

    def place(self, topic: str, key: str) -> Place:
        """Return the partition of a key."""
        return topic, crc32(key.encode()) % self.partitions

    def put(self, place: Place, arrival_ms: int, value: bytes) -> None:
        """Append a message to a partition."""
        self.log[place].append((len(self.log[place]), arrival_ms, value))

    def messages(self) -> list[tuple[str, int, int, int, bytes]]:
        """Return all messages as the oracle takes them."""
        return [(*place, *record) for place, log in self.log.items() for record in log]

    # --- ingest ---

    def machine(self, place: Place) -> IngestPartition:
        """Return a partition's machine, recovered from what was flushed if it was lost."""
        if place not in self._ingest:
            machine = IngestPartition(self.plan, *place)
            kept = self._kept.get(place)
            if kept is not None:
                machine.restore(kept.position, list(kept.chunks.items()))
            self._ingest[place] = machine
        return self._ingest[place]

    def crash(self, place: Place) -> None:
        """Lose a partition's machine."""
        self._ingest.pop(place, None)

    def fetch(self, place: Place, upto: int, *, back: int = 0, flush: bool = True, emit: int = 1) -> None:
        """Fold a partition's log up to an offset (exclusive) in one batch.

        Args:
            place: topic and partition.
            upto: first offset not folded.
            back: how many messages before its position are delivered again.
            flush: without it the machine dies before its state is durable.
            emit: how often the partials are delivered; 0: it dies between flush and emit.
        """
        self.gather(place, upto, back=back)
        machine = self.machine(place)
        out = machine.take()
        if not flush:
            self.crash(place)
            return
        self._flush(place, machine, out)
        for _ in range(emit):
            self._emit(out)
        if not emit:
            self.crash(place)

    def gather(self, place: Place, upto: int, *, back: int = 0) -> None:
        """Fold a partition's log up to an offset (exclusive) in one batch that waits for its flush; see ``fetch``."""
        machine = self.machine(place)
        machine.fold(self.log[place][max(0, machine.position + 1 - back) : upto])

    def _flush(self, place: Place, machine: IngestPartition, out: IngestOutput) -> None:
        self.dead_letters |= dict(out.dead_letters)
        kept = self._kept[place]
        _apply(kept.chunks, out.chunks)
        kept.position = machine.position
        self.exits[place] = out.exits

    def _emit(self, out: IngestOutput) -> None:
        for csf, _key, value in out.partials:
            log = self.partials[CSF_IDS.index(csf) % self.rollups]
            log.append((len(log), 0, value))

    # --- rollup ---

    def rollup(self, number: int) -> RollupPartition:
        """Return a rollup machine, recovered from what was flushed if it was lost."""
        if number not in self._rollup:
            machine = RollupPartition(self.plan, number)
            kept = self._rolled.get(number)
            if kept is not None:
                machine.restore(kept.position, list(kept.chunks.items()))
            self._rollup[number] = machine
        return self._rollup[number]

    def crash_rollup(self, number: int) -> None:
        """Lose a rollup machine."""
        self._rollup.pop(number, None)

    def consume(
        self, number: int, *, flush: bool = True, evaluate: bool = True, limit: int = 500, turns: int | None = None
    ) -> None:
        """Fold the partials not yet acknowledged, make the state durable, evaluate and acknowledge.

        Args:
            number: which rollup partition.
            flush: without it the machine dies before its state is durable.
            evaluate: without it the machine dies before a value reaches the store.
            limit: how many values a turn works out.
            turns: how many turns it lives; None: until nothing is pending.
        """
        machine = self.rollup(number)
        log = self.partials[number]
        machine.fold(log[self._acknowledged[number] :])
        if flush:
            _apply(self._rolled[number].chunks, machine.take_chunks())
            self._rolled[number].position = machine.position
        if not flush or not evaluate:
            self.crash_rollup(number)
            return
        done = 0
        while machine.pending:
            if turns is not None and done >= turns:
                self.crash_rollup(number)
                return
            self._store(machine, limit)
            done += 1
        assert machine.settled(0)
        _apply(self._rolled[number].chunks, machine.take_chunks())
        self._acknowledged[number] = len(log)

    def _store(self, machine: RollupPartition, limit: int) -> None:
        out = machine.evaluate(limit)
        for v in out.values:
            self.values[(v.kpi, v.scope, v.period, 0 if v.period in WINDOWS else v.start)] = v
        for s in out.statuses:
            self.statuses[(s.csf, s.scope, s.period, 0 if s.period in WINDOWS else s.start)] = s
        for r in out.revisions:
            self.revisions[(r.kpi, r.scope, r.start, r.revision)] = r

    def cells(self) -> dict[Place, dict[bytes, bytes]]:
        """Return the folded cells as flushed: the same bytes however the log was fetched."""
        return {p: {k: v for k, v in d.chunks.items() if k[:1] == b"c"} for p, d in self._kept.items()}

    # --- all at once ---

    def run(self, cut: Callable[[int], int] | None = None) -> Cluster:
        """Fold and evaluate everything.

        Args:
            cut: from a number of messages left to how many the next fetch takes; all of them by default.
        """
        for place in sorted(self.log):
            end = len(self.log[place])
            while (at := self.machine(place).position + 1) < end or not end:
                self.fetch(place, at + (cut(end - at) if cut else end - at))
        for number in range(self.rollups):
            self.consume(number)
        return self
