"""The cells of a partition: those that changed lately as they are, all others packed, many to a block.

Nearly every cell is of a day that is over, and small: as Python objects it takes ten times what it says. So cells that
have not changed for a while are packed by service and stretch of time into *blocks*, by base and deflated, in memory
and in durable state. A late event or a correction *opens* a cell: it is taken out of its block and changed as any other. A
reading leaves it there.

Which cells are packed says nothing about what they hold: two workers may differ in it and agree in every number.
Durable forms: ``c|level|start|service`` is one cell, ``b|level|stretch|service`` a block. A cell that is there by itself is newer
than what a block says of it.
"""

from __future__ import annotations

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import msgspec

from pipeline.time.panes import DAY, FIVE_MINUTES, HOUR, LEVELS, MINUTE, expired

CellId = tuple[int, int, str]  # (level, pane start in epoch seconds, service)
Item = TypeVar("Item")
#: base key → pane start → what a cell holds of the base
Columns = dict[str, dict[int, Item]]

#: The stretch of time one block holds, seconds: 30 to 60 panes.
STRETCH = {MINUTE: 3_600, FIVE_MINUTES: 14_400, HOUR: 172_800, DAY: 32 * 86_400}
#: A cell waits open for at least so many flushes and so many seconds of the clock after it changed ...
FLUSHES, IDLE_S = 4, 120
#: ... unless more cells than this are open, a service (and in all): then the flushes alone count.
OPEN_A_SERVICE, OPEN_AT_LEAST = 16, 2_048
#: Blocks packed a flush, so that none takes long.
BLOCKS_A_FLUSH = 512
#: Blocks kept unpacked for reading.
_READ = 64
#: zlib's fastest: the higher levels save a tenth and take half as long again.
_DEFLATE = 1

_encode = msgspec.msgpack.Encoder().encode
_decode_block = msgspec.msgpack.Decoder(tuple[str, list[int], bytes]).decode
_decode_keys = msgspec.msgpack.Decoder(dict[str, dict[int, msgspec.Raw]]).decode
_decode_columns = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


def cell_key(cell: CellId) -> bytes:
    """Return the chunk key of a cell."""
    return f"c|{cell[0]}|{cell[1]}|{cell[2]}".encode()


def cell_id(key: bytes) -> CellId:
    """Return the cell (or level, stretch and service of a block) of a chunk key."""
    _, level, start, service = key.decode().split("|", 3)
    return int(level), int(start), service


def _block_of(cell: CellId) -> CellId:
    """Return (level, stretch, service) of the block a cell is packed into."""
    return cell[0], cell[1] // STRETCH[cell[0]], cell[2]


def _block_key(block: CellId) -> bytes:
    return f"b|{block[0]}|{block[1]}|{block[2]}".encode()


class _Block:
    """Packed cells of one service.

    Attributes:
        starts: of the cells it has; what ``data`` holds of others counts no more.
        data: deflated columns.
    """

    __slots__ = ("data", "starts")

    def __init__(self, starts: Iterable[int], data: bytes) -> None:
        self.starts = array("q", starts)
        self.data = data


