"""aiokafka's fetches as runs: the records of one record batch as a list of tuples, made in one comprehension.

aiokafka makes a ``ConsumerRecord`` of eleven fields for every record, by a generator and a method call each; that
costs more than decoding an event does. Here the same iterator yields one ``Run`` a record batch. What to fetch,
checksums, control batches and positions are as aiokafka has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiokafka
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException

#: (offset, append time in epoch ms, value), or (offset, key, value) of a topic whose keys are wanted; of a tombstone
#: the value is None
Row = tuple[int, Any, Any]


class Run:
    """The records of one record batch.

    Attributes:
        rows: see ``Row``; at least one.
        size: bytes of the values.
        timestamp: append time of the last record, epoch ms.
    """

    __slots__ = ("rows", "size", "timestamp")

    def __init__(self, rows: list[Row], timestamp: int) -> None:
        self.rows, self.timestamp = rows, timestamp
        self.size = sum([len(row[2]) for row in rows if row[2] is not None])


class RunRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped for us
    """The fetched records of a partition, a run at a time.

    Transactions are not looked at: the topics of this pipeline have none (isolation level ``read_uncommitted``).
    """

    keyed = False
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Run]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"{self._tp}: a record batch has a wrong checksum")
            if not batch.is_control_batch:
                first = self.next_fetch_offset
                if self.keyed:
                    rows: list[Row] = [(r.offset, r.key, r.value) for r in batch]
                else:
                    rows = [(r.offset, r.timestamp, r.value) for r in batch]
                if rows and rows[0][0] < first:  # a fetch may begin within a batch
                    rows = [row for row in rows if row[0] >= first]
                if rows:
                    self.next_fetch_offset = rows[-1][0] + 1
                    yield Run(rows, batch.max_timestamp)
            # the batch's own end, also where compaction removed its last records
            self.next_fetch_offset = batch.next_offset


class RunFetcher(Fetcher):  # type: ignore[misc]  # aiokafka is untyped for us
    """A fetcher whose results are runs."""

    keyed_topics: frozenset[str] = frozenset()

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> Any:
        """Take a response as aiokafka does, then let its fresh results yield runs."""
        result = await super()._proc_fetch_request(assignment, node_id, request)
        sound = getattr(request, "sound", ())
        for tp, fetched in self._records.items():
            if type(fetched) is FetchResult and type(records := fetched._partition_records) is PartitionRecords:
                records.__class__ = RunRecords
                records.keyed = tp.topic in self.keyed_topics
                records._check_crcs = records._check_crcs and (tp.topic, tp.partition) not in sound
                records._records_iterator = records._unpack_records()
        return result


def yield_runs(consumer: aiokafka.AIOKafkaConsumer, keyed_topics: frozenset[str]) -> None:
    """Let a started consumer's fetches come as runs.

    aiokafka makes its fetcher itself and has no place to hand one in, so the one it made changes its class.
    """
    consumer._fetcher.__class__ = RunFetcher
    consumer._fetcher.keyed_topics = keyed_topics
