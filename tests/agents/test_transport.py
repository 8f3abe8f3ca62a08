"""Coalescing: order and offsets stay, limits hold, and what is committed is what was acknowledged."""

from collections import defaultdict
from types import SimpleNamespace

from faust.types import TP

from agents import transport

USAGE = TP("usage", 0)


def _record(offset, size=10):
    return SimpleNamespace(
        topic="usage", partition=0, offset=offset, timestamp=1000 + offset, key=b"k", value=b"v" * size,
        serialized_value_size=size,
    )  # fmt: skip


def _consumer(changelogs=()):
    """Return what the methods under test touch of a consumer; starting a real one needs a broker."""
    app = SimpleNamespace(tables=SimpleNamespace(changelog_topics=set(changelogs)))
    return SimpleNamespace(app=app, _handed={}, _acked=defaultdict(list), _acked_index=defaultdict(set))


def _coalesce(consumer, records):
    return transport.Consumer._coalesce(consumer, USAGE, records)


def test_a_fetch_is_one_batch_with_the_last_offset():
    consumer = _consumer()
    (batch,) = _coalesce(consumer, [_record(n) for n in (5, 6, 9)])
    assert (batch.offset, batch.previous, batch.timestamp) == (9, None, 1009)
    assert [(o, at) for o, at, _ in batch.records] == [(5, 1005), (6, 1006), (9, 1009)]
    assert batch.value is batch
    (following,) = _coalesce(consumer, [_record(10)])
    assert following.previous == 9


def test_limits_of_count_and_bytes(monkeypatch):
    monkeypatch.setattr(transport, "BATCH_RECORDS", 3)
    batches = _coalesce(_consumer(), [_record(n) for n in range(7)])
    assert [[o for o, _, _ in b.records] for b in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [b.previous for b in batches] == [None, 2, 5]
    monkeypatch.setattr(transport, "BATCH_BYTES", 100)
    batches = _coalesce(_consumer(), [_record(n, size=60) for n in range(5)])
    assert [b.offset for b in batches] == [1, 3, 4]


def test_what_is_read_again_after_a_seek_has_no_predecessor():
    consumer = _consumer()
    _coalesce(consumer, [_record(n) for n in range(10)])
    (batch,) = _coalesce(consumer, [_record(n) for n in range(4, 12)])
    assert (batch.previous, batch.offset) == (None, 11)


def test_changelog_records_carry_their_keys():
    (batch,) = _coalesce(_consumer(["usage"]), [_record(1)])
    assert batch.records == [(1, b"k", b"v" * 10)]


def test_committable_is_the_last_acknowledged_and_one():
    consumer = _consumer()
    assert transport.Consumer._new_offset(consumer, USAGE) is None
    consumer._acked[USAGE] = [999, 1999, 70_000]
    consumer._acked_index[USAGE] = {999, 1999, 70_000}
    assert transport.Consumer._new_offset(consumer, USAGE) == 70_001
    assert not consumer._acked[USAGE]
    assert not consumer._acked_index[USAGE]
