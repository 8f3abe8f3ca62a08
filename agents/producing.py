"""Producing many records at once: batches made here, so that a flush costs a few futures, not one a record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from pipeline.errors import ServiceUnavailable


def kafka_producer(app: Any) -> AIOKafkaProducer:
    """Return the producer beneath Faust's: its batches are the natural back-pressure."""
    return app.producer._ensure_producer()


async def produce(
    producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[tuple[bytes, bytes | None]]
) -> list[tuple[int, int]]:
    """Send records to one partition in order and wait until all are acknowledged.

    Returns:
        (first offset, number of records) of every batch sent; offset -1 where the broker did not say.

    Raises:
        ServiceUnavailable: a batch was not acknowledged in the producer's request timeout.
    """
    futures: list[tuple[asyncio.Future[Any], int]] = []
    batch = producer.create_batch()
    try:
        for key, value in records:
            if batch.append(timestamp=None, key=key, value=value) is None:
                futures.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
                batch = producer.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        if batch.record_count():
            futures.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
        acknowledged = await asyncio.gather(*(future for future, _ in futures))
    except KafkaError as e:
        raise ServiceUnavailable(f"Kafka did not take records for {topic}, partition {partition}: {e!r}") from None
    return [(done.offset, count) for done, (_, count) in zip(acknowledged, futures, strict=True)]
