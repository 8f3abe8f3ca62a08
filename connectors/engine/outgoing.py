"""Events of one stream on their way out: each sent once, counted once the brokers hold it."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from connectors.engine.stats import Stats
from connectors.mapping.events import MappedEvent
from connectors.mapping.values import BadValue
from connectors.spans import CONTROL, told
from pipeline.events.envelope import OutEvent
from pipeline.events.families import SourcePolled

#: Events that were sent a while ago and are read again, with an overlap, are not sent again; so many are remembered.
_REMEMBERED = 50_000
#: Bytes of a record that are kept with why it is no event.
_KEPT = 65_536


class Sink(Protocol):
    """Where events go: ``connectors.producer.EventProducer``, or what shows them only."""

    def add(self, topic: str, key: str, raw: bytes, source: str = "") -> bool:
        """Take an encoded event."""

    def send(self, topic: str, event: OutEvent, key: str | None = None) -> bool:
        """Take an event as a message of its own."""

    def bury(self, topic: str, reason: str, detail: str, raw: bytes, **more: object) -> None:
        """Take what is no event."""

    def keep(self, cursor: str, value: dict[str, Any] | None) -> None:
        """Take a cursor; None ends one."""

    def flush(self) -> None:
        """Return once the brokers hold everything."""


class Outgoing:
    """Events of one stream.

    Args:
        sink: takes them.
        stats: counts.
        source: as events name it.
        cursor: name of the stream's cursor.
        stream: its name.
    """

    def __init__(self, sink: Sink, stats: Stats, source: str, cursor: str, stream: str) -> None:
        self._sink, self._stats = sink, stats
        self._source, self._cursor, self._stream = source, cursor, stream
        #: digests of what was sent, oldest first
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: list[MappedEvent] = []

    def send(self, event: MappedEvent) -> None:
        """Send an event, unless it was sent a while ago."""
        digest = _digest(msgspec.json.encode([event.topic, event.key]) + event.raw)
        if digest in self._recent:
            return
        self._sink.add(event.topic, event.key, event.raw, self._source)
        self._waiting.append(event)
        self._recent[digest] = None

    def refuse(self, record: Any, why: BadValue) -> None:
        """Bury a record that is no event, with the reason."""
        self._stats.refused(self._stream)
        raw = msgspec.json.encode(record)[:_KEPT]
        detail = f"{self._cursor}: {why}"
        self._sink.bury("", "unmappable-row", detail, raw, source=self._source, column=why.column, value=why.value)

    def deliver(self) -> list[str]:
        """Return once the brokers hold what was sent: the services that it spoke of.

        What they do not hold is not remembered as sent.
        """
        try:
            self._sink.flush()
        except BaseException:
            self._recent.clear()
            self._waiting.clear()
            raise
        kinds: dict[str, int] = {}
        for event in self._waiting:
            kinds[event.type] = kinds.get(event.type, 0) + 1
        for kind, number in kinds.items():
            self._stats.events(self._stream, kind, number)
        spoken = list(dict.fromkeys(e.service for e in self._waiting))
        self._waiting.clear()
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return spoken

    def polled(
        self, start: datetime, until: datetime, *, types: list[str], services: list[str] | None, left: int, whole: bool,
        now: datetime,
    ) -> None:  # fmt: skip
        """Say that a span was told.

        Args:
            start: where it begins.
            until: where it ends.
            types: the events that would have been told.
            services: of which they would have been; None: of all.
            left: how many records of it are known to be missing.
            whole: it was told as far as is known.
            now: the time.
        """
        for covered in [None] if services is None else [[each] for each in services]:
            first = covered is None or services is None or covered[0] == services[0]
            data = SourcePolled(
                source=self._cursor, from_=start, to=until, types=types, complete=whole, truncated=left if first else 0,
                services=covered,
            )  # fmt: skip
            self._sink.send(CONTROL, told(self._source, data, min(until, now)), key=self._cursor)


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=16).digest()
