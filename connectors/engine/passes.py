"""Whether pages that are counted from the start were whole: records that leave a window while it is read move the others up.

A record that was read and then leaves (it was changed, and has another time now) makes the first of the next page slip onto
the page before, unread. Then it is no more among the records of the next pass: two passes with the same records, one after
the other, say that none left during the first, which therefore was whole.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from connectors.engine.declared_requests import LinkHeader, Offset, PageNumber, Paginator

#: Passes over one window before it is narrowed.
MOST_PASSES = 4
#: Records of a window that are known by themselves; beyond it all of them are taken again.
_KNOWN = 50_000
_SUM = 2**128


class Passes:
    """The passes over one window, in memory that does not grow with it.

    Args:
        size: records of a page that are asked for: a page with fewer, and nothing behind it, was the only one.
    """

    def __init__(self, size: int) -> None:
        self._size, self._full = size, False
        self._last: tuple[int, int] | None = None
        self._sum = self._count = self._pages = 0
        self._known: set[bytes] = set()

    def fresh(self, records: list[Any]) -> list[Any]:
        """Return the records of a page that no page before held."""
        self._pages += bool(records)
        self._full |= len(records) >= self._size
        found = []
        for record in records:
            digest = blake2b(msgspec.json.encode(record), digest_size=16).digest()
            self._sum = (self._sum + int.from_bytes(digest)) % _SUM
            self._count += 1
            if digest in self._known:
                continue
            found.append(record)
            if len(self._known) < _KNOWN:
                self._known.add(digest)
        return found

    def whole(self) -> bool:
        """Return, at the end of a pass, whether everything was read; else begin another."""
        this = (self._sum, self._count)
        done = (self._pages < 2 and not self._full) or this == self._last
        self._last, self._sum, self._count, self._pages, self._full = this, 0, 0, 0, False
        return done


def passes_of(paginator: Paginator) -> Passes | None:
    """Return the passes over a window whose pages are found by how many records lie before them; None for other pages."""
    return Passes(paginator.size) if isinstance(paginator, Offset | PageNumber | LinkHeader) else None
