"""A Faust transport that hands a partition's whole fetch to the stream as one message.

Faust's per-message path costs far more than decoding and folding an event does. Here the records of one fetch of
one partition, which ``agents.runs`` brings a record batch at a time, become one ``Batch``; the message's offset is that of its last record. Batches are acknowledged in
order, so the committable offset is simply the last acknowledged + 1: Faust's own bookkeeping of gaps takes every
offset inside a batch for a gap and crawls.

Importing this module registers the URL scheme ``csf://host:port``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.frames import FrameClient
from agents.runs import Row, Run, yield_runs

SCHEME = "csf"
#: Records and bytes of one batch at most, unless one record batch of the log alone is larger.
BATCH_RECORDS = 40_000
BATCH_BYTES = 16 * 2**20
#: A fetch with nothing to bring returns after this, so that partitions added meanwhile are not kept waiting.
FETCH_WAIT_MS = 100
#: Bytes of one fetch of several partitions: more would take memory and is no faster.
FETCH_BYTES = 16 * 2**20
#: Waits while nothing may be fetched, and for records of a changelog, seconds.
_IDLE_S, _RECOVERY_WAIT_S = 0.02, 0.2

TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"


@dataclass(slots=True)
class Batch:
    """The records of one fetch of one partition, with the attributes that Faust reads of a record.

    Attributes:
        offset: of the last record.
        records: (offset, broker's append time in epoch ms, value) of each record; for changelogs
            (offset, key, value).
        previous: offset of the record handed out before this batch's first, None where it is read anew.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    records: list[Row]
    previous: int | None
    timestamp_type: int = 1
    headers: Any = None
    key: bytes | None = None
    checksum: int | None = None
    serialized_key_size: int = 0
    serialized_value_size: int = 0

    @property
    def value(self) -> Batch:
        """Return the batch itself: it is the value of the message that Faust makes of it."""
        return self


class _ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # the driver is untyped for us
    async def on_start(self) -> None:
        """Start the consumer; its fetches are read in place and come as runs."""
        await super().on_start()
        self._consumer._client.__class__ = FrameClient
        yield_runs(self._consumer, frozenset(self.app.tables.changelog_topics))

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # the driver fixes 1500 ms and 50 MB and offers no setting
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._fetch_max_bytes = FETCH_BYTES
        return consumer


class Consumer(driver.Consumer):  # type: ignore[misc]  # the driver is untyped for us
    """Consumer whose messages are batches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._handed: dict[TP, int] = {}
        self._seeks = 0
        #: offsets that the broker took as committed; Faust notes those that it did not take too
        self.committed: dict[TP, int] = {}
        super().__init__(*args, **kwargs)

    @property
    def member_id(self) -> str:
        """The id under which the broker knows this member of the group, empty before it has joined."""
        return str(self._thread._ensure_consumer()._coordinator.member_id)

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Mapping[TP, list[Batch]]:
        """Fetch, guarding what Faust leaves open around a recovery.

        The driver passes on a set that is emptied when a recovery ends, and an empty set means *all* partitions to
        aiokafka; what arrives before the flow is resumed is cleared from the queues and never read again. So event
        partitions are asked for only once the recovery is complete, and always with a set of our own.
        """
        tables, changelogs = self.app.tables, self.app.tables.changelog_topics
        ready, generation, seeks = tables.actives_ready, self.app.consumer_generation_id, self._seeks
        wanted = {tp for tp in active_partitions or () if (tp.topic not in changelogs) == ready}
        if not wanted:
            await self.sleep(_IDLE_S)
            return {}
        records = await super()._getmany(wanted, timeout if ready else _RECOVERY_WAIT_S)
        if generation != self.app.consumer_generation_id:
            await self._overtaken(records, seeks, changelog=not ready)
            return {}
        return {tp: self._coalesce(tp, fetched) for tp, fetched in records.items() if fetched}

    async def _overtaken(self, records: Mapping[TP, list[Any]], seeks: int, *, changelog: bool) -> None:
        """Drop what was fetched while a rebalance passed by; read it again where the new seek may lie before it."""
        if not records or seeks == self._seeks:
            return  # fetched before the new assignment's seek, which goes back behind it
        if changelog:
            for table in self.app.tables.values():
                table.distrust("a rebalance overtook the recovery of state")
        else:
            await self.perform_seek()

    def _coalesce(self, tp: TP, runs: list[Run]) -> list[Batch]:
        """Return the runs as one batch, or as few as the limits allow; a run is never cut."""
        batches: list[Batch] = []
        rows: list[Row] = []
        size = 0
        for number, run in enumerate(runs, 1):
            rows += run.rows
            size += run.size
            following = runs[number] if number < len(runs) else None
            if (
                following is None
                or len(rows) + len(following.rows) > BATCH_RECORDS
                or size + following.size > BATCH_BYTES
            ):
                previous = self._handed.get(tp)
                if previous is not None and previous >= rows[0][0]:
                    previous = None  # read again after a seek that the fetch overtook
                last = self._handed[tp] = rows[-1][0]
                batches.append(Batch(tp.topic, tp.partition, last, run.timestamp, rows, previous))
                rows, size = [], 0
        return batches

    async def committed_offsets(self, partitions: set[TP]) -> dict[TP, int]:
        """Return what the group has committed, of the partitions of which it has committed anything."""
        coordinator = self._thread._ensure_consumer()._coordinator
        found = await self._thread.call_thread(coordinator.fetch_committed_offsets, list(partitions))
        return {TP(tp.topic, tp.partition): at.offset for tp, at in found.items() if at.offset >= 0}

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; what was handed out before is no predecessor any more."""
        self._handed.clear()
        await super().perform_seek()
        await self._rewind_uncommitted()
        self._handed.clear()
        self._seeks += 1

    async def _rewind_uncommitted(self) -> None:
        """Seek partitions without a committed offset to their beginning.

        The client seeks only those that have one. What was fetched of the others before a rebalance and dropped by it
        would never be read again.
        """
        changelogs = self.app.tables.changelog_topics
        fresh = {tp for tp in self.assignment() if tp.topic not in changelogs and not self._read_offset.get(tp)}
        if fresh:
            await super().seek_wait(dict(await self.earliest_offsets(*fresh)))

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek partitions (recovery of the changelog)."""
        for tp in partitions:
            self._handed.pop(tp, None)
        await super().seek_wait(partitions)
        self._seeks += 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets inside a batch are no gaps."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        done = await super()._commit(offsets)
        if done:
            self.committed.update(offsets)
        return bool(done)

    def _new_offset(self, tp: TP) -> int | None:
        """Return the offset to commit: batches are acknowledged in order."""
        acked = self._acked[tp]
        if not acked:
            return None
        newest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return cast(int, newest) + 1


class Producer(driver.Producer):  # type: ignore[misc]  # the driver is untyped for us
    """Producer that neither repeats nor reorders: a flush counts on the order of its records."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):  # type: ignore[misc]  # the driver is untyped for us
    """The transport behind ``csf://``."""

    Consumer = Consumer
    Producer = Producer
