"""Cells: the folded state a (pane, service), kept encoded and decoded only while it changes.

A cell is a chunk of durable state: ``c|level|start|service`` → {base key: packed state}.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pipeline.aggregate.base import Contribution, State
from pipeline.engine.bases import Base
from pipeline.time.calendar import Calendar
from pipeline.time.panes import DAY, expired, levels_for, pane_start

CellId = tuple[int, int, str]  # (level, pane start in epoch seconds, service)

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode

#: Decoded cells kept between batches; the others wait encoded.
_WARM = 512


def cell_key(cell: CellId) -> bytes:
    """Return the chunk key of a cell."""
    return f"c|{cell[0]}|{cell[1]}|{cell[2]}".encode()


def cell_id(key: bytes) -> CellId:
    """Return the cell of a chunk key."""
    _, level, start, service = key.decode().split("|", 3)
    return int(level), int(start), service


class Cells:
    """All cells of one source partition."""

    def __init__(self, bases: dict[str, Base], calendar: Calendar) -> None:
        self._bases = bases
        self._calendar = calendar
        self._encoded: dict[CellId, bytes] = {}
        self._warm: dict[CellId, dict[str, State]] = {}
        self._unknown: dict[CellId, dict[str, Any]] = {}
        self._dirty: dict[CellId, set[str]] = {}
        self._unsaved: set[CellId] = set()
        self._dropped: list[CellId] = []
        self._pending: dict[CellId, dict[str, State]] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        self._encoded[cell_id(key)] = value

    def _states(self, cell: CellId) -> dict[str, State]:
        warm = self._warm.get(cell)
        if warm is None:
            warm = {}
            raw = self._encoded.get(cell)
            if raw is not None:
                for key, data in _decode(raw).items():
                    base = self._bases.get(key)
                    if base is None:  # of a definition no longer in the catalogue: kept as it is
                        self._unknown.setdefault(cell, {})[key] = data
                    else:
                        warm[key] = base.aggregator.unpack(data)
            self._warm[cell] = warm
        return warm

    def gather(self, base: Base, service: str, at_ms: int, clock_ms: int, contribution: Contribution) -> None:
        """Add a contribution of an additive record to the batch; ``settle`` merges it into the cells."""
        levels = levels_for((clock_ms - at_ms) / 1000)
        finest = max(levels[0], base.levels[0])
        cell = (finest, pane_start(finest, at_ms // 1000, self._calendar), service)
        states = self._pending.get(cell)
        if states is None:
            states = self._pending[cell] = {}
        states[base.key] = base.aggregator.add(states.get(base.key), contribution, 1)

    def settle(self) -> None:
        """Merge what the batch gathered into every level that takes it."""
        for (finest, start, service), states in self._pending.items():
            for key, state in states.items():
                base = self._bases[key]
                for level in base.levels:
                    if level >= finest:
                        pane = start if level == finest else pane_start(level, start, self._calendar)
                        cell = (level, pane, service)
                        mine = self._states(cell)
                        mine[key] = base.aggregator.merge(mine.get(key), state)
                        self._touch(cell, key)
        self._pending.clear()

    def put(self, base: Base, service: str, at_ms: int, levels: Iterable[int], data: Contribution, sign: int) -> None:
        """Add (sign 1) or take back (sign -1) a contribution at the given levels."""
        for level in levels:
            cell = (level, pane_start(level, at_ms // 1000, self._calendar), service)
            if sign < 0 and cell not in self._warm and cell not in self._encoded:
                continue  # that pane is over
            mine = self._states(cell)
            mine[base.key] = base.aggregator.add(mine.get(base.key), data, sign)
            self._touch(cell, base.key)

    def _touch(self, cell: CellId, base_key: str) -> None:
        self._dirty.setdefault(cell, set()).add(base_key)
        self._unsaved.add(cell)

    def expire(self, clock_ms: int) -> None:
        """Drop panes that can take no more records."""
        clock_s = clock_ms / 1000
        gone = [c for c in (self._encoded.keys() | self._warm.keys()) if c[0] != DAY and expired(c[0], c[1], clock_s)]
        for cell in gone:
            if self._encoded.pop(cell, None) is not None:
                self._dropped.append(cell)
            self._warm.pop(cell, None)
            self._unknown.pop(cell, None)
            self._dirty.pop(cell, None)
            self._unsaved.discard(cell)

    def changed(self) -> Iterator[tuple[CellId, dict[str, bytes]]]:
        """Yield the packed states that changed since the last call, a cell at a time."""
        for cell, keys in self._dirty.items():
            states = self._states(cell)
            yield cell, {k: _encoder.encode(self._bases[k].aggregator.pack(states[k])) for k in sorted(keys)}
        self._dirty = {}

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the durable state that changed since the last call (None: dropped)."""
        for cell in self._unsaved:
            packed = {k: self._bases[k].aggregator.pack(s) for k, s in self._states(cell).items()}
            packed |= self._unknown.get(cell, {})
            self._encoded[cell] = value = _encoder.encode(packed)
            yield cell_key(cell), value
        self._unsaved = set()
        for cell in self._dropped:
            yield cell_key(cell), None
        self._dropped = []
        if len(self._warm) > _WARM:
            self._warm.clear()
            self._unknown.clear()
