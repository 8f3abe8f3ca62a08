"""The ticker: time passes in every partition, though nothing else happens there."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from agents.context import Context
from agents.producing import kafka_producer, produce
from pipeline.events.envelope import OutEvent, encode
from pipeline.events.families import EVENT_TOPICS, ClockTicked

SOURCE = "csf/ticker"


def tick(partition: int, at: float) -> bytes:
    """Return a ``clock.ticked`` message of a partition; ``at`` is epoch seconds."""
    now = datetime.fromtimestamp(at, UTC)
    return encode(
        OutEvent(
            id=f"tick-{partition}-{int(at * 1000)}",
            source=SOURCE,
            type="clock.ticked",
            time=now,
            subject="",
            data=ClockTicked(partition=partition, time=now),
        )
    )


async def run(ctx: Context) -> None:
    """Write a tick into every owned event partition, for ever."""
    while True:
        await ctx.table.ready.wait()
        now = time.time()
        owned = [tp for tp in ctx.partitions() if tp.topic in EVENT_TOPICS]
        producer = kafka_producer(ctx.app)
        await asyncio.gather(
            *(produce(producer, tp.topic, tp.partition, [(b"tick", tick(tp.partition, now))]) for tp in owned)
        )
        await asyncio.sleep(ctx.config.tick_s)
