"""Coalescing: order and offsets stay, limits hold, and what is committed is what was acknowledged."""

import asyncio
from collections import defaultdict
from types import SimpleNamespace

from faust.types import TP

from agents import transport
from agents.runs import Run

USAGE = TP("usage", 0)


def _run(*offsets, size=10):
    return Run([(offset, 1000 + offset, b"v" * size) for offset in offsets], 1000 + offsets[-1])


def _consumer():
    """Return what the methods under test touch of a consumer; starting a real one needs a broker."""
    return SimpleNamespace(_handed={}, _acked=defaultdict(list), _acked_index=defaultdict(set))


def _coalesce(consumer, runs):
    return transport.Consumer._coalesce(consumer, USAGE, runs)


def test_a_fetch_is_one_batch_with_the_last_offset():
    consumer = _consumer()
    (batch,) = _coalesce(consumer, [_run(5, 6), _run(9)])
    assert (batch.offset, batch.previous, batch.timestamp) == (9, None, 1009)
    assert [(o, at) for o, at, _ in batch.records] == [(5, 1005), (6, 1006), (9, 1009)]
    assert batch.value is batch
    (following,) = _coalesce(consumer, [_run(10)])
    assert following.previous == 9


def test_limits_of_count_and_bytes(monkeypatch):
    monkeypatch.setattr(transport, "BATCH_RECORDS", 3)
    batches = _coalesce(_consumer(), [_run(0, 1), _run(2), _run(3, 4), _run(5, 6, 7, 8)])
    assert [[o for o, _, _ in b.records] for b in batches] == [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    assert [b.previous for b in batches] == [None, 2, 4]
    monkeypatch.setattr(transport, "BATCH_BYTES", 100)
    batches = _coalesce(_consumer(), [_run(n, size=60) for n in range(3)])
    assert [b.offset for b in batches] == [0, 1, 2]


def test_what_is_read_again_after_a_seek_has_no_predecessor():
    consumer = _consumer()
    _coalesce(consumer, [_run(*range(10))])
    (batch,) = _coalesce(consumer, [_run(*range(4, 12))])
    assert (batch.previous, batch.offset) == (None, 11)


def test_committable_is_the_last_acknowledged_and_one():
    consumer = _consumer()
    assert transport.Consumer._new_offset(consumer, USAGE) is None
    consumer._acked[USAGE] = [999, 1999, 70_000]
    consumer._acked_index[USAGE] = {999, 1999, 70_000}
    assert transport.Consumer._new_offset(consumer, USAGE) == 70_001
    assert not consumer._acked[USAGE]
    assert not consumer._acked_index[USAGE]


def test_a_partition_without_committed_offset_is_read_from_its_beginning():
    """Faust seeks to committed offsets only: what it dropped in a rebalance before the first commit was lost."""
    committed, fresh, log = TP("usage", 1), TP("usage", 0), TP("changelog", 0)
    sought = {}

    class Consumer(transport.Consumer):
        def __init__(self):
            self.app = SimpleNamespace(tables=SimpleNamespace(changelog_topics={"changelog"}))
            self._handed, self._seeks, self._committed_offset = {fresh: 41}, 0, {}
            self._read_offset = defaultdict(lambda: None)
            self._thread = SimpleNamespace(seek_wait=self.seek_in_client)

        def assignment(self):
            return {committed, fresh, log}

        async def seek_to_committed(self):
            return {committed: 7, fresh: None, log: None}

        async def earliest_offsets(self, *tps):
            return dict.fromkeys(tps, 3)

        async def seek_in_client(self, partitions):
            sought.update(partitions)

    consumer = Consumer()
    asyncio.run(consumer.perform_seek())
    assert sought == {fresh: 3}
    assert not consumer._handed
