"""The ingest agent: events in, partials and dead letters out, state flushed, acknowledged."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from typing import Any
from zlib import crc32

from agents.archive import Archive
from agents.context import Context
from agents.engines import Ingest
from agents.letters import letter_of
from agents.producing import kafka_producer, produce
from agents.tables import restore
from agents.taking import GatheringAgent, Held, Unflushed
from agents.transport import Batch
from pipeline.catalogue.model import CSF_IDS
from pipeline.errors import SettlingFailed
from pipeline.topics import DEAD_LETTERS, PARTIALS

_log = logging.getLogger(__name__)

#: An event folded this long after its arrival is a sign of a backlog, ms.
_BACKLOG_MS = 5_000


def partials_partition(csf: str, partitions: int) -> int:
    """Return the partition of ``csf.partials`` that rolls up a CSF."""
    number = CSF_IDS.index(csf) if csf in CSF_IDS else crc32(csf.encode())
    return number % partitions


class IngestAgent(GatheringAgent):
    """Drives one engine a source partition."""

    name = "ingest"

    def __init__(self, ctx: Context, archive: Archive | None) -> None:
        super().__init__(ctx)
        self._archive = archive
        self._engines: Held[tuple[str, int], Ingest] = Held(ctx.table)

    async def _batch(self, event: Any, batch: Batch, epoch: int) -> None:
        """Fold one batch and archive it."""
        ctx = self._ctx
        topic, partition = batch.topic, batch.partition
        engine = self.engine(topic, partition)
        await self._follows(batch, engine.position)
        started = time.perf_counter()
        ctx.table.folding(topic, partition)
        letters = self._fold(engine, batch)
        self._folded(event, epoch, lambda: engine.changed_cells, time.perf_counter() - started, letters)
        ctx.metrics.folded.labels(topic).inc(len(batch.records))
        if time.time() * 1000 - batch.records[-1][1] > _BACKLOG_MS:
            ctx.waited_at = time.monotonic()
        await self._keep(batch)

    async def _flush(self, waiting: Unflushed) -> None:
        """Lead what was folded on: dead letters, flush, partials, acknowledge."""
        ctx = self._ctx
        topic, partition = waiting.at
        engine = self.engine(topic, partition)
        started = time.perf_counter()
        out = engine.take()
        ctx.metrics.fold_seconds.labels("ingest").observe(waiting.folding_s + time.perf_counter() - started)
        by_partition: dict[int, list[tuple[bytes, bytes | None]]] = defaultdict(list)
        for csf, key, value in out.partials:
            by_partition[partials_partition(csf, ctx.config.partitions)].append((key, value))
        producer = kafka_producer(ctx.app)
        await produce(producer, DEAD_LETTERS, 0, [*out.dead_letters, *waiting.letters])
        if out.chunks or engine.position > ctx.table.position(topic, partition):
            await ctx.table.flush(topic, partition, out.chunks, engine.position, waiting.epoch)
        else:
            ctx.table.nothing_to_flush(topic, partition)
        # rollup hears only of what is durable; the state's outbox says it again if this is where we die
        await asyncio.gather(
            *(produce(producer, PARTIALS, number, records) for number, records in by_partition.items())
        )
        ctx.metrics.keep_exits(out.exits)
        ctx.acknowledge(waiting.event)

    def engine(self, topic: str, partition: int) -> Ingest:
        """Return the partition's engine: the one there is, or one with the state that the last recovery found."""

        def make() -> Ingest:
            engine = self._ctx.config.engines.ingest(self._ctx.plan, topic, partition)
            restore(engine, topic, partition, self._ctx.table.recovered(topic, partition))
            return engine

        return self._engines.get((topic, partition), partition, make)

    def _fold(self, engine: Ingest, batch: Batch) -> list[tuple[bytes, bytes | None]]:
        """Fold a batch; events that the engine fails on become dead letters, which are returned."""
        try:
            engine.fold(batch.records)
            return []
        except SettlingFailed:
            raise  # skipping messages would not help
        except Exception:
            _log.exception("%s/%s: a batch failed, its messages are folded one by one", batch.topic, batch.partition)
        letters: list[tuple[bytes, bytes | None]] = []
        for record in batch.records:
            if record[0] <= engine.position:
                continue
            try:
                engine.fold([record])
            except SettlingFailed:
                raise
            except Exception as e:
                if engine.position < record[0]:
                    engine.position = record[0]
                    letters.append(letter_of(batch, record, e))
                else:
                    raise  # not the message, but what follows it: skipping would not help
        return letters

    async def _keep(self, batch: Batch) -> None:
        """Append the batch to the archive; a failure is counted and shown, and stops nothing."""
        if self._archive is None:
            return
        try:
            await asyncio.to_thread(self._archive.append, batch.topic, batch.partition, batch.records)
        except Exception as e:
            self._failed(e)
        else:
            self._ctx.problems.pop("archive", None)

    def _failed(self, why: Exception) -> None:
        self._ctx.metrics.archive_failures.inc()
        if "archive" not in self._ctx.problems:
            _log.error("the event archive cannot keep events: %s", why)
        self._ctx.problems["archive"] = f"the event archive cannot keep events: {why}"

    async def release(self) -> None:
        """Finish the archive's files: a rebalance begins, or the end."""
        if self._archive is not None:
            try:
                await asyncio.to_thread(self._archive.release)
            except Exception as e:
                self._failed(e)
