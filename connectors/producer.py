"""Events into Kafka: idempotent, batched where there are many, refused where too large.

What must be ordered together (an incident, a visitor, a check) has one key and so one partition. High-rate sources
send CloudEvents batches: kafka-python sends some ten thousand messages a second, so many events go in one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from pipeline.errors import ServiceUnavailable
from pipeline.events.envelope import (
    CONTENT_TYPE_BATCH,
    CONTENT_TYPE_SINGLE,
    MAX_MESSAGE_BYTES,
    OutEvent,
    encode,
)
from pipeline.topics import CURSORS, DEAD_LETTERS

#: A batch message is sent at this many events or bytes.
BATCH_EVENTS, BATCH_BYTES = 1000, 900_000
_TIMEOUT_S = 120.0
#: Brokers that do not answer at all are told of after this, ms.
_BOOTSTRAP_MS = 10_000
#: What a refused event leaves behind, bytes.
_KEPT = 1024


class EventProducer:
    """Sends events; ``flush`` returns when the brokers have acknowledged them all.

    Args:
        bootstrap: brokers, ``host:port,...``.
        settings: further keyword arguments for kafka-python (security).
        client_id: how the brokers' logs name it.
        delivery_timeout_s: an event that is not stored after so many seconds has failed.

    Raises:
        ServiceUnavailable: the brokers do not answer.
    """

    def __init__(
        self, bootstrap: str, *, settings: dict[str, Any] | None = None, client_id: str = "csf-connector",
        delivery_timeout_s: float = _TIMEOUT_S,
    ) -> None:  # fmt: skip
        self._bootstrap, self._timeout_s = bootstrap, delivery_timeout_s
        self._waiting: dict[tuple[str, int], list[bytes]] = {}
        self._sizes: dict[tuple[str, int], int] = {}
        self._partitions: dict[str, int] = {}
        self._failure: BaseException | None = None
        #: events refused because of their size
        self.refused = 0
        fixed: dict[str, Any] = {
            "bootstrap_servers": bootstrap, "client_id": client_id, "acks": "all", "enable_idempotence": True,
            "compression_type": "lz4", "linger_ms": 20, "batch_size": 262_144,
            "bootstrap_timeout_ms": _BOOTSTRAP_MS, "max_request_size": MAX_MESSAGE_BYTES + 65_536, "delivery_timeout_ms": int(delivery_timeout_s * 1000),
        }  # fmt: skip
        try:
            self._producer = KafkaProducer(**{**fixed, **(settings or {})})
        except KafkaError as e:
            raise self._unavailable(e) from None

    def _unavailable(self, why: object) -> ServiceUnavailable:
        return ServiceUnavailable(f"Kafka at {self._bootstrap} does not take events: {why}")

    def partition(self, topic: str, key: str) -> int:
        """Return the partition of a key: the same for single events and batches.

        Raises:
            ServiceUnavailable: the brokers do not answer, or do not know the topic.
        """
        number = self._partitions.get(topic)
        if number is None:  # it is fixed when a topic is made
            number = self._partitions[topic] = self._counted(topic)
        return zlib.crc32(key.encode()) % number

    def _counted(self, topic: str) -> int:
        try:
            known = self._producer.partitions_for(topic)
        except KafkaTimeoutError:
            raise self._unavailable(f"it does not answer, or has no topic {topic}; a worker creates it") from None
        except KafkaError as e:
            raise self._unavailable(e) from None
        if not known:
            raise self._unavailable(f"it has no topic {topic}; a worker creates it")
        return len(known)

    def send(self, topic: str, event: OutEvent, key: str | None = None) -> bool:
        """Send one event as a message of its own; return False where it was refused as too large."""
        raw = encode(event)
        if self._too_large(topic, raw, event.source):
            return False
        where = key if key is not None else event.partitionkey or event.subject
        self._put(topic, self.partition(topic, where), where.encode(), raw, CONTENT_TYPE_SINGLE)
        return True

    def add(self, topic: str, key: str, raw: bytes, source: str = "") -> bool:
        """Add an encoded event to its partition's batch; return False where it was refused as too large."""
        if self._too_large(topic, raw, source):
            return False
        place = (topic, self.partition(topic, key))
        waiting = self._waiting.setdefault(place, [])
        size = self._sizes.get(place, 0) + len(raw) + 1
        if waiting and size > BATCH_BYTES:
            self._send_batch(place)
            waiting = self._waiting.setdefault(place, [])
            size = len(raw) + 1
        waiting.append(raw)
        self._sizes[place] = size
        if len(waiting) >= BATCH_EVENTS:
            self._send_batch(place)
        return True

    def send_batch(self, topic: str, key: str, events: Iterable[bytes]) -> None:
        """Send encoded events of one key as one CloudEvents batch (more, where they are too many bytes)."""
        place = (topic, self.partition(topic, key))
        if self._waiting.get(place):
            self._send_batch(place)
        for raw in events:
            self.add(topic, key, raw)
        if self._waiting.get(place):
            self._send_batch(place)

    def _send_batch(self, place: tuple[str, int]) -> None:
        events = self._waiting.pop(place)
        self._sizes.pop(place, None)
        self._put(place[0], place[1], None, b"[" + b",".join(events) + b"]", CONTENT_TYPE_BATCH)

    def _put(self, topic: str, partition: int, key: bytes | None, value: bytes, content_type: str) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise self._unavailable(failure)
        try:
            future = self._producer.send(
                topic, value, key=key, partition=partition, headers=[("content-type", content_type.encode())]
            )
        except KafkaError as e:
            raise self._unavailable(e) from None
        future.add_errback(self._failed)

    def _failed(self, why: BaseException) -> None:
        self._failure = why

    def _too_large(self, topic: str, raw: bytes, source: str) -> bool:
        """Refuse an event that no message holds: its dead letter keeps source, size, hash and the first kilobyte."""
        if len(raw) <= MAX_MESSAGE_BYTES:
            return False
        self.refused += 1
        self.bury(
            topic,
            "oversize",
            f"the event has {len(raw)} bytes, at most {MAX_MESSAGE_BYTES} are taken",
            raw,
            source=source,
        )
        return True

    def bury(self, topic: str, reason: str, detail: str, raw: bytes, **more: object) -> None:
        """Write a dead letter for what could not be sent as an event."""
        digest = sha256(raw).hexdigest()
        letter = {
            "reason": reason, "detail": detail, "topic": topic, "time": datetime.now(UTC).isoformat(),
            "sha256": digest, "size": len(raw), "event": raw[:_KEPT].decode(errors="replace"), **more,
        }  # fmt: skip
        # where it stood makes equal rows two letters, and the same row sent again the same one
        where = more.get("row", more.get("offset", ""))
        key = f"edge|{reason}|{digest}|{where}".encode()
        try:
            self._producer.send(DEAD_LETTERS, json.dumps(letter).encode(), key=key).add_errback(self._failed)
        except KafkaError as e:
            raise self._unavailable(e) from None

    def keep(self, cursor: str, value: dict[str, Any] | None) -> None:
        """Write a cursor (see ``connectors.cursors``), None to end it; call it once what lies before it is flushed."""
        written = None if value is None else json.dumps(value).encode()
        try:
            sent = self._producer.send(CURSORS, written, key=cursor.encode())
        except KafkaError as e:
            raise self._unavailable(e) from None
        sent.add_errback(self._failed)

    def flush(self) -> None:
        """Send what waits, and return when all of it is stored.

        Raises:
            ServiceUnavailable: something was not; what was sent since the last flush must be sent again.
        """
        for place in list(self._waiting):
            self._send_batch(place)
        try:
            self._producer.flush(timeout=self._timeout_s)
        except KafkaError as e:
            raise self._unavailable(e) from None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise self._unavailable(failure)

    def close(self) -> None:
        """Release the connection; what was not flushed may be lost."""
        self._producer.close(timeout=10)
