"""Responses read in place are what was sent, however it arrives; a wrong checksum is found, an end within a response said."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trustme
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol
from aiokafka.errors import CorruptRecordException
from aiokafka.protocol.fetch import FetchRequest_v4, FetchResponse_v4
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from faust.types import TP

from agents.frames import Frame, FrameConnection, FrameReader, read_in_place, sound
from agents.runs import RunRecords

USAGE = TP("usage", 0)
Send = Callable[[asyncio.StreamWriter], AsyncIterator[bytes]]


@asynccontextmanager
async def _connected(send: Send, *, tls: bool = False) -> AsyncIterator[FrameConnection]:
    """Yield a connection that reads in place what a server sends, without aiokafka's greeting of versions."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for part in send(writer):
            writer.write(part)
            await writer.drain()
        writer.close()

    mine, theirs = _contexts() if tls else (None, None)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=theirs)
    loop = asyncio.get_running_loop()
    conn = AIOKafkaConnection("127.0.0.1", server.sockets[0].getsockname()[1])
    conn._closed_fut = loop.create_future()
    conn._reader = asyncio.StreamReader(limit=65_536)
    conn._protocol = AIOKafkaProtocol(conn._closed_fut, conn._reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: conn._protocol, conn.host, conn.port, ssl=mine)
    conn._writer = asyncio.StreamWriter(transport, conn._protocol, conn._reader, loop)
    read_in_place(conn)
    try:
        yield conn
    finally:
        conn._read_task = conn._read_task or asyncio.ensure_future(asyncio.sleep(0))  # close() ends it
        conn.close()
        server.close()
        await server.wait_closed()


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS contexts of a client and of a server that it trusts."""
    authority, client, server = trustme.CA(), ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return client, server


def _cut(sent: bytes, rng: random.Random) -> list[bytes]:
    """Return bytes in parts of any size."""
    ends = sorted(rng.sample(range(1, len(sent)), 20))
    return [sent[a:b] for a, b in zip([0, *ends], [*ends, len(sent)], strict=True)]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_frames_of_all_sizes_are_what_was_sent(seed: int, tls: bool) -> None:
    rng = random.Random(seed)
    sizes = [
        3,
        65_535,
        65_536,
        700_000,
        10,
        5_000_000,
        65_537,
        4,
        200_000,
        *(rng.randrange(1, 300_000) for _ in range(9)),
    ]
    frames = [rng.randbytes(size) for size in sizes]

    async def send(_writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        for part in _cut(b"".join(struct.pack(">i", len(frame)) + frame for frame in frames), rng):
            yield part

    async def read() -> list[bytes]:
        async with _connected(send, tls=tls) as conn:
            assert type(conn._reader) is FrameReader
            found = []
            for _ in frames:
                (size,) = struct.unpack(">i", await conn._reader.readexactly(4))
                found.append(bytes(await conn._reader.readexactly(size)))
            return found

    assert asyncio.run(read()) == frames


def test_an_end_within_a_frame_is_said() -> None:
    async def send(_writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        yield b"x" * 100_000

    async def read() -> None:
        async with _connected(send) as conn:
            with pytest.raises(asyncio.IncompleteReadError) as said:
                await conn._reader.readexactly(100_001)
            assert (len(said.value.partial), said.value.expected) == (100_000, 100_001)

    asyncio.run(read())


def _batches(count: int, size: int = 200) -> bytes:
    """Return record batches of ten records each."""
    raw = b""
    for first in range(0, 10 * count, 10):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
        for i in range(10):
            builder.append(i, 1_000 + i, None, b"v" * size, [])
        raw += first.to_bytes(8) + bytes(builder.build())[8:]
    return raw


def _response(number: int, records: bytes) -> bytes:
    body = FetchResponse_v4(0, [("usage", [(0, 0, 500, 500, None, records)])]).encode()
    return struct.pack(">ii", len(body) + 4, number) + body


def test_a_large_response_is_decoded_where_it_lies_and_the_next_does_not_touch_it() -> None:
    sets = [_batches(100), _batches(100, size=190), _batches(1)]

    async def send(_writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        for number, records in enumerate(sets):
            yield _response(number, records)

    async def read() -> list[bytes]:
        async with _connected(send) as conn:
            waiting = [asyncio.get_running_loop().create_future() for _ in sets]
            conn._requests.extend((number, FetchRequest_v4(-1, 0, 0, 0, 0, []), w) for number, w in enumerate(waiting))
            conn._read_task = conn._create_reader_task()
            responses = await asyncio.wait_for(asyncio.gather(*waiting), 10)
            assert not conn._requests
            return [response.topics[0][1][0][-1] for response in responses]

    assert asyncio.run(read()) == sets


def test_a_response_to_another_request_ends_the_connection() -> None:
    async def send(_writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        yield _response(8, _batches(100))

    async def read() -> None:
        async with _connected(send) as conn:
            waiting = asyncio.get_running_loop().create_future()
            conn._requests.append((7, FetchRequest_v4(-1, 0, 0, 0, 0, []), waiting))
            conn._read_task = conn._create_reader_task()
            with pytest.raises(Exception, match="Correlation ids do not match: sent 7, recv 8"):
                await asyncio.wait_for(waiting, 10)

    asyncio.run(read())


def test_a_frame_says_when_it_ends() -> None:
    frame = Frame(memoryview(b"abcdef"))
    assert [frame.read(4), frame.read(4), frame.read(4)] == [b"abcd", b"ef", b""]


def _runs(records: bytes) -> list[int]:
    """Return the numbers of records of the runs, as a fetch whose checksums were looked at or were not yields them."""
    unpacked = RunRecords(USAGE, MemoryRecords(records), [], 0, None, None, not sound(records), 0)
    return [len(run.rows) for run in unpacked._unpack_records()]


def test_every_wrong_byte_under_a_checksum_is_found() -> None:
    records = _batches(3, size=20)
    assert sound(records)
    assert _runs(records) == [10, 10, 10]
    second = len(_batches(1, size=20))
    for at in range(second + 17, 2 * second):  # from the checksum on
        wrong = records[:at] + bytes([records[at] ^ 1]) + records[at + 1 :]
        assert not sound(wrong)
    with pytest.raises(CorruptRecordException, match="wrong checksum"):
        _runs(wrong)


def test_a_fetch_may_end_within_a_batch_and_old_formats_are_left_to_the_client() -> None:
    records = _batches(2, size=20)
    assert all(sound(records[:end]) for end in range(len(records)))
    assert _runs(records[:-1]) == [10]
    old = records[:16] + b"\1" + records[17:]
    assert not sound(old)
