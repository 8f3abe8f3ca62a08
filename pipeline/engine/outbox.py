"""The outbox: what a flush still has to tell rollup, kept with the state it tells of.

Rollup hears of a state only once that state is durable. A crash between the two loses what was to be said, so
the flush itself remembers it: which cells changed (their states are durable anyway), other statements as they
are, and everything in its order where a month's barrier lies between.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

OUTBOX_KEY = b"out"

Told = tuple[int, int, str, list[str]]  # (level, start, service, base keys)
Message = tuple[str, bytes, bytes]  # (CSF, key, value)


@dataclass
class Outbox:
    """What one flush tells.

    Attributes:
        cells: the cells whose states changed.
        others: indexes of the messages that speak of no cell.
        ordered: a barrier is among them: every message is kept, in order.
    """

    cells: list[Told] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    ordered: bool = False

    def pack(self, messages: list[Message]) -> bytes:
        """Return the durable form, given all messages of the flush."""
        kept = messages if self.ordered else [messages[i] for i in self.others]
        return msgspec.msgpack.encode([[] if self.ordered else self.cells, kept])

    @staticmethod
    def unpack(value: bytes) -> tuple[list[Told], list[Message]]:
        """Return the cells to tell of again, and the messages to send again."""
        return msgspec.msgpack.decode(value, type=tuple[list[Told], list[Message]])
