"""The changelog's rules against a model: crashes, paused workers and compaction never change what counts."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.changelog import (
    PART_BYTES,
    PartitionLog,
    StateError,
    chunk_records,
    claim_record,
    commit_record,
    part_name,
    tombstone_record,
)

TOPICS = ("a", "b")
CHUNKS = (b"x", b"y", b"z")


class Owner:
    """A worker that owns the partition: its state as recovered, and what it writes, as ``StateTable`` does."""

    def __init__(self, log):
        found = read(log)
        self.generation = found.generation + 1
        self.claimed = False
        self.state = {t: (s.position, dict(s.chunks())) for t, s in found.topics.items()}
        self.repairs = {t: s.repairs() for t, s in found.topics.items()}
        self.flushes = {t: s.flush for t, s in found.topics.items()}
        self.dropped = {}

    def flush(self, topic, changes, position):
        """Return the records of one flush."""
        records = [] if self.claimed else [claim_record(self.generation)]
        self.claimed = True
        number = self.flushes[topic] = self.flushes.get(topic, 0) + 1
        changed = self.repairs.pop(topic, {}) | changes
        records += [tombstone_record(topic, c) for c in self.dropped.pop(topic, ()) if c not in changed]
        for chunk, payload in changed.items():
            records += chunk_records(topic, self.generation, number, chunk, payload)
        self.dropped[topic] = {c for c, p in changed.items() if p is None}
        held = self.state.get(topic, (-1, {}))[1] | changes
        self.state[topic] = (position, {c: p for c, p in held.items() if p is not None})
        return [*records, commit_record(topic, self.generation, number, position)]


def read(log):
    found = PartitionLog()
    for offset, (key, value) in log:
        found.apply(offset, key, value)
    found.finish()
    return found


def states(found):
    return {t: (s.position, dict(s.chunks())) for t, s in found.topics.items() if s.position >= 0}


def compact(log, until):
    """Return the log with only the newest record a key below an offset, as Kafka's cleaner leaves it."""
    newest = {key: offset for offset, (key, _) in log if offset < until}
    return [(offset, r) for offset, r in log if offset >= until or newest[r[0]] == offset]


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 40))
def test_recovery_is_what_was_committed(seed, steps):
    rng = random.Random(seed)
    log, end = [], 0

    def append(records):
        nonlocal end
        for record in records:
            log.append((end, record))
            end += 1

    committed = {}
    owner = Owner(log)
    # compaction leaves alone what is younger than the owner before: min.compaction.lag.ms
    begun = [0, 0]
    for position in range(1, steps + 1):
        topic = rng.choice(TOPICS)
        names = rng.sample(CHUNKS, rng.randint(0, 3))
        changes = {c: None if rng.random() < 0.25 else rng.randbytes(3) for c in names}
        act = rng.random()
        if act < 0.6:
            append(owner.flush(topic, changes, position))
            committed = {t: (p, dict(c)) for t, (p, c) in owner.state.items() if p >= 0}
        else:
            # the owner dies inside a flush, before its commit; it may also wake up after the next one has begun
            unclaimed = not owner.claimed
            records = owner.flush(topic, changes, position)
            cut = rng.randint(0, len(records) - 1)
            append(records[:cut])
            paused = owner
            begun = [begun[1], end]
            owner = Owner(log)
            assert {t: v for t, v in owner.state.items() if v[0] >= 0} == committed
            if act > 0.85:
                append(owner.flush(rng.choice(TOPICS), {b"x": b"new"}, position))
                committed = {t: (p, dict(c)) for t, (p, c) in owner.state.items() if p >= 0}
                # one whose claim is not in the log yet writes that first, and sees that it is late
                late = [claim_record(paused.generation)] if unclaimed and cut == 0 else None
                append(late or paused.flush(topic, {b"x": None, b"y": b"zombie"}, position + 9))
                # it sees the stranger's records between its own and begins anew
                begun = [begun[1], end]
                owner = Owner(log)
        # every topic has been flushed since then (ticks), so that its repairs are written
        if rng.random() < 0.3:
            for name in TOPICS:
                append(owner.flush(name, {}, max(0, owner.state.get(name, (0,))[0])))
            committed = {t: (p, dict(c)) for t, (p, c) in owner.state.items()}
            log[:] = compact(log, min(begun[1], end))
        assert states(read(log)) == committed


def test_a_large_chunk_is_split_and_put_together_again():
    payload = random.Random(1).randbytes(2 * PART_BYTES + 5)
    log = PartitionLog()
    records = [*chunk_records("a", 1, 1, b"x", payload), commit_record("a", 1, 1, 7)]
    assert [len(v) <= PART_BYTES + 32 for _, v in records] == [True] * 4
    for offset, (key, value) in enumerate(records):
        log.apply(offset, key, value)
    (state,) = log.finish().values()
    assert (state.position, dict(state.chunks())) == (7, {b"x": payload})
    del state.held[part_name(b"x", 1)]
    with pytest.raises(StateError, match="part 1 of 3"):
        dict(state.chunks())


@pytest.mark.parametrize(("key", "value"), [(b"who|knows", b""), (b"k|a|x", b"short"), (b"c|a", b"short"), (None, b"")])
def test_a_record_that_no_flush_writes_is_named(key, value):
    with pytest.raises(StateError, match="at offset 3"):
        PartitionLog().apply(3, key, value)


def test_a_hold_lasts_until_its_generation_or_a_higher_one_lets_go():
    log = [claim_record(3), commit_record("a", 3, 1, 7), claim_record(5, hold=True)]
    assert read(enumerate(log)).on_hold
    # the worker that was there writes on, and a replay that was overtaken lets go of what is not its own
    late = [*log, *chunk_records("a", 3, 2, b"x", b"late"), commit_record("a", 3, 2, 9), claim_record(4)]
    found = read(enumerate(late))
    assert (found.on_hold, found.generation, found.topics["a"].position) == (True, 5, 7)
    new = [*chunk_records("a", 5, 2, b"x", b"new"), commit_record("a", 5, 2, 8)]
    found = read(enumerate([*late, *new, claim_record(5)]))
    assert (found.on_hold, found.topics["a"].position, dict(found.topics["a"].chunks())) == (False, 8, {b"x": b"new"})
    assert not read(enumerate([*late, claim_record(6)])).on_hold
