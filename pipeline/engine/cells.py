"""Cells: the folded state a (pane, service), kept encoded and decoded only while it changes.

What a cell holds is {base key: packed state}; ``pipeline.engine.cellstore`` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from pipeline.aggregate.base import Contribution, State
from pipeline.engine.bases import Base
from pipeline.engine.cellstore import CellId, CellStore, cell_id, cell_key
from pipeline.time.calendar import Calendar
from pipeline.time.panes import DAY, HOUR, KEEP, LENGTH, LEVELS, MINUTE, expired, levels_for, pane_start, part_start

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, bytes]).decode
_unpack = msgspec.msgpack.Decoder().decode

_FRESH_MS = KEEP[MINUTE] * 1000
#: Decoded cells kept between batches, those that changed last; the others wait encoded.
_WARM = 512


class Cells:
    """All cells of one source partition."""

    def __init__(self, bases: dict[str, Base], calendar: Calendar) -> None:
        self._bases = bases
        self._packs = {key: base.aggregator.pack for key, base in bases.items()}
        self._absorbs = {key: base.aggregator.absorb for key, base in bases.items()}
        self._calendar = calendar
        #: every cell's states as last packed; those of a definition no longer in the catalogue stay as they are
        self._packed: CellStore[bytes] = CellStore(bytes)
        self._warm: dict[CellId, dict[str, State]] = {}
        self._dirty: dict[CellId, set[str]] = {}
        self._unsaved: set[CellId] = set()
        #: what was gathered and is not settled, by level, under its finest cell
        self._pending: list[dict[CellId, dict[str, State]]] = [{} for _ in LEVELS]
        self._minute = 0.0

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered chunk: a cell, or a block of them."""
        if key[:2] == b"b|":
            self._packed.restore_block(key, value)
        else:
            self._packed.restore(cell_id(key), _decode(value))

    def _state(self, cell: CellId, base: Base) -> State | None:
        """Return a state to be changed, unpacked if it was waiting packed."""
        warm = self._warm.get(cell)
        if warm is None:
            warm = self._warm[cell] = {}
        if base.key in warm:
            return warm[base.key]
        raw = self._packed.item(cell, base.key)
        return None if raw is None else base.aggregator.unpack(_unpack(raw))

    def gather(
        self, base: Base, service: str, at_ms: int, clock_ms: int, contribution: Contribution, sign: int = 1
    ) -> None:
        """Gather a contribution (or its taking back); ``settle`` merges what was gathered into the cells.

        Args:
            base: what it contributes to.
            service: whose it is.
            at_ms: what it is dated.
            clock_ms: when it arrived: decides, with ``at_ms``, the levels that take it.
            contribution: as the base's aggregator knows it.
            sign: 1 to add; -1 takes back what was added with the same times.
        """
        finest = max(levels_for((clock_ms - at_ms) / 1000)[0], base.levels[0])
        states = self.gathered((finest, part_start(finest, at_ms // 1000, self._calendar), service))
        states[base.key] = base.aggregator.add(states.get(base.key), contribution, sign)

    def cell_of(self, service: str, at_ms: int, clock_ms: int) -> CellId:
        """Return the finest cell that takes what is dated ``at_ms``, for bases that enter every level; see ``gathered``."""
        if clock_ms - at_ms <= _FRESH_MS:  # most events: levels_for and pane_start in short
            at_s = at_ms // 1000
            return MINUTE, at_s - at_s % 60, service
        finest = levels_for((clock_ms - at_ms) / 1000)[0]
        return finest, part_start(finest, at_ms // 1000, self._calendar), service

    def gathered(self, cell: CellId) -> dict[str, State]:
        """Return the states gathered whose finest cell is this one, to be added to; it starts where ``part_start`` says."""
        pending = self._pending[cell[0]]
        states = pending.get(cell)
        if states is None:
            states = pending[cell] = {}
        return states

    def settle(self) -> None:
        """Merge what was gathered into every level that takes it: each level's sum becomes part of the next."""
        for level, pending in enumerate(self._pending):
            above: dict[int, int] = {}  # many services share a pane
            for cell, states in pending.items():
                if not states:  # no base took the events
                    continue
                _, start, service = cell
                if level != DAY:
                    if start not in above:
                        above[start] = part_start(level + 1, start, self._calendar)
                    self._absorb(self.gathered((level + 1, above[start], service)), states)
                self._merge((HOUR, start - start % LENGTH[HOUR], service) if level == HOUR else cell, states)
            pending.clear()

    def _absorb(self, whole: dict[str, State], states: dict[str, State]) -> None:
        """Put states into those of a whole, which keeps no hold of them."""
        held = whole.get
        for key, state in states.items():
            whole[key] = self._absorbs[key](held(key), state)

    def _merge(self, cell: CellId, states: dict[str, State]) -> None:
        """Merge states, which are the cell's from here on, into those that a cell holds."""
        dirty = self._dirty.get(cell)
        if dirty is None:
            self._dirty[cell] = set(states)
        else:
            dirty.update(states)
        warm = self._warm.get(cell)
        if warm is None:
            if cell not in self._packed:
                self._warm[cell] = states
                return
            warm = self._warm[cell] = {}
        for key, state in states.items():
            held = warm[key] if key in warm else self._state(cell, self._bases[key])
            warm[key] = state if held is None else self._absorbs[key](held, state)

    def put(self, base: Base, service: str, at_ms: int, levels: Iterable[int], data: Contribution, sign: int) -> None:
        """Add (sign 1) or take back (sign -1) a contribution at the given levels."""
        for level in levels:
            cell = (level, pane_start(level, at_ms // 1000, self._calendar), service)
            if sign < 0 and cell not in self._warm and cell not in self._packed:
                continue  # that pane is over
            self._set(cell, base, base.aggregator.add(self._state(cell, base), data, sign))

    def _set(self, cell: CellId, base: Base, state: State) -> None:
        self._warm[cell][base.key] = state
        self._dirty.setdefault(cell, set()).add(base.key)

    def turns(self, clock_ms: int) -> bool:
        """Return whether ``expire`` would drop panes: what was gathered is to be settled before."""
        return clock_ms // 60_000 * 60.0 != self._minute

    def expire(self, clock_ms: int) -> None:
        """Drop panes that can take no more records."""
        minute = clock_ms // 60_000 * 60.0  # a whole one: what a recovery drops again is what was dropped
        if minute == self._minute:
            return
        self._minute = minute
        for _ in self._packed.expire(minute):
            pass
        for changing in (self._warm, self._dirty):
            for cell in [c for c in changing if expired(c[0], c[1], minute)]:
                del changing[cell]
        self._unsaved = {c for c in self._unsaved if not expired(c[0], c[1], minute)}

    def tell_again(self, told: Iterable[tuple[int, int, str, list[str]]]) -> None:
        """Count recovered cells as changed: rollup may not have heard of them."""
        for level, start, service, keys in told:
            cell = (level, start, service)
            known = {k for k in keys if k in self._bases and self._packed.item(cell, k) is not None}
            if known:
                self._dirty.setdefault(cell, set()).update(known)

    def tell_all(self, keys: set[str]) -> None:
        """Count every cell of some bases as changed: not all that read them have heard of them."""
        for cell in list(self._packed) if keys else ():
            known = keys & self._packed.whole(cell).keys()
            if known:
                self._dirty.setdefault(cell, set()).update(known)

    @property
    def changes(self) -> int:
        """How many cells changed since ``changed`` was last called."""
        return len(self._dirty)

    def changed(self) -> Iterator[tuple[CellId, dict[str, bytes]]]:
        """Yield the packed states that changed since the last call, a cell at a time."""
        for cell, keys in self._dirty.items():
            packed = self._packed.make(cell)
            warm = self._warm.pop(cell, None) or {}
            told: dict[str, bytes] = {}
            for key in sorted(keys):
                state = warm[key] if key in warm else self._bases[key].aggregator.unpack(_unpack(packed[key]))
                told[key] = _encode(self._packs[key](state))
            packed.update(told)
            if warm:
                self._warm[cell] = warm  # at the end: changed last
            yield cell, told
        self._unsaved.update(self._dirty)
        self._dirty = {}

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the durable state that changed since the last call (None: dropped); ``changed`` comes first."""
        yield from self._packed.over()
        for cell in self._unsaved | self._packed.take_opened():
            yield cell_key(cell), _encode(self._packed.whole(cell))
        self._unsaved = set()
        yield from self._packed.pack(self._minute)
        for cell in list(islice(self._warm, max(0, len(self._warm) - _WARM))):
            del self._warm[cell]
