"""The changelog of state: what a flush writes, and what recovery makes of a partition's log.

One changelog partition keeps the chunks of one partition number of every source topic. Its records:

* ``g|``: a *claim*: the generation that owns the partition from here on. What lower generations write after
  it (a worker that was paused and woke up) is ignored. A claim that *holds* says that ``csf replay`` is about to replace
  the state: no worker may go on from here until a claim of the same generation or a higher one lets go.
* ``k|TOPIC|CHUNK``: a chunk, with generation and flush number, or the mark that it is gone.
* ``c|TOPIC``: a *commit*: the flush is whole, and the state stands at this source position, in this format's version.

A chunk counts once a commit of its topic follows. Compaction removes old commits, so a chunk is not
asked for its own one. That is safe because chunks of an unfinished flush lie at the end of their topic's log
until the next owner writes, and its first flush writes them again with the value that holds (``repairs``), as it
does for whatever a lower generation overwrote. The topic's ``min.compaction.lag.ms`` keeps that value until then.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.engine.state import VERSION
from pipeline.errors import CsfError

#: Payload bytes of one record; longer chunks are split into numbered parts.
PART_BYTES = 1_000_000
CLAIM_KEY = b"g|"
_PART_MARK = b"\0#part"

_CHUNK = struct.Struct(">QQBHH")  # generation, flush, present, part, parts
_COMMIT = struct.Struct(">QQqH")  # generation, flush, position, version of the format
_COMMIT_1 = struct.Struct(">QQq")  # the same before versions were written: 1
_CLAIM = struct.Struct(">Q")
_HOLD = b"\x01"

Record = tuple[bytes, bytes | None]


class StateError(CsfError):
    """The changelog holds what no flush writes; the state cannot be trusted."""


def claim_record(generation: int, *, hold: bool = False) -> Record:
    """Return the record by which a generation takes over a changelog partition, or holds it."""
    return CLAIM_KEY, _CLAIM.pack(generation) + (_HOLD if hold else b"")


def commit_record(topic: str, generation: int, flush: int, position: int, version: int = VERSION) -> Record:
    """Return the record that makes a flush count."""
    return b"c|" + topic.encode(), _COMMIT.pack(generation, flush, position, version)


def _commit_of(value: bytes) -> tuple[int, int, int, int]:
    """Return generation, flush, position and version of a commit."""
    if len(value) == _COMMIT_1.size:
        generation, flush, position = _COMMIT_1.unpack(value)
        return generation, flush, position, 1
    generation, flush, position, version = _COMMIT.unpack(value)
    return generation, flush, position, version


def part_name(chunk: bytes, part: int) -> bytes:
    """Return the name under which a part of a chunk is kept; part 0 has the chunk's own."""
    return chunk if part == 0 else chunk + _PART_MARK + str(part).encode()


def _key(topic: bytes, name: bytes) -> bytes:
    return b"k|" + topic + b"|" + name


