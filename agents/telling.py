"""What rollup tells alerting, into the one partition that alerting hears (``pipeline.alerts.teller``)."""

from __future__ import annotations

import time
from collections.abc import Iterable

from agents.context import Context
from agents.engines import Rollup
from agents.producing import kafka_producer, produce
from pipeline.alerts import inputs
from pipeline.alerts.teller import Teller
from pipeline.engine.telling import RollupOutput
from pipeline.topics import ALERT_INPUTS

#: The clock of a partition of partials is told so often at most, seconds.
_CLOCK_EVERY_S = 1.0


class AlertTeller:
    """Tells what is news, once it is written."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._teller = Teller(ctx.plan.catalogue)
        #: when (monotonic) the clock of a CSF was told
        self._clock_at: dict[str, float] = {}

    def forget(self) -> None:
        """Forget what was told: partitions change hands, and others told something meanwhile."""
        self._teller.forget()
        self._clock_at.clear()

    async def tell(self, out: RollupOutput, clock: float) -> None:
        """Tell of values and statuses of now that are written and changed."""
        await self._send(self._teller.news(out.values, out.statuses, clock, time.time()))

    async def pass_time(self, engine: Rollup) -> None:
        """Tell that everything up to the engine's clock has been told, now and then."""
        if not self._teller.listens:
            return
        csfs, clock, now = engine.csfs, engine.clock, time.monotonic()
        due = self._teller.behind(csfs, clock)
        if not due or any(now - self._clock_at[c] < _CLOCK_EVERY_S for c in due if c in self._clock_at):
            return
        self._clock_at |= dict.fromkeys(due, now)
        await self._send(self._teller.time(csfs, clock, engine.maintenance()))

    async def _send(self, messages: Iterable[inputs.AnyInput]) -> None:
        records: list[tuple[bytes, bytes | None]] = [(b"told", inputs.encode(message)) for message in messages]
        await produce(kafka_producer(self._ctx.app), ALERT_INPUTS, 0, records)
