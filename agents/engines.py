"""What the agents ask of the state machines they drive, and the ones they drive by default."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.catalogue.model import Catalogue
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.output import IngestOutput
from pipeline.engine.plan import Plan, build_plan
from pipeline.engine.rollup import RollupPartition
from pipeline.engine.telling import RollupOutput

Chunks = Iterable[tuple[bytes, bytes]]
Records = Iterable[tuple[int, int, bytes]]


class Ingest(Protocol):
    """The state machine of one source partition; see ``pipeline.engine.ingest.IngestPartition``."""

    position: int

    def restore(self, position: int, chunks: Chunks) -> None:
        """Take recovered state."""

    def fold(self, records: Sequence[tuple[int, int, bytes]]) -> None:
        """Fold messages (offset, arrival in epoch ms, value)."""

    @property
    def changed_cells(self) -> int:
        """About how many cells changed since they were taken last."""

    def take(self) -> IngestOutput:
        """Return what changed since the last call."""


class Rollup(Protocol):
    """The state machine of one partition of partials; see ``pipeline.engine.rollup.RollupPartition``."""

    position: int

    def restore(self, position: int, chunks: Chunks) -> None:
        """Take recovered state."""

    def fold(self, records: Records) -> None:
        """Fold messages (offset, arrival in epoch ms, value)."""

    @property
    def changed_cells(self) -> int:
        """How many cells changed since they were taken last."""

    def take_chunks(self) -> list[tuple[bytes, bytes | None]]:
        """Return the durable state that changed since the last call."""

    def evaluate(self, limit: int, *, urgent_only: bool = False) -> RollupOutput:
        """Work out about ``limit`` values of what changed, the most urgent first."""

    def mark(self) -> int:
        """Return a mark that covers everything folded so far."""

    def settled(self, mark: int) -> bool:
        """Return whether everything folded up to a mark is worked out."""

    @property
    def csfs(self) -> frozenset[str]:
        """The CSFs it has heard of."""

    @property
    def clock(self) -> float:
        """The largest arrival clock heard of, epoch seconds."""

    def maintenance(self) -> dict[str, list[tuple[int, int]]]:
        """Return the planned maintenance that counts, by service, as [start, end) in epoch seconds."""

    @property
    def pending(self) -> int:
        """How much is still to be evaluated."""


@dataclass(frozen=True)
class Engines:
    """How plans and state machines are made."""

    plan: Callable[[Catalogue], Plan] = build_plan
    ingest: Callable[[Plan, str, int], Ingest] = IngestPartition
    rollup: Callable[[Plan, int], Rollup] = RollupPartition
