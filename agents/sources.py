"""What connectors tell of themselves, read from Kafka: their records in ``csf.cursors``, and ``source.polled``.

One consumer without a group, opened at the first question and asked again at each further one: it reads on from where it
was. Of ``source.polled`` only the newest records are read at first: who delivers says so every few minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.errors import InvalidEvent, ServiceUnavailable
from pipeline.evaluate.sources import Judged, heard, in_order, judged
from pipeline.events.families import SourcePolled, event_topic
from pipeline.sources import PREFIX, Delivering, StreamState, merged, state_from
from pipeline.topics import CURSORS

_CONTROL = event_topic("control")
#: Records of each partition of the control topic that are read at first: some hours of them.
_FIRST = 2000
#: A span that ended longer before it was told was read from a past, and nobody waits for the next, seconds.
_LIVE_S = 3600.0
#: So long is read at a question before it is answered with what is known, seconds.
_PATIENCE_S = 5.0
_MARK = b"source.polled"


class _Polled(msgspec.Struct):
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")


_decode_events = msgspec.json.Decoder(_Polled | list[_Polled]).decode
_decode_polled = msgspec.json.Decoder(SourcePolled, strict=False).decode


class Known:
    """What records said: pure, and so testable without brokers."""

    def __init__(self) -> None:
        self._told: dict[str, StreamState] = {}
        self._delivering: dict[str, Delivering] = {}

    def cursor(self, key: bytes, value: bytes | None) -> None:
        """Take a record of ``csf.cursors``; those that are no states of streams are passed over."""
        name = key.decode(errors="replace")
        if not name.startswith(PREFIX):
            return
        state = None
        if value:
            try:
                state = state_from(msgspec.json.decode(value))
            except msgspec.DecodeError:
                state = None
        if state is None:
            self._told.pop(name, None)
        else:
            self._told[name] = state

    def control(self, value: bytes, at: float) -> None:
        """Take a message of the control topic that arrived at ``at`` (epoch seconds)."""
        if _MARK not in value:
            return
        try:
            found = _decode_events(value)
            for event in found if isinstance(found, list) else [found]:
                if event.type == "source.polled":
                    self._polled(_decode_polled(event.data), at)
        except (msgspec.MsgspecError, InvalidEvent):
            return  # a dead letter, which ingest counts

    def _polled(self, data: SourcePolled, at: float) -> None:
        until = data.to.timestamp()
        if at - until > _LIVE_S:
            return
        before = self._delivering.get(data.source)
        if before is None:
            self._delivering[data.source] = Delivering(
                name=data.source, until=until, heard_at=at, before_at=at, complete=data.complete, truncated=data.truncated
            )  # fmt: skip
            return
        again = at - before.heard_at > 1.0  # one word may be several events, one a service
        self._delivering[data.source] = Delivering(
            name=data.source, until=max(until, before.until), heard_at=at, before_at=before.heard_at if again else before.before_at,
            complete=data.complete, truncated=before.truncated + data.truncated,
        )  # fmt: skip

    def judged(self, configured: Sequence[StreamState], now: float) -> list[Judged]:
        """Return every stream and source with its state, those that need somebody first.

        A source that spoke only once, such as the import of a file, is none that more is expected of.
        """
        streams = merged(list(configured), list(self._told.values()))
        names = {s.name for s in streams}
        others = [d for d in self._delivering.values() if d.name not in names and d.heard_at > d.before_at]
        return in_order([*(judged(s, now) for s in streams), *(heard(d, now) for d in others)])


class SourceWatch:
    """Reads what connectors tell.

    Args:
        bootstrap: brokers.
        settings: further keyword arguments for kafka-python (security).
        configured: gives the streams that are configured here, as blank states.
        clock: epoch seconds.
    """

    def __init__(
        self, bootstrap: str, settings: dict[str, Any], configured: Callable[[], Sequence[StreamState]] = tuple,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._bootstrap, self._settings, self._configured, self._clock = bootstrap, settings, configured, clock
        self._known = Known()
        self._consumer: KafkaConsumer | None = None
        self._turn = threading.Lock()

    def ask(self) -> list[Judged]:
        """Return every stream with its state, as of now. Blocks; one question after the other.

        Raises:
            ServiceUnavailable: the brokers do not answer.
        """
        with self._turn:
            try:
                consumer = self._consumer or self._open()
                self._read_on(consumer)
            except KafkaError as e:
                self._close()
                raise ServiceUnavailable(f"Kafka at {self._bootstrap} does not tell how connectors are: {e}") from None
            return self._known.judged(self._configured(), self._clock())

    def _open(self) -> KafkaConsumer:
        self._known = Known()
        consumer = KafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False, **{"bootstrap_timeout_ms": 10_000, **self._settings}
        )  # fmt: skip
        self._consumer = consumer
        cursors = [TopicPartition(CURSORS, p) for p in consumer.partitions_for_topic(CURSORS) or ()]
        control = [TopicPartition(_CONTROL, p) for p in consumer.partitions_for_topic(_CONTROL) or ()]
        consumer.assign([*cursors, *control])
        consumer.seek_to_beginning(*cursors)
        first, ends = consumer.beginning_offsets(control), consumer.end_offsets(control)
        for place in control:
            consumer.seek(place, max(first[place], ends[place] - _FIRST))
        return consumer

    def _read_on(self, consumer: KafkaConsumer) -> None:
        places = consumer.assignment()
        ends = consumer.end_offsets(list(places))
        until = time.monotonic() + _PATIENCE_S
        while any(consumer.position(p) < ends[p] for p in places) and time.monotonic() < until:
            for place, records in consumer.poll(200, max_records=5000).items():
                for record in records:
                    if place.topic == CURSORS:
                        self._known.cursor(record.key or b"", record.value)
                    else:
                        self._known.control(record.value or b"", record.timestamp / 1000)

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def close(self) -> None:
        """Release the connection."""
        with self._turn:
            self._close()
