"""Closing months by schedule: barriers into every event partition, once a month."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, date, datetime

from faust.types import TP

from agents.context import Context
from agents.producing import kafka_producer, produce
from agents.tables import StaleAssignment
from pipeline.events.envelope import OutEvent, encode
from pipeline.events.families import EVENT_TOPICS, MonthClosed, event_topic
from pipeline.time.due import months_after, newest_due

_log = logging.getLogger(__name__)

SOURCE = "csf/closing"
#: The name under which the state table keeps the last month closed.
_STATE = "csf.closing"
_CHUNK = b"month"
_LOOK_EVERY_S = 30.0


def barrier(month: str, zone: str, barriers: int, at: float) -> bytes:
    """Return the ``month.closed`` message of a month (YYYY-MM); ``barriers``: event partitions in all."""
    return encode(
        OutEvent(
            id=f"month-closed-{month}",
            source=SOURCE,
            type="month.closed",
            time=datetime.fromtimestamp(at, UTC),
            subject="",
            data=MonthClosed(month=month, zone=zone, id=f"month-closed-{month}", barriers=barriers),
        )
    )


async def run(ctx: Context) -> None:
    """Close what is due, for ever; done by the worker that owns partition 0 of the control topic.

    On the first start the months before count as closed: nothing was measured.
    """
    organisation = ctx.plan.catalogue.organisation
    keeper = TP(event_topic("control"), 0)
    since, last = -1, None
    while True:
        await ctx.table.ready.wait()
        if keeper in ctx.partitions():
            try:
                epoch = ctx.table.epoch
                if since != ctx.table.since(0):
                    since = ctx.table.since(0)
                    _, chunks = ctx.table.recovered(_STATE, 0)
                    last = next((date.fromisoformat(v.decode()) for k, v in chunks if k == _CHUNK), None)
                due = newest_due(organisation.zone, organisation.close_day, organisation.close_time, datetime.now(UTC))
                for month in [due] if last is None else months_after(last, due):
                    if last is not None:
                        await _close(ctx, month)
                    await ctx.table.flush(_STATE, 0, [(_CHUNK, month.isoformat().encode())], 0, epoch)
                    last = month
            except StaleAssignment:
                _log.info("the partition of the closing was given away; its next owner closes what is due")
        await asyncio.sleep(_LOOK_EVERY_S)


async def _close(ctx: Context, month: date) -> None:
    """Write the barriers of a month; writing them again changes nothing."""
    zone = ctx.plan.catalogue.organisation.zone
    name, partitions = f"{month:%Y-%m}", ctx.config.partitions
    message = barrier(name, zone, len(EVENT_TOPICS) * partitions, time.time())
    producer = kafka_producer(ctx.app)
    await asyncio.gather(
        *(produce(producer, t, p, [(b"month", message)]) for t in EVENT_TOPICS for p in range(partitions))
    )
    _log.info("month %s closed by schedule", name)
