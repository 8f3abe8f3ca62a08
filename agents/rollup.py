"""The rollup agent: partials in, KPI values into the store, acknowledged only then."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agents.backoff import backoff_s
from agents.context import INGEST, ROLLUP, Context
from agents.engines import Rollup
from agents.letters import letter_of
from agents.producing import kafka_producer, produce
from agents.storing import StoreThread
from agents.tables import StaleAssignment, restore
from agents.taking import GatheringAgent, Held, Unflushed
from agents.telling import AlertTeller
from agents.transport import Batch
from pipeline.engine.telling import RollupOutput
from pipeline.errors import StoreRejected, StoreUnavailable
from pipeline.stores.port import KpiStore
from pipeline.topics import DEAD_LETTERS, KPIS, PARTIALS
from pipeline.values import KpiValue

_log = logging.getLogger(__name__)

_RETRY_FIRST_S, _RETRY_MOST_S = 1.0, 30.0
#: Rounds in which what events changed is told begin at least this far apart, so that each is told once for many.
_ROUND_S = 0.4
#: Pauses after work on what is not urgent, in multiples of it: while events come, and while many wait.
_CALM, _BACKLOG_CALM = 2.0, 9.0
#: Work on what is not urgent between two looks at what is, and the longest pause, seconds.
_PART_S, _PAUSE_MOST_S = 0.1, 8.0
#: A look at the clock in a pause.
_GLANCE_S = 0.1
#: Values of one store write.
_WRITE_VALUES = 1_000
_encode = msgspec.json.Encoder().encode


@dataclass
class _Partition:
    """One partition of partials: its engine, and what is folded and flushed but not yet acknowledged.

    Attributes:
        newest: the newest message, and the mark that covers it and all before it.
        waiting: an older one, whose values are being worked out.
    """

    number: int
    engine: Rollup
    #: what is worked out and not yet written
    out: RollupOutput = field(default_factory=RollupOutput)
    newest: tuple[Any, int] | None = None
    waiting: tuple[Any, int] | None = None

    def take_told(self) -> Any:
        """Return the newest message all of whose values are told, None where there is none."""
        told = None
        while True:
            if self.waiting is None:
                self.waiting, self.newest = self.newest, None
            if self.waiting is None or not self.engine.settled(self.waiting[1]):
                return told
            told, self.waiting = self.waiting[0], None


class RollupAgent(GatheringAgent):
    """Drives one engine a partition of ``csf.partials``, and the writer to the store."""

    name = "rollup"

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._partitions: Held[int, _Partition] = Held(ctx.table)
        self._wake = asyncio.Event()
        self._ingested = 0
        self._away = False
        #: the store takes values: while it is away no messages are taken
        self._open = asyncio.Event()
        self._open.set()
        self._writing = False
        self._rejections: set[str] = set()
        self._told: dict[bytes, bytes] = {}
        self._alerts = AlertTeller(ctx)
        self._store = StoreThread(ctx.config.store_factory, "csf-store")
        ctx.pending = self._pending

    def _pending(self) -> int:
        return sum(p.engine.pending for p in self._partitions.all()) + int(self._writing)

    # --- taking messages ---

    async def _take(self, event: Any) -> None:
        """Take none while the store is down, so that memory stays bounded."""
        await self._open.wait()
        await super()._take(event)

    async def _batch(self, event: Any, batch: Batch, epoch: int) -> None:
        ctx, number = self._ctx, batch.partition
        partition = self.partition(number)
        engine = partition.engine
        await self._follows(batch, engine.position)
        started = time.perf_counter()
        ctx.table.folding(PARTIALS, number)
        letters = self._fold(engine, batch)
        self._folded(event, epoch, lambda: engine.changed_cells, time.perf_counter() - started, letters)
        ctx.metrics.folded.labels(PARTIALS).inc(len(batch.records))

    async def _flush(self, waiting: Unflushed) -> None:
        ctx, (_, number) = self._ctx, waiting.at
        partition = self.partition(number)
        engine = partition.engine
        started = time.perf_counter()
        chunks = engine.take_chunks()
        ctx.metrics.fold_seconds.labels("rollup").observe(waiting.folding_s + time.perf_counter() - started)
        if waiting.letters:
            await produce(kafka_producer(ctx.app), DEAD_LETTERS, 0, waiting.letters)
        await ctx.table.flush(PARTIALS, number, chunks, engine.position, waiting.epoch)
        partition.newest = (waiting.event, engine.mark())
        self._wake.set()

    def _fold(self, engine: Rollup, batch: Batch) -> list[tuple[bytes, bytes | None]]:
        """Fold a batch; messages that the engine fails on become dead letters, which are returned."""
        try:
            engine.fold(batch.records)
            return []
        except Exception:
            _log.exception("%s/%s: a batch failed, its messages are folded one by one", PARTIALS, batch.partition)
        letters: list[tuple[bytes, bytes | None]] = []
        for record in batch.records:
            try:
                # folding again what was folded before the failure changes nothing: partials are absolute
                engine.fold([record])
            except Exception as e:
                engine.position = max(engine.position, record[0])
                letters.append(letter_of(batch, record, e))
        return letters

    def partition(self, number: int) -> _Partition:
        """Return a partition's engine, with the state that the last recovery found."""

        def make() -> _Partition:
            engine = self._ctx.config.engines.rollup(self._ctx.plan, number)
            restore(engine, PARTIALS, number, self._ctx.table.recovered(PARTIALS, number))
            return _Partition(number, engine)

        self._renew()
        return self._partitions.get(number, number, make)

    def _renew(self) -> None:
        """Forget engines of partitions that were given away, and messages of an assignment that is over."""
        if self._partitions.renew():
            for partition in self._partitions.all():
                partition.newest = partition.waiting = None
            self._alerts.forget()
            self._told.clear()  # another worker may have said other values since

    # --- writing values ---

    async def write_values(self) -> None:
        """Evaluate and write for ever, in rounds: what events changed, then for a while what can wait.

        Between rounds messages are folded, so that each value is worked out once for all that came meanwhile.
        """
        while True:
            await self._ctx.table.ready.wait()
            self._wake.clear()
            started = time.monotonic()
            self._renew()
            for tp in self._ctx.partitions():
                if tp.topic == PARTIALS:
                    self.partition(tp.partition)
            partitions = self._partitions.all()
            for partition in partitions:
                await self._turn(partition, urgent_only=True, seconds=_PAUSE_MOST_S)
            if self._ctx.backlog:  # what is told now is old, and soon told anew
                await self._pause(min(_PAUSE_MOST_S, (time.monotonic() - started) * _BACKLOG_CALM))
            busy = False
            for partition in partitions:
                busy |= await self._turn(partition, urgent_only=False, seconds=_PART_S)
            await self._rest(started, busy=busy)

    async def _rest(self, started: float, *, busy: bool) -> None:
        """Leave the event loop to ingest for a while, longer the more there is to do for it."""
        if not busy:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), 1.0)
        before, self._ingested = self._ingested, self._ctx.done[INGEST]
        spent = time.monotonic() - started
        if self._ctx.backlog:
            await self._pause(min(_PAUSE_MOST_S, spent * _BACKLOG_CALM))
        elif self._wake.is_set() or before != self._ingested:
            await asyncio.sleep(max(0.0, started + _ROUND_S - time.monotonic()))

    async def _pause(self, most_s: float) -> None:
        """Wait while events wait, at most so long."""
        end = time.monotonic() + most_s
        while self._ctx.backlog and (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(_GLANCE_S, left))

    async def _turn(self, partition: _Partition, *, urgent_only: bool = False, seconds: float = _PART_S) -> bool:
        """Evaluate and write for so long, acknowledge what is told. Return whether something is left to be evaluated."""
        ctx, epoch = self._ctx, self._ctx.table.epoch
        engine = partition.engine
        end = time.monotonic() + seconds
        due = bool(engine.pending or partition.out.values or partition.out.exits or partition.out.happenings)
        self._writing = due
        try:
            while due:
                found = await self._slice(partition, urgent_only=urgent_only)
                for name in ("values", "statuses", "revisions", "exits", "happenings"):
                    getattr(partition.out, name).extend(getattr(found, name))
                if epoch != ctx.table.epoch:
                    return False
                # less than asked for: the rest is not urgent, or waits until its history has stopped changing
                due = len(found.values) >= ctx.config.evaluate_limit and time.monotonic() < end
                if len(partition.out.values) >= _WRITE_VALUES or not due:
                    out = partition.out
                    await self._write(out, epoch)
                    partition.out = RollupOutput()
                    await self._alerts.tell(out, engine.clock)  # first: people may wait for it
                    await self._tell(out.values)
                    ctx.done[ROLLUP] += 1
        except StaleAssignment as e:
            # written if nobody else had the partition in between; else worked out again by its next owner
            _log.info("values wait: %s", e)
            self._open.set()
            return False
        finally:
            self._writing = False
        if epoch == ctx.table.epoch and not partition.out.values:
            await self._alerts.pass_time(engine)
        if epoch == ctx.table.epoch and (told := partition.take_told()) is not None:
            ctx.acknowledge(told)
        return engine.pending > 0

    async def _slice(self, partition: _Partition, *, urgent_only: bool) -> RollupOutput:
        """Evaluate a little of what is flushed, then give the event loop to others; to ingest for longer, if it is at work."""
        engine = partition.engine
        async with self._lock:  # messages are folded and flushed, or values are worked out
            await self._flush_of((PARTIALS, partition.number))
            started = time.monotonic()
            found = engine.evaluate(self._ctx.config.evaluate_limit, urgent_only=urgent_only)
            took = time.monotonic() - started
        at_work = self._ctx.backlog or self._ctx.done[INGEST] != self._ingested
        await asyncio.sleep(took * _CALM if at_work and not urgent_only else 0)
        return found

    async def _write(self, out: RollupOutput, epoch: int) -> None:
        """Write one slice, again and again until the store takes or refuses it.

        Raises:
            StaleAssignment: the partition may be another worker's, whose values are newer.
        """
        ctx, attempt = self._ctx, 0
        while True:
            started = time.perf_counter()
            try:
                await self._store_does(lambda store: self._put(store, out, epoch))
            except StoreUnavailable as e:
                attempt += 1
                ctx.metrics.store_retries.inc()
                if not self._away:
                    _log.warning("%s; values are kept and written when it is back", e)
                self._away = True
                self._open.clear()
                ctx.problems["store"] = str(e)
                pause = backoff_s(attempt, first=_RETRY_FIRST_S, most=_RETRY_MOST_S, asked=e.retry_after_s)
                await asyncio.sleep(pause)
                continue
            except StoreRejected as e:
                self._rejected(e, len(out.values))
            else:
                ctx.metrics.written.inc(len(out.values))
                ctx.metrics.write_seconds.observe(time.perf_counter() - started)
                ctx.metrics.keep_values(out.values)
            ctx.problems.pop("store", None)
            self._away = False
            self._open.set()
            return

    def _rejected(self, why: StoreRejected, values: int) -> None:
        """Count what the store refuses, log each reason once, turn the worker's health red."""
        self._ctx.metrics.rejected.inc(values)
        reason = str(why)
        if reason not in self._rejections:
            if len(self._rejections) < 100:
                self._rejections.add(reason)
            _log.error("the KPI store refuses values: %s", reason)
        self._ctx.problems["store refuses values"] = reason
        self._ctx.red.add("store refuses values")

    def _put(self, store: KpiStore, out: RollupOutput, epoch: int) -> None:
        self._still_ours(epoch)
        if out.values:
            store.write_values(out.values)
        if out.statuses:
            store.write_statuses(out.statuses)
        if out.revisions:
            store.write_revisions(out.revisions)
        if out.exits:
            store.write_exits(out.exits)
        if out.happenings:
            store.write_happenings(out.happenings)

    async def _store_does(self, work: Callable[[KpiStore], None]) -> None:
        self._ctx.store_busy = True
        try:
            await self._store.do(work)
        finally:
            self._ctx.store_busy = False
            self._ctx.store_calls += 1

    async def _tell(self, values: list[KpiValue]) -> None:
        """Say values of now that changed to ``csf.kpis``: live ones, and those of running periods."""
        records: list[tuple[bytes, bytes | None]] = []
        now = time.time()
        for value in values:
            if value.state != "live" and not value.start <= now < value.end:
                continue
            key = f"{value.kpi}|{value.scope}|{value.period}".encode()
            said = json.dumps([value.value, value.status, value.state, value.target, value.coverage]).encode()
            if self._told.get(key) != said:
                self._told[key] = said
                records.append((key, _encode(value)))
        await produce(kafka_producer(self._ctx.app), KPIS, 0, records)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()
