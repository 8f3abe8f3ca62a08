"""The format of durable state: its version, and how older state becomes what this program reads.

Every commit of a flush carries the version its chunks are written in; one without (before versions were written) is
of version 1. Recovery brings older chunks up step by step; the next flush writes what that changed. State of
a newer program is refused: read wrongly, it would be numbers nobody notices.

To change a format: raise ``VERSION``, add the step from the version before to ``STEPS``, and keep the state that the
last program before wrote for ``tests/core/golden``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pipeline.errors import StateTooNew, StateTooOld

Chunks = dict[bytes, bytes]
#: (kind of state: "ingest", "rollup", "alerting" or "closing"; chunks) → chunks of the next version
Step = Callable[[str, Chunks], Chunks]

#: The version that this program writes.
VERSION = 4


def _from_1(kind: str, chunks: Chunks) -> Chunks:
    """Note that nothing is known of the definitions that state was folded by: they count as today's."""
    unknown = msgspec.msgpack.encode(None)
    return {**chunks, **({b"bases": unknown} if kind == "ingest" else {b"defs": unknown} if kind == "rollup" else {})}


def _from_2(_kind: str, chunks: Chunks) -> Chunks:
    """Change nothing: ids seen have keys of another hash from version 3 on, and those kept before stay as they are.

    ``SeenIds`` looks for them beside the new ones until their 48 hours are over.
    """
    return chunks


def _from_3(_kind: str, chunks: Chunks) -> Chunks:
    """Change nothing: cells that change no more are packed into blocks from version 4 on, by and by."""
    return chunks


#: Version n → what leads to n + 1.
STEPS: Mapping[int, Step] = {1: _from_1, 2: _from_2, 3: _from_3}


def upgrade(kind: str, version: int, chunks: Chunks, *, to: int = VERSION, steps: Mapping[int, Step] = STEPS) -> Chunks:
    """Return chunks of an older version as those of ``to``; those of that version as they are.

    Raises:
        StateTooNew: a newer program wrote them.
        StateTooOld: no steps lead from their version.
    """
    if version > to:
        raise StateTooNew(
            f"the state in Kafka was written by a newer csf-pulse (format {version}, this one reads {to}): "
            "install that version again, or rebuild the state from the archive with csf replay"
        )
    for step in range(version, to):
        if step not in steps:
            raise StateTooOld(
                f"the state in Kafka has format {version} and no way leads from {step} to {step + 1}: "
                "install the csf-pulse that wrote it, or rebuild the state from the archive with csf replay"
            )
        chunks = steps[step](kind, chunks)
    return chunks
