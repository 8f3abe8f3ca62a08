"""Cursors: how far a source was read, kept in the compacted topic ``csf.cursors``."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from pipeline.errors import ServiceUnavailable
from pipeline.topics import CURSORS

_log = logging.getLogger(__name__)
_decode = msgspec.json.Decoder(dict[str, Any]).decode
#: Brokers that do not answer at all are told of after this.
_PATIENCE = {"bootstrap_timeout_ms": 10_000}


def read_cursors(bootstrap: str, settings: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Return every cursor: name → what was kept.

    Raises:
        ServiceUnavailable: the brokers do not answer.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, **{**_PATIENCE, **(settings or {})}
        )
        try:
            places = [TopicPartition(CURSORS, p) for p in consumer.partitions_for_topic(CURSORS) or ()]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            consumer.seek_to_beginning(*places)
            while any(consumer.position(place) < ends[place] for place in places):
                for messages in consumer.poll(1000).values():
                    for message in messages:
                        if message.key and message.value:
                            _take(found, message.key, message.value)
                        elif message.key:
                            found.pop(message.key.decode(errors="replace"), None)
        finally:
            consumer.close()
    except KafkaError as e:
        raise ServiceUnavailable(f"cursors cannot be read from Kafka at {bootstrap}: {e}") from None
    return found


def _take(found: dict[str, dict[str, Any]], key: bytes, value: bytes) -> None:
    """Add a cursor; one that nobody can read is told and passed over: what it kept is sent again, with the same ids."""
    try:
        found[key.decode()] = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        _log.warning("the cursor %r in %s cannot be read (%s) and counts as none", key, CURSORS, e)


def write_cursor(bootstrap: str, name: str, value: dict[str, Any], settings: dict[str, Any] | None = None) -> None:
    """Keep a cursor; call it only after the brokers have acknowledged what lies before it.

    Raises:
        ServiceUnavailable: the brokers do not answer.
    """
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", **{**_PATIENCE, **(settings or {})})
        try:
            producer.send(CURSORS, msgspec.json.encode(value), key=name.encode()).get(60)
        finally:
            producer.close(timeout=10)
    except KafkaError as e:
        raise ServiceUnavailable(f"the cursor {name} cannot be kept in Kafka at {bootstrap}: {e}") from None