def chunk_records(topic: str, generation: int, flush: int, chunk: bytes, payload: bytes | None) -> list[Record]:
    """Return the records of one chunk: one, or several parts; a chunk that is gone is a mark."""
    name = topic.encode()
    if payload is None:
        return [(_key(name, chunk), _CHUNK.pack(generation, flush, 0, 0, 1))]
    parts = max(1, -(-len(payload) // PART_BYTES))
    return [
        (
            _key(name, part_name(chunk, part)),
            _CHUNK.pack(generation, flush, 1, part, parts) + payload[part * PART_BYTES : (part + 1) * PART_BYTES],
        )
        for part in range(parts)
    ]


def is_present(value: bytes) -> bool:
    """Return whether a chunk's record holds it, or marks that it is gone."""
    return bool(_CHUNK.unpack_from(value)[2])


def tombstone_record(topic: str, chunk: bytes) -> Record:
    """Return the record that lets compaction forget a chunk whose mark is committed."""
    return _key(topic.encode(), chunk), None


@dataclass
class TopicState:
    """What recovery found of one source topic in a changelog partition."""

    position: int = -1
    flush: int = 0
    version: int = VERSION
    held: dict[bytes, bytes] = field(default_factory=dict)
    pending: dict[bytes, bytes | None] = field(default_factory=dict)
    disturbed: set[bytes] = field(default_factory=set)
    #: what commits changed since reading began
    changed: set[bytes] = field(default_factory=set)

    def chunks(self) -> Iterable[tuple[bytes, bytes]]:
        """Yield (chunk, payload) of what counts.

        Raises:
            StateError: a part of a chunk is missing or of another flush.
        """
        for key, value in self.held.items():
            generation, flush, _, part, parts = _CHUNK.unpack_from(value)
            if part != 0:
                continue
            payload = [value[_CHUNK.size :]]
            for number in range(1, parts):
                piece = self.held.get(part_name(key, number))
                if piece is None or _CHUNK.unpack_from(piece) != (generation, flush, 1, number, parts):
                    raise StateError(f"state chunk {key!r} lacks part {number} of {parts}")
                payload.append(piece[_CHUNK.size :])
            yield key, b"".join(payload)

    def repairs(self) -> dict[bytes, bytes | None]:
        """Return the chunks that the next flush must write again, None for those that must be marked gone."""
        if not self.disturbed:
            return {}
        wanted = {key.split(_PART_MARK)[0] for key in self.disturbed}
        standing = {chunk: payload for chunk, payload in self.chunks() if chunk in wanted}
        return {chunk: standing.get(chunk) for chunk in wanted}


class PartitionLog:
    """Reads one changelog partition from its beginning."""

    def __init__(self) -> None:
        #: highest generation seen
        self.generation = 0
        #: the state is about to be replaced: nobody may go on from it
        self.on_hold = False
        #: last offset seen, -1 for none
        self.last_offset = -1
        #: the record there
        self.last_record: Record | None = None
        self.topics: dict[str, TopicState] = {}
        #: where reading began with a copy: the record that must be at its offset, unless compaction took it
        self.expected: Record | None = None
        #: only the place is known, not the chunks before it
        self.bare = False
        #: where the copy ends that reading began with; None without one
        self.copied_to: int | None = None

    def apply(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Take the next record; one at or below ``last_offset`` was taken already (recovery began anew).

        Raises:
            StateError: no flush writes such a record.
        """
        if offset <= self.last_offset:
            if offset == self.last_offset and self.expected is not None and (key, value or b"") != self.expected:
                raise StateError(f"the copy of the state was made of another log: offset {offset} holds {key!r}")
            return
        self.last_offset = offset
        self.last_record = (key or b"", value)
        self.expected = None
        try:
            if key == CLAIM_KEY and value is not None:
                (generation,) = _CLAIM.unpack_from(value)
                if generation >= self.generation:
                    self.generation, self.on_hold = generation, value[_CLAIM.size :] == _HOLD
                return
            if key is not None and key[:2] == b"c|" and value is not None:
                self._commit(key[2:].decode(), *_commit_of(value))
                return
            if key is not None and key[:2] == b"k|":
                topic, _, rest = key[2:].partition(b"|")
                self._chunk(topic.decode(), rest, value)
                return
        except (struct.error, UnicodeDecodeError) as e:
            raise StateError(f"changelog record {key!r} at offset {offset} cannot be read: {e}") from None
        raise StateError(f"changelog record {key!r} at offset {offset} is none that a flush writes")

    def _topic(self, name: str) -> TopicState:
        return self.topics.setdefault(name, TopicState())

    def _chunk(self, topic: str, key: bytes, value: bytes | None) -> None:
        state = self._topic(topic)
        if value is None:
            # a tombstone follows a committed mark; where the chunk is there, a paused worker wrote it
            if key in state.held or key in state.pending:
                gone = key in state.pending and state.pending[key] is None
                if not gone:
                    state.disturbed.add(key)
            return
        generation, _flush, present, _, _ = _CHUNK.unpack_from(value)
        if generation < self.generation:
            state.disturbed.add(key)
            return
        self.generation = generation
        # written again after whatever disturbed it
        state.disturbed.discard(key)
        state.pending[key] = value if present else None

    def _commit(self, topic: str, generation: int, flush: int, position: int, version: int) -> None:
        if generation < self.generation:
            return
        self.generation = generation
        state = self._topic(topic)
        state.changed |= state.pending.keys()
        for key, value in state.pending.items():
            if value is None:
                state.held.pop(key, None)
            else:
                state.held[key] = value
        state.pending = {}
        state.position, state.flush, state.version = position, flush, version

    def finish(self) -> dict[str, TopicState]:
        """Return what counts of each topic; unfinished flushes are set aside."""
        for state in self.topics.values():
            state.disturbed |= state.pending.keys()
            state.pending = {}
        return self.topics
