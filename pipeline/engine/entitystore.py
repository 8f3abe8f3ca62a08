"""Entities as rows, in chunks ``e|type|month|n`` by the month an entity was first seen in, so that live updates rewrite little.

An entity as objects takes two kilobytes, as a row a few hundred bytes, and a hundred in a deflated chunk: and most of them
are over for good. So only entities that changed lately are there as objects, only chunks that were asked for lately as
rows, and of all others an index says which chunk they are in.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import msgspec

Key = tuple[str, str, str]  # (type, source, entity id)
E = TypeVar("E")

_SPREAD = 16
#: Entities kept as objects between flushes, those that were asked for last.
_WARM = 512
#: Rows of open chunks, beyond which chunks that no event of this flush asked for are closed.
OPEN_ROWS = 16_384
#: Recovered chunks deflated a flush, so that none takes long.
_DEFLATED_A_FLUSH = 4
_DEFLATE = 1


class _Head(msgspec.Struct, array_like=True):
    """The fields of a row that name the entity."""

    source: str
    name: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, list[msgspec.Raw]]).decode
_head = msgspec.msgpack.Decoder(_Head).decode

Rows = dict[tuple[str, str], bytes]  # (source, entity id) → row


class EntityStore(Generic[E]):
    """Entities by key.

    Args:
        unpack: returns the entity of a row, given its type.
        pack: returns the row of an entity.
    """

    def __init__(self, unpack: Callable[[str, bytes], E], pack: Callable[[Key, E], bytes]) -> None:
        self._unpack, self._pack = unpack, pack
        #: hash of a key → the chunk it would be in; two keys of one hash share a chunk
        self._chunk_of: dict[int, str] = {}
        self._count = 0
        self._warm: dict[Key, E] = {}
        self._changed: dict[Key, E] = {}
        #: open chunks, asked for last at the end
        self._open: dict[str, Rows] = {}
        self._asked: set[str] = set()
        #: closed chunks: as in durable state (after a recovery), and deflated
        self._recovered: dict[str, bytes] = {}
        self._closed: dict[str, bytes] = {}

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return self.get(key) is not None

    def get(self, key: Key) -> E | None:
        """Return an entity, which may be changed if ``changed`` is told; None where there is none."""
        entity = self._warm.get(key)
        if entity is None:
            chunk = self._chunk_of.get(hash(key))
            row = None if chunk is None else self._rows(chunk).get(key[1:])
            if row is not None:
                entity = self._warm[key] = self._unpack(key[0], row)
        return entity

    def add(self, key: Key, month: str, entity: E) -> None:
        """Add an entity that is new, first seen in a month."""
        spread = zlib.crc32("\x00".join(key[1:]).encode()) % _SPREAD
        chunk = self._chunk_of.setdefault(hash(key), f"e|{key[0]}|{month}|{spread}")
        if chunk not in self._open and chunk not in self._closed and chunk not in self._recovered:
            self._open[chunk] = {}
        self._rows(chunk)[key[1:]] = b""  # the row follows with the flush
        self._count += 1
        self._warm[key] = entity
        self.changed(key)

    def changed(self, key: Key) -> None:
        """Note that an entity changed."""
        self._changed[key] = self._warm[key]

    def each(self) -> Iterator[tuple[Key, E]]:
        """Yield every entity."""
        for chunk in [*self._open, *self._recovered, *self._closed]:
            event_type = chunk.split("|")[1]
            rows = self._open[chunk] if chunk in self._open else _rows_of(self._bytes(chunk))
            for (source, name), row in list(rows.items()):
                key = (event_type, source, name)
                entity = self._warm.get(key)
                yield key, self._unpack(event_type, row) if entity is None else entity

    def _bytes(self, chunk: str) -> bytes:
        """Return a closed chunk's durable form."""
        found = self._recovered.get(chunk)
        return zlib.decompress(self._closed[chunk]) if found is None else found

    def _rows(self, chunk: str) -> Rows:
        """Return the rows of a chunk, which is opened."""
        rows = self._open.pop(chunk, None)
        if rows is None:
            rows = _rows_of(self._bytes(chunk))
            self._recovered.pop(chunk, None)
            self._closed.pop(chunk, None)
        self._open[chunk] = rows
        self._asked.add(chunk)
        return rows

    def restore(self, value: bytes) -> None:
        """Take a recovered chunk."""
        chunk, rows = _decode(value)
        event_type = chunk.split("|")[1]
        for row in rows:
            head = _head(row)
            self._chunk_of[hash((event_type, head.source, head.name))] = chunk
        self._count += len(rows)
        self._recovered[chunk] = value

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call, and close those that nobody asks for."""
        dirty = set()
        for key, entity in self._changed.items():
            chunk = self._chunk_of[hash(key)]
            self._rows(chunk)[key[1:]] = self._pack(key, entity)
            dirty.add(chunk)
        self._changed = {}
        for chunk in sorted(dirty):
            yield chunk.encode(), _chunk(chunk, self._open[chunk])
        self._close()

    def _close(self) -> None:
        for key in list(islice(self._warm, max(0, len(self._warm) - _WARM))):
            del self._warm[key]
        number = sum(map(len, self._open.values()))
        for chunk in [c for c in self._open if c not in self._asked]:
            if number <= OPEN_ROWS:
                break
            rows = self._open.pop(chunk)
            number -= len(rows)
            self._closed[chunk] = zlib.compress(_chunk(chunk, rows), _DEFLATE)
        self._asked = set()
        for chunk in list(islice(self._recovered, _DEFLATED_A_FLUSH)):
            self._closed[chunk] = zlib.compress(self._recovered.pop(chunk), _DEFLATE)


def _chunk(chunk: str, rows: Rows) -> bytes:
    return _encode([chunk, [msgspec.Raw(row) for row in rows.values()]])


def _rows_of(value: bytes) -> Rows:
    rows: Rows = {}
    for row in _decode(value)[1]:
        head = _head(row)
        rows[(head.source, head.name)] = bytes(row)
    return rows
