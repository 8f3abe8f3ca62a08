"""The alerting agent: what rollup tells in, changes of alerts and notifications out, each durable before it is told.

A decision is flushed with the state before anybody hears of it, and kept there until it is done: a worker that dies in
between tells it again under the same id, one that dies after does not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any
from zlib import crc32

import msgspec

from agents.context import Context
from agents.notifying import Channels, Outcome
from agents.producing import kafka_producer, produce
from agents.storing import StoreThread
from agents.tables import StaleAssignment, restore
from agents.taking import BatchAgent, Held
from agents.transport import Batch
from pipeline.alerts.engine import SLOTS, AlertEngine
from pipeline.alerts.outbox import Delivery
from pipeline.errors import CsfError, StoreRejected, StoreUnavailable
from pipeline.stores.port import KpiStore
from pipeline.topics import ALERT_INPUTS, ALERTS
from pipeline.values import AlertNote

_log = logging.getLogger(__name__)

#: Everything alerting hears lies in this partition.
_HOME = 0
#: Decisions are taken so often at least, seconds.
_ROUND_S = 0.25
#: What is being sent has so long to end before the partition is given away.
_FINISH_S = 3.0
_SHOW_EVERY_S = 1.0
#: What is written to the store is done beside the rounds under this name, which no channel can have.
_STORE = ""
_encode = msgspec.json.Encoder().encode


class AlertAgent(BatchAgent):
    """Drives the engine of partition 0 of ``csf.alert-inputs``; the others stay empty."""

    name = "alerting"

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._engines: Held[int, AlertEngine] = Held(ctx.table)
        #: held while the engine or its durable state changes
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._channels = Channels(ctx.plan.catalogue.channels.values())
        self._store = StoreThread(ctx.config.store_factory, "csf-alerts")
        self._sending: dict[str, asyncio.Task[None]] = {}
        #: the epoch in which nothing new is sent any more
        self._finished = -1
        self._shown_at = 0.0
        self._pause_s = _ROUND_S
        #: notes of channels that take nothing, as written last
        self._down: dict[str, AlertNote] = {}

    # --- hearing ---

    async def _take(self, event: Any) -> None:
        async with self._lock:
            await super()._take(event)
        self._wake.set()

    async def _batch(self, event: Any, batch: Batch, epoch: int) -> None:
        ctx, number = self._ctx, batch.partition
        engine = self.engine(number)
        await self._follows(batch, engine.position)
        ctx.table.folding(ALERT_INPUTS, number)
        started = time.perf_counter()
        if bad := engine.fold(batch.records):
            ctx.metrics.alert_inputs_unread.inc(bad)
            _log.warning("%s: %s messages cannot be read and were passed over", ALERT_INPUTS, bad)
        engine.advance(time.time())
        ctx.metrics.fold_seconds.labels("alerting").observe(time.perf_counter() - started)
        await ctx.table.flush(ALERT_INPUTS, number, engine.take_chunks(), engine.position, epoch)
        ctx.metrics.folded.labels(ALERT_INPUTS).inc(len(batch.records))
        ctx.acknowledge(event)

    def engine(self, number: int) -> AlertEngine:
        """Return a partition's engine: the one there is, or one with the state that the last recovery found."""

        def make() -> AlertEngine:
            engine = AlertEngine(self._ctx.plan.catalogue)
            restore(engine, ALERT_INPUTS, number, self._ctx.table.recovered(ALERT_INPUTS, number))
            return engine

        return self._engines.get(number, number, make)

    # --- telling ---

    async def work(self) -> None:
        """Decide, write and notify for ever; done by the worker that owns partition 0."""
        try:
            while True:
                await self._ctx.table.ready.wait()
                if any(tp.topic == ALERT_INPUTS and tp.partition == _HOME for tp in self._ctx.partitions()):
                    try:
                        await self._round()
                    except StaleAssignment:
                        _log.info("alerting was given away; its next owner goes on")
                else:
                    self._ctx.metrics.forget_alerts()
                self._wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._pause_s)
        finally:
            for task in self._sending.values():
                task.cancel()

    async def _round(self) -> None:
        """Decide, then let what was decided be sent and written at the same time: nobody waits for the store to be told."""
        epoch = self._ctx.table.epoch
        async with self._lock:
            engine = self.engine(_HOME)
            self._ctx.table.folding(ALERT_INPUTS, _HOME)
            engine.advance(time.time())
            await self._flush(engine, epoch)
        self._pause_s = min(_ROUND_S, engine.desk.next_due_s(time.time()) or _ROUND_S)
        if self._finished != epoch:
            for channel in {delivery.channel for delivery in engine.deliveries.values()}:
                self._begin(channel, self._send, channel)
            self._begin(_STORE, self._write, engine, epoch)
        if time.monotonic() - self._shown_at > _SHOW_EVERY_S:
            self._shown_at = time.monotonic()
            self._ctx.metrics.keep_alerts(engine, time.time())
            self._ctx.metrics.keep_channels(
                {name: bool(self._channels.trouble(name)) for name in self._ctx.plan.catalogue.channels}
            )

    def _begin(self, name: str, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Let something be done beside the rounds, unless it is still being done."""
        task = self._sending.get(name)
        if task is None or task.done():
            self._sending[name] = asyncio.create_task(
                self._guarded(work(*arguments)), name=f"alerting: {name or 'store'}"
            )

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except StaleAssignment:
            _log.info("alerting was given away; its next owner goes on")
        except CsfError as e:
            self._ctx.fatal(str(e))
        except Exception as e:
            _log.exception("alerting failed")
            self._ctx.fatal(f"the worker's alerting failed: {e!r}")

    async def finish(self) -> None:
        """Send nothing new, and wait a little for what is being sent: the partition is about to be given away."""
        self._finished = self._ctx.table.epoch
        if sending := [task for task in self._sending.values() if not task.done()]:
            await asyncio.wait(sending, timeout=_FINISH_S)

    async def _flush(self, engine: AlertEngine, epoch: int) -> None:
        chunks = engine.take_chunks()
        if chunks:
            await self._ctx.table.flush(ALERT_INPUTS, _HOME, chunks, engine.position, epoch)
        else:
            self._ctx.table.nothing_to_flush(ALERT_INPUTS, _HOME)

    async def _settle(self, engine: AlertEngine, epoch: int, note: Callable[[], None]) -> None:
        """Make durable that something is done; raises StaleAssignment where it is another worker's by now."""
        async with self._lock:
            self._ctx.table.folding(ALERT_INPUTS, _HOME)
            note()
            await self._flush(engine, epoch)

    async def _write(self, engine: AlertEngine, epoch: int) -> None:
        """Write changes and notes to the store and say them; what it does not take now is tried again next round."""
        changes, notes = dict(engine.changes), dict(engine.notes)
        down = self._news_of_channels(engine)
        if not (changes or notes or down):
            return
        self._still_ours(epoch)
        kept = [*notes.values(), *down.values()]

        def put(store: KpiStore) -> None:
            store.write_alerts(list(changes.values()))
            store.write_alert_notes(kept)

        try:
            await self._store.do(put)
        except StoreUnavailable as e:
            self._ctx.problems["alerts"] = f"changes of alerts wait for the store: {e}"
            return
        except StoreRejected as e:
            self._ctx.problems["alerts"] = f"the store refuses changes of alerts: {e}"
            _log.error("the KPI store refuses changes of alerts: %s", e)
        else:
            self._ctx.problems.pop("alerts", None)
        self._down |= down
        records = [(f"{c.rule}|{c.scope}".encode(), _encode({"type": "change", "change": c})) for c in changes.values()]
        records += [
            (f"{n.kind}|{n.channel}|{n.ref}|{n.at}|{n.slot}".encode(), _encode({"type": n.kind, "note": n}))
            for n in kept
        ]
        await produce(kafka_producer(self._ctx.app), ALERTS, 0, records)
        if changes or notes:
            await self._settle(engine, epoch, lambda: engine.settle(changes=changes, notes=notes))

    def _news_of_channels(self, engine: AlertEngine) -> dict[str, AlertNote]:
        """Return a note of each channel that takes nothing, where it says more than the last one; forget those that do.

        It keeps the time at which it began, so that a later one takes its place.
        """
        waiting = Counter(delivery.channel for delivery in engine.deliveries.values())
        found = {}
        for channel in self._ctx.plan.catalogue.channels:
            since, why = self._channels.down_since(channel), self._channels.trouble(channel)
            if since is None:
                self._down.pop(channel, None)
                continue
            note = AlertNote(
                at=int(since), slot=crc32(channel.encode()) % SLOTS, kind="down", channel=channel, why=why,
                about=f"{waiting[channel]} waiting",
            )  # fmt: skip
            if note != self._down.get(channel):
                found[channel] = note
        return found

    async def _send(self, channel: str) -> None:
        """Deliver what waits for a channel, in order, one after the other."""
        epoch = self._ctx.table.epoch
        engine = self.engine(_HOME)

        def next_one() -> Delivery | None:
            if self._finished == epoch:
                return None
            self._still_ours(epoch)
            return engine.next_for(channel)

        async def done(delivery: Delivery, outcome: Outcome) -> None:
            ended = partial(engine.done, delivery.number, outcome.state, time.time(), outcome.why)
            await self._settle(engine, epoch, ended)
            self._ctx.metrics.notifications.labels(channel, outcome.state).inc()
            if outcome.state in {"failed", "expired"}:
                _log.error(
                    "channel %s: notification %s is %s: %s", channel, delivery.message.id, outcome.state, outcome.why
                )
            self._wake.set()

        try:
            await self._channels.empty(next_one, done, time.time)
        finally:
            self._show(channel)

    def _show(self, channel: str) -> None:
        """Show a channel that does not take notifications as a problem of the worker."""
        name, why = f"channel {channel}", self._channels.trouble(channel)
        if why:
            self._ctx.problems[name] = why
        else:
            self._ctx.problems.pop(name, None)

    async def close(self) -> None:
        """Close channels and store."""
        await self._channels.close()
        await self._store.close()
