"""What ingest hands on when it is flushed."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.values import Exits


@dataclass
class IngestOutput:
    """What changed since the last take, to be made durable in this order: dead letters, chunks, partials.

    Partials follow the chunks: rollup must hear of no state that a crash could still undo. The chunks hold an
    outbox, so that partials lost between the two are said again after a recovery.

    Attributes:
        dead_letters: (key, message) for ``csf.dead-letters``.
        chunks: (key, value or None) of durable state, to be kept atomically with ``position``.
        partials: (CSF id, message key, message) for ``csf.partials``.
        exits: absolute exit counts of this partition.
    """

    dead_letters: list[tuple[bytes, bytes]]
    chunks: list[tuple[bytes, bytes | None]]
    partials: list[tuple[str, bytes, bytes]]
    exits: Exits