class CellStore(Generic[Item]):
    """Cells: what each holds by base, open or packed.

    Args:
        item: type of what a cell holds of one base.
        label: what else a block says of its service.
    """

    def __init__(self, item: Any, label: Callable[[str], str] = lambda _service: "") -> None:
        self._label = label
        self._decode_column = msgspec.msgpack.Decoder(dict[int, item]).decode
        #: open cells: those that changed since the last turn, and the others
        self._recent: dict[CellId, dict[str, Item]] = {}
        self._idle: dict[CellId, dict[str, Item]] = {}
        #: idle cells on their way into a block
        self._leaving: dict[CellId, list[int]] = {}
        self._blocks: tuple[dict[CellId, _Block], ...] = tuple({} for _ in LEVELS)
        self._services: set[str] = set()
        #: cells taken out of a block since the last flush
        self._opened: set[CellId] = set()
        #: open cells that are over, and blocks of which nothing is left, since the last flush
        self._gone: list[CellId] = []
        self._emptied: set[CellId] = set()
        self._reading: OrderedDict[CellId, dict[str, Any]] = OrderedDict()
        self._flushes, self._turned_at = 0, 0.0

    # --- reading ---

    def __contains__(self, cell: CellId) -> bool:
        if cell in self._recent or cell in self._idle:
            return True
        block = self._blocks[cell[0]].get(_block_of(cell))
        return block is not None and cell[1] in block.starts

    def __iter__(self) -> Iterator[CellId]:
        """Yield every cell."""
        yield from self._recent
        yield from self._idle
        for blocks in self._blocks:
            for (level, _, service), block in blocks.items():
                for start in block.starts:
                    yield level, start, service

    def __len__(self) -> int:
        packed = sum(len(block.starts) for blocks in self._blocks for block in blocks.values())
        return len(self._recent) + len(self._idle) + packed

    def opened(self, cell: CellId) -> dict[str, Item] | None:
        """Return what an open cell holds, None where it is packed or is not."""
        held = self._recent.get(cell)
        return self._idle.get(cell) if held is None else held

    def item(self, cell: CellId, base_key: str) -> Item | None:
        """Return what a cell holds of a base, None for nothing; not to be changed."""
        held = self.opened(cell)
        if held is not None:
            return held.get(base_key)
        at = _block_of(cell)
        block = self._blocks[cell[0]].get(at)
        if block is None or cell[1] not in block.starts:
            return None
        return self._column(at, block, base_key).get(cell[1])

    def whole(self, cell: CellId) -> dict[str, Item]:
        """Return what a cell holds, by base; not to be changed."""
        held = self.opened(cell)
        if held is not None:
            return held
        at = _block_of(cell)
        block = self._blocks[cell[0]].get(at)
        if block is None or cell[1] not in block.starts:
            return {}
        found: dict[str, Item] = {}
        for base_key in self._columns(at, block):
            column = self._column(at, block, base_key)
            if cell[1] in column:
                found[base_key] = column[cell[1]]
        return found

    def _columns(self, at: CellId, block: _Block) -> dict[str, Any]:
        """Return the columns of a block, each as it is packed or, once it was read, unpacked."""
        columns = self._reading.get(at)
        if columns is None:
            columns = self._reading[at] = dict(_decode_columns(zlib.decompress(block.data)))
            if len(self._reading) > _READ:
                self._reading.popitem(last=False)
        else:
            self._reading.move_to_end(at)
        return columns

    def _column(self, at: CellId, block: _Block, base_key: str) -> dict[int, Item]:
        columns = self._columns(at, block)
        column = columns.get(base_key)
        if isinstance(column, msgspec.Raw):
            column = columns[base_key] = self._decode_column(column)
        return column or {}

    # --- changing ---

    def open(self, cell: CellId) -> dict[str, Item] | None:
        """Return what a cell holds, to be changed; None where there is no such cell."""
        held = self._recent.get(cell)
        if held is not None:
            return held
        held = self._idle.pop(cell, None)
        if held is None:
            at = _block_of(cell)
            block = self._blocks[cell[0]].get(at)
            if block is None or cell[1] not in block.starts:
                return None
            held = self.whole(cell)
            self._take_out(at, block, cell[1])
            self._opened.add(cell)
        self._recent[cell] = held
        return held

    def make(self, cell: CellId) -> dict[str, Item]:
        """Return what a cell holds, to be changed; the cell is made where there is none."""
        held = self.open(cell)
        if held is None:
            held = self._recent[cell] = {}
            self._services.add(cell[2])
        return held

    def _take_out(self, at: CellId, block: _Block, start: int) -> None:
        block.starts.remove(start)
        if not block.starts:
            self._empty(at)

    def _empty(self, at: CellId) -> None:
        del self._blocks[at[0]][at]
        self._reading.pop(at, None)
        self._emptied.add(at)

    def expire(self, clock_s: float) -> Iterator[tuple[CellId, Iterable[str]]]:
        """Drop panes that can change no more; yield each with the bases it held."""
        for cells in (self._recent, self._idle):
            for cell in [c for c in cells if expired(c[0], c[1], clock_s)]:
                self._gone.append(cell)
                self._opened.discard(cell)
                yield cell, cells.pop(cell)
        for level in LEVELS[:DAY]:
            for at, block in list(self._blocks[level].items()):
                while block.starts and expired(level, block.starts[0], clock_s):
                    yield (level, block.starts[0], at[2]), self._columns(at, block).keys()
                    self._take_out(at, block, block.starts[0])

    # --- durable state ---

    def over(self) -> Iterator[tuple[bytes, None]]:
        """Yield the chunks that go since cells were dropped; before those that changed, of which one may be there again."""
        for cell in self._gone:
            yield cell_key(cell), None
        self._gone = []

    def take_opened(self) -> set[CellId]:
        """Return the cells that were taken out of a block since the last call: they must be kept by themselves again."""
        opened, self._opened = self._opened, set()
        return opened

    def pack(self, clock_s: float) -> Iterator[tuple[bytes, bytes | None]]:
        """Pack cells that have not changed for a while, once what changed is kept; yield the chunks that changes."""
        for at in self._emptied:
            if at not in self._blocks[at[0]]:
                yield _block_key(at), None
        self._emptied = set()
        self._turn(clock_s)
        for _ in range(min(BLOCKS_A_FLUSH, len(self._leaving))):
            at, starts = self._leaving.popitem()
            cells = {(at[0], start, at[2]) for start in starts}
            leaving = {c[1]: self._idle.pop(c) for c in cells if c in self._idle}
            if leaving:
                yield _block_key(at), self._pack(at, leaving)
                for start in leaving:
                    yield cell_key((at[0], start, at[2])), None

    def _turn(self, clock_s: float) -> None:
        """Let the cells that stayed idle leave, and count those that changed since as idle, when it is time."""
        self._flushes += 1
        if self._leaving or self._flushes < FLUSHES:
            return
        most = max(OPEN_AT_LEAST, OPEN_A_SERVICE * len(self._services))
        if clock_s - self._turned_at < IDLE_S and len(self._recent) + len(self._idle) <= most:
            return
        for cell in self._idle:
            self._leaving.setdefault(_block_of(cell), []).append(cell[1])
        # what leaves stays readable, and may be opened, until it is packed
        self._idle |= self._recent
        self._recent = {}
        self._flushes, self._turned_at = 0, clock_s

    def _pack(self, at: CellId, leaving: dict[int, dict[str, Item]]) -> bytes:
        """Put cells into a block; return its durable form."""
        blocks = self._blocks[at[0]]
        block = blocks.get(at)
        columns: Columns[Item] = {}
        if block is not None:
            for base_key in self._columns(at, block):
                column = self._column(at, block, base_key)
                kept = {start: column[start] for start in block.starts if start in column}
                if kept:
                    columns[base_key] = kept
        for start, held in leaving.items():
            for base_key, item in held.items():
                columns.setdefault(base_key, {})[start] = item
        starts = sorted([*(block.starts if block is not None else ()), *leaving])
        self._reading.pop(at, None)
        made = blocks[at] = _Block(starts, zlib.compress(_encode(columns), _DEFLATE))
        return _encode((self._label(at[2]), starts, made.data))

    def restore(self, cell: CellId, held: dict[str, Item]) -> None:
        """Take a recovered cell."""
        self._recent[cell] = held
        self._services.add(cell[2])
        at = _block_of(cell)
        block = self._blocks[cell[0]].get(at)
        if block is not None and cell[1] in block.starts:
            self._take_out(at, block, cell[1])

    def restore_block(self, key: bytes, value: bytes) -> tuple[CellId, str]:
        """Take a recovered block; return (level, stretch, service) and its label."""
        at = cell_id(key)
        label, starts, data = _decode_block(value)
        level, _, service = at
        self._services.add(service)
        block = self._blocks[level][at] = _Block(
            (s for s in starts if self.opened((level, s, service)) is None), data
        )  # fmt: skip
        if not block.starts:
            self._empty(at)
        return at, label

    def bases_of(self, at: CellId) -> Iterator[tuple[str, list[int]]]:
        """Yield (base key, pane starts) of a block."""
        block = self._blocks[at[0]].get(at)
        if block is not None:
            for base_key, column in _decode_keys(zlib.decompress(block.data)).items():
                yield base_key, [start for start in column if start in block.starts]
