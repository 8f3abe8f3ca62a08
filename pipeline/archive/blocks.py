r"""The archive's file format.

A file is ``CSFARC1\n``, its time of creation (8 bytes, epoch milliseconds, little endian), and blocks. A block is
a header and a payload. The header: ``BLK1``, payload length, number of records, first and last offset, least and
greatest arrival (epoch milliseconds), CRC-32 of the payload, CRC-32 of the header before it. The payload: an LZ4
frame around a MessagePack array of [offset, arrival, flags, value]. A header with its own checksum says where the
next block begins even when the payload is damaged; a block that ends before its length is a torn tail.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import lz4.frame  # type: ignore[import-untyped]  # lz4 ships no types
import msgspec

MAGIC = b"CSFARC1\n"
_CREATED = struct.Struct("<q")
FILE_HEADER_BYTES = len(MAGIC) + _CREATED.size
_SYNC = b"BLK1"
_HEADER = struct.Struct("<4sIIqqqqI")
_CRC = struct.Struct("<I")
BLOCK_HEADER_BYTES = _HEADER.size + _CRC.size

#: The value is a CloudEvents batch (``application/cloudevents-batch+json``).
FLAG_BATCH = 1

StoredRecord = tuple[int, int, int, bytes]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[StoredRecord])


class Block(NamedTuple):
    """Where a block is and what its header says."""

    position: int
    payload_bytes: int
    records: int
    first_offset: int
    last_offset: int
    first_arrival: int
    last_arrival: int
    crc: int

    @property
    def end(self) -> int:
        """Position after the block."""
        return self.position + BLOCK_HEADER_BYTES + self.payload_bytes


class Damage(NamedTuple):
    """Bytes that are no whole block.

    Attributes:
        position: where they begin; next: where to read on, None at the end of the file.
        torn: nothing whole follows, as after a crash in the middle of a write.
    """

    position: int
    next: int | None
    torn: bool
    what: str


def file_header(created_ms: int) -> bytes:
    """Return the first bytes of a file."""
    return MAGIC + _CREATED.pack(created_ms)


def created_ms(header: bytes) -> int | None:
    """Return the time in a file's first bytes, None if they are not those of an archive file."""
    if len(header) < FILE_HEADER_BYTES or not header.startswith(MAGIC):
        return None
    return int(_CREATED.unpack_from(header, len(MAGIC))[0])


def encode_block(records: Sequence[StoredRecord]) -> bytes:
    """Return a block of records in order of their offsets."""
    payload: bytes = lz4.frame.compress(_ENCODER.encode(records))
    arrivals = [record[1] for record in records]
    header = _HEADER.pack(
        _SYNC,
        len(payload),
        len(records),
        records[0][0],
        records[-1][0],
        min(arrivals),
        max(arrivals),
        zlib.crc32(payload),
    )
    return header + _CRC.pack(zlib.crc32(header)) + payload


def read_payload(file: BinaryIO, block: Block) -> list[StoredRecord] | None:
    """Return a block's records, None if its bytes are not those that were written."""
    file.seek(block.position + BLOCK_HEADER_BYTES)
    payload = file.read(block.payload_bytes)
    if len(payload) < block.payload_bytes or zlib.crc32(payload) != block.crc:
        return None
    try:
        return _DECODER.decode(lz4.frame.decompress(payload))
    except (RuntimeError, msgspec.DecodeError):
        return None


def _header_at(data: bytes, at: int, position: int) -> Block | None:
    header = data[at : at + _HEADER.size]
    if len(data) < at + BLOCK_HEADER_BYTES or not header.startswith(_SYNC):
        return None
    if _CRC.unpack_from(data, at + _HEADER.size)[0] != zlib.crc32(header):
        return None
    _, *fields = _HEADER.unpack(header)
    return Block(position, *fields)


def _find_header(file: BinaryIO, position: int, size: int) -> int | None:
    """Return where the next good header is, at ``position`` or after it."""
    step = 1 << 20
    while position < size:
        file.seek(position)
        data = file.read(step + BLOCK_HEADER_BYTES)
        at = data.find(_SYNC)
        while at != -1:
            if _header_at(data, at, position + at):
                return position + at
            at = data.find(_SYNC, at + 1)
        position += step
    return None


def scan(file: BinaryIO, size: int) -> Iterator[Block | Damage]:
    """Yield the blocks of a file by their headers alone, and what is no block."""
    position = FILE_HEADER_BYTES
    while position < size:
        file.seek(position)
        block = _header_at(file.read(BLOCK_HEADER_BYTES), 0, position)
        if block is not None and block.end <= size:
            yield block
            position = block.end
            continue
        following = _find_header(file, position + 1, size)
        what = "a block ends before its length" if block else "no block header"
        yield Damage(position, following, following is None, what)
        if following is None:
            return
        position = following
