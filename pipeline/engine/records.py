"""Records that are corrected: what they contributed is kept, so that a new state replaces it exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.engine.bases import Base
from pipeline.engine.cells import Cells
from pipeline.time.panes import levels_for

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()

#: (base key, service, time ms, packed contribution) → levels it was added at
Contributions = dict[tuple[str, str, int, bytes], tuple[int, ...]]


def contributions_of(
    bases: tuple[Base, ...], record: Any, service: str, t_ms: int, entity: str
) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield what a record contributes now."""
    for base in bases:
        for at_ms, contribution in base.extract(record, t_ms, entity):
            yield base.key, service, at_ms, _encoder.encode(contribution)


def replace(
    cells: Cells,
    bases: dict[str, Base],
    old: Contributions,
    new: Iterator[tuple[str, str, int, bytes]],
    clock_ms: int,
) -> Contributions:
    """Take back what no longer holds, add what is new, leave the rest; return what is held now."""
    held: Contributions = {}
    added: list[tuple[str, str, int, bytes]] = []
    for item in new:
        levels = old.get(item)
        if levels is None:
            added.append(item)
        else:
            held[item] = levels
    for item, levels in old.items():
        base = bases.get(item[0])
        if item not in held and base is not None:
            cells.put(base, item[1], item[2], levels, _decoder.decode(item[3]), -1)
    for item in added:
        base = bases[item[0]]
        allowed = levels_for((clock_ms - item[2]) / 1000)
        levels = tuple(level for level in base.levels if level in allowed)
        cells.put(base, item[1], item[2], levels, _decoder.decode(item[3]), 1)
        held[item] = levels
    return held


def pack(held: Contributions) -> list[Any]:
    """Return contributions as msgpack-able data."""
    return [[*item, list(levels)] for item, levels in held.items()]


def unpack(data: list[Any]) -> Contributions:
    """Return the contributions that were packed."""
    return {(b, s, t, c): tuple(levels) for b, s, t, c, levels in data}
