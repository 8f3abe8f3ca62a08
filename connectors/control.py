"""Control events that people and schedules write: closing a month."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.errors import ServiceUnavailable
from pipeline.events.envelope import OutEvent, encode
from pipeline.events.families import EVENT_TOPICS, MonthClosed, event_topic

SOURCE = "csf/closing"
_TIMEOUT_S = 60.0


def _event(month: str, zone: str, barriers: int, offsets: dict[str, int] | None) -> bytes:
    name = f"month-closed-{month}"
    data = MonthClosed(month=month, zone=zone, id=name, offsets=offsets, barriers=barriers)
    suffix = "" if offsets is None else "-record"
    return encode(
        OutEvent(id=name + suffix, source=SOURCE, type="month.closed", time=datetime.now(UTC), subject="", data=data)
    )


def close_month(bootstrap: str, month: str, zone: str, settings: dict[str, Any] | None = None) -> dict[str, int]:
    """Write a month's barrier to every partition of every event topic, then the record with their offsets.

    Closing a closed month again changes nothing.

    Args:
        bootstrap: brokers, ``host:port,...``.
        month: ``2026-10``.
        zone: the organisation's time zone, for the record.
        settings: further keyword arguments for kafka-python (security).

    Returns:
        The offset of the barrier in each ``topic/partition``: revision 1 is what lies below.

    Raises:
        ServiceUnavailable: the brokers do not answer, or a topic does not exist.
    """
    key = f"month|{month}".encode()
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", **(settings or {}))
        try:
            places = [(t, p) for t in EVENT_TOPICS for p in sorted(producer.partitions_for(t) or ())]
            barrier = _event(month, zone, len(places), None)
            sent = [(t, p, producer.send(t, barrier, key=key, partition=p)) for t, p in places]
            producer.flush(_TIMEOUT_S)
            offsets = {f"{t}/{p}": int(future.get(_TIMEOUT_S).offset) for t, p, future in sent}
            record = _event(month, zone, len(places), offsets)
            producer.send(event_topic("control"), record, key=key, partition=0).get(_TIMEOUT_S)
            return offsets
        finally:
            producer.close(timeout=_TIMEOUT_S)
    except KafkaError as e:
        raise ServiceUnavailable(f"Kafka at {bootstrap} does not take the closing of {month}: {e}") from None
