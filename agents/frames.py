"""aiokafka's responses read in place: a fetch of many megabytes goes from the socket into one buffer, kept for the next.

asyncio's stream reader grows a buffer by what it takes out of the socket, stops reading when it holds 128 KiB, and copies
what was asked for out of it; aiokafka then copies the records once more. For a fetch that is three copies into fresh memory
and some hundred turns of the event loop, here one and a few. Checksums of a fetch are reckoned by the processor's own
instruction, ten times as fast as aiokafka's. What requests, timeouts, errors and the end of a connection do
is as aiokafka has it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol
from aiokafka.protocol.fetch import FetchRequest
from crc32c import crc32c

#: A response from this size on is read in place; smaller ones are cheaper as they were.
_LARGE = 65_536
#: What one read takes from the socket at most while no such response is awaited.
_SPARE = 65_536
#: A kept buffer this many times as large as what is read is given back.
_FAR_TOO_LARGE = 8
#: Of a record batch: where its length stands, what that does not count, the format's version, the checksum, what that covers.
_LENGTH, _HEAD, _MAGIC, _CRC, _COVERED = 8, 12, 16, 17, 21


class Frame:
    """The bytes of a response as a file, as far as aiokafka's decoding reads one."""

    __slots__ = ("_at", "_view")

    def __init__(self, raw: memoryview) -> None:
        self._view, self._at = raw, 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        start, self._at = self._at, self._at + size
        return bytes(self._view[start : self._at])


class FrameReader(asyncio.StreamReader):
    """A stream reader that lets large reads be filled by the transport itself, one after the other in the same place."""

    #: what is still to be filled of a large read, None where none is awaited
    _empty: memoryview | None = None
    _kept: bytearray | None = None
    _spare: memoryview | None = None
    # of asyncio's, which its type hints do not name
    _buffer: bytearray
    _eof: bool

    async def readexactly(self, n: int) -> Any:
        """Return exactly n bytes; many of them as a view of memory that holds until the next read.

        Raises:
            asyncio.IncompleteReadError: the connection ended before.
        """
        if n < _LARGE or n <= len(self._buffer):
            return await super().readexactly(n)
        if (why := self.exception()) is not None:
            raise why
        if self._kept is None or not n <= len(self._kept) <= _FAR_TOO_LARGE * n:
            self._kept = bytearray(n)
        frame, filled = memoryview(self._kept)[:n], len(self._buffer)
        frame[:filled] = self._buffer
        self._buffer.clear()
        self._empty = frame[filled:]
        try:
            while len(self._empty):
                if self._eof:
                    raise asyncio.IncompleteReadError(bytes(frame[: n - len(self._empty)]), n)
                await self._wait_for_data("readexactly")  # type: ignore[attr-defined] # as above
        finally:
            self._empty = None
        return frame

    def place(self) -> memoryview:
        """Return where the next bytes from the socket go; a view, since TLS writes into slices of it."""
        if self._empty is not None and len(self._empty):
            return self._empty
        if self._spare is None:
            self._spare = memoryview(bytearray(_SPARE))
        return self._spare

    def placed(self, size: int) -> None:
        """Note that so many bytes came to where they go."""
        if self._empty is not None and len(self._empty):
            self._empty = self._empty[size:]
            if not len(self._empty):
                self._wakeup_waiter()  # type: ignore[attr-defined] # as above
        elif self._spare is not None:
            self.feed_data(self._spare[:size])


class FrameProtocol(AIOKafkaProtocol, asyncio.BufferedProtocol):  # type: ignore[misc]  # aiokafka is untyped for us
    """aiokafka's protocol, whose reader says where bytes go."""

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the next bytes go; to nowhere once the reader is gone."""
        reader = self._stream_reader
        return memoryview(bytearray(_SPARE)) if reader is None else reader.place()

    def buffer_updated(self, nbytes: int) -> None:
        """Tell the reader how many came."""
        reader = self._stream_reader
        if reader is not None:
            reader.placed(nbytes)


class FrameConnection(AIOKafkaConnection):  # type: ignore[misc]  # aiokafka is untyped for us
    """A connection that decodes large responses where they lie."""

    def _handle_frame(self, resp: Any) -> None:
        correlation_id, request, fut = self._requests[0]
        if isinstance(resp, bytes) or correlation_id is None or fut.done():
            super()._handle_frame(bytes(resp))
            return
        frame = Frame(resp)
        if request.parse_response_header(frame).correlation_id != correlation_id:
            super()._handle_frame(bytes(resp))  # which says what is wrong
            return
        fut.set_result(request.RESPONSE_TYPE.decode(frame))
        self._last_action = time.monotonic()
        self._requests.popleft()


class FrameClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka is untyped for us
    """A client whose connections read large responses in place, and that looks at the checksums of fetches."""

    async def send(self, node_id: int, request: Any, **kwargs: Any) -> Any:
        """Return the response to a request; one to fetch is told of which (topic, partition) all checksums are right."""
        response = await super().send(node_id, request, **kwargs)
        if isinstance(request, FetchRequest):
            request.sound = {
                (topic, number)
                for topic, partitions in response.topics
                for number, *_, records in partitions
                if records and sound(records)
            }
        return response

    async def _get_conn(self, *args: Any, **kwargs: Any) -> AIOKafkaConnection | None:
        conn = await super()._get_conn(*args, **kwargs)
        if type(conn) is AIOKafkaConnection and conn.connected() and not conn._requests:
            read_in_place(conn)
        return conn


def sound(records: bytes) -> bool:
    """Return whether the checksums of fetched record batches are right, as far as this can tell.

    A fetch may end within a batch, of which nothing is read. False for batches of formats before Kafka 0.11, too.
    """
    view, at = memoryview(records), 0
    while at + _COVERED <= len(view):
        end = at + _HEAD + int.from_bytes(view[at + _LENGTH : at + _HEAD])
        if end > len(view):
            break
        if view[at + _MAGIC] != 2 or crc32c(view[at + _COVERED : end]) != int.from_bytes(
            view[at + _CRC : at + _COVERED]
        ):
            return False
        at = end
    return True


def read_in_place(conn: AIOKafkaConnection) -> None:
    """Let a connection that awaits no response read large ones in place.

    aiokafka makes its connections itself and has no place to hand one in, so those it made change their classes.
    """
    conn.__class__ = FrameConnection
    conn._reader.__class__ = FrameReader
    conn._protocol.__class__ = FrameProtocol
    conn._writer.transport.set_protocol(conn._protocol)  # a transport asks once what kind of protocol it has
