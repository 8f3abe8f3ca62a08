"""Many small rows made durable by segments: a flush writes the rows that changed, and nothing twice soon.

A segment ``<prefix>|tier|number`` holds rows by id; of a row in several segments the one with the greater number
counts. Sixteen segments of a tier become one of the next, so the work a changed row causes stays logarithmic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

_FAN = 16
_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(list[tuple[int, Any]]).decode

Name = tuple[int, int]  # (tier, number)


class Segments:
    """Durable rows of one kind.

    Args:
        prefix: first letters of the chunk keys.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._ids: dict[Name, set[int]] = {}
        self._home: dict[int, Name] = {}
        self._changed: set[int] = set()
        #: row that is gone → number of the next segment then: older ones may still hold it
        self._over: dict[int, int] = {}
        self._number = 0
        self._restored: list[tuple[Name, list[tuple[int, Any]]]] = []

    def touch(self, row: int) -> None:
        """Note that a row changed, or is gone."""
        self._changed.add(row)

    def remove(self, row: int) -> None:
        """Note that a row is gone and must not come back: told until no older segment can hold it."""
        self.touch(row)
        self._over[row] = self._number

    def forget(self, row: int) -> None:
        """Note that a row is no longer needed; reviving it at a recovery would do no harm."""
        self._changed.discard(row)
        home = self._home.pop(row, None)
        if home is not None:
            self._ids[home].discard(row)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take a recovered segment; ``rows`` yields the rows once all are taken."""
        _, tier, number = key.decode().rsplit("|", 2)
        self._restored.append(((int(tier), int(number)), _decode(value)))
        self._number = max(self._number, int(number) + 1)

    def rows(self) -> Iterator[tuple[int, Any]]:
        """Yield every recovered row, as its newest segment has it."""
        newest: dict[int, Any] = {}
        for name, rows in sorted(self._restored, key=lambda item: item[0][1]):
            self._ids[name] = set()
            for row, data in rows:
                if row in self._home:
                    self._ids[self._home[row]].discard(row)
                self._home[row] = name
                self._ids[name].add(row)
                newest[row] = data
        self._restored = []
        for row, data in newest.items():
            if data is None:
                self._over[row] = self._number
            else:
                yield row, data

    def chunks(self, pack: Callable[[int], Any]) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield new segments and those that are over (None).

        Args:
            pack: returns the row of an id as msgpack-able data, None where it is gone.
        """
        oldest = min((number for _, number in self._ids), default=self._number)
        for row in [row for row, number in self._over.items() if number <= oldest and row not in self._changed]:
            del self._over[row]
            self.forget(row)
        for name in [n for n, ids in self._ids.items() if not ids]:
            del self._ids[name]
            yield self._key(name), None
        if not self._changed:
            return
        rows, merged, tier = self._changed, [], 0
        while len(same := [n for n in self._ids if n[0] == tier]) >= _FAN - 1:
            for name in same:
                rows |= self._ids.pop(name)
            merged += same
            tier += 1
        name = (tier, self._number)
        self._number += 1
        for row in rows:
            home = self._home.get(row)
            if home is not None and home in self._ids:
                self._ids[home].discard(row)
            self._home[row] = name
        self._ids[name] = rows
        self._changed = set()
        yield self._key(name), _encoder.encode([(row, pack(row)) for row in sorted(rows)])
        for old in merged:
            yield self._key(old), None

    def _key(self, name: Name) -> bytes:
        return f"{self._prefix}|{name[0]}|{name[1]}".encode()
