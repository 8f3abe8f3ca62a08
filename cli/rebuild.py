"""State and values made anew: archived events folded by fresh engines, under the catalogue of today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from agents.ingest import partials_partition
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import Plan
from pipeline.engine.rollup import FLOOR_KEY, RollupPartition
from pipeline.engine.telling import RollupOutput
from pipeline.errors import ConfigError

_BATCH = 5000
_SLICE = 5000


@dataclass
class Part:
    """One source partition being rebuilt."""

    engine: IngestPartition
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    waiting: list[tuple[int, int, bytes]] = field(default_factory=list)

    @property
    def position(self) -> int:
        """Offset of the last message taken."""
        return self.waiting[-1][0] if self.waiting else self.engine.position


class Rebuild:
    """Folds records into fresh engines; more may be added after values were asked for."""

    def __init__(self, plan: Plan, partitions: int) -> None:
        self._plan = plan
        self._partitions = partitions
        self.sources: dict[tuple[str, int], Part] = {}
        self._rollups = [RollupPartition(plan, p) for p in range(partitions)]
        self._rollup_chunks: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self._told = 0
        self.events = 0

    def position(self, topic: str, partition: int) -> int:
        """Return the offset of the last message of a source partition, -1 before the first."""
        part = self.sources.get((topic, partition))
        return -1 if part is None else part.position

    def add(self, topic: str, partition: int, offset: int, arrival_ms: int, value: bytes) -> None:
        """Take one record; a partition's come in the order of their offsets.

        Raises:
            ConfigError: what lies before is missing.
        """
        part = self.sources.get((topic, partition))
        if part is None:
            part = self.sources[(topic, partition)] = Part(IngestPartition(self._plan, topic, partition))
        last = part.position
        if offset != last + 1:
            raise ConfigError(
                f"the archive of {topic}/{partition} goes from offset {last} to {offset}: it is not whole"
            )
        part.waiting.append((offset, arrival_ms, value))
        self.events += 1
        if len(part.waiting) >= _BATCH:
            self._fold(part)

    def finish(self) -> None:
        """Fold what waits."""
        for part in self.sources.values():
            self._fold(part)

    def _fold(self, part: Part) -> None:
        if not part.waiting:
            return
        part.engine.fold(part.waiting)
        part.waiting = []
        out = part.engine.take()
        _keep(part.chunks, out.chunks)
        told: dict[int, list[tuple[int, int, bytes]]] = {}
        for csf, _, value in out.partials:
            told.setdefault(partials_partition(csf, self._partitions), []).append((self._told, 0, value))
            self._told += 1
        for number, records in told.items():
            self._rollups[number].fold(records)
            _keep(self._rollup_chunks[number], self._rollups[number].take_chunks())

    def values(self) -> Iterator[RollupOutput]:
        """Yield what the rebuilt state says and has not yet said, in slices; the state of closed months is kept with it."""
        for number, rollup in enumerate(self._rollups):
            while rollup.pending:
                yield rollup.evaluate(_SLICE)
            _keep(self._rollup_chunks[number], rollup.take_chunks())

    def rolled(self, number: int, floor: int) -> dict[bytes, bytes]:
        """Return the state of a rollup partition whose messages begin at an offset."""
        return {**self._rollup_chunks[number], FLOOR_KEY: msgspec.msgpack.encode(floor)}


def _keep(held: dict[bytes, bytes], chunks: Iterable[tuple[bytes, bytes | None]]) -> None:
    for key, value in chunks:
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value
