"""The copy of the state on this machine: with the end of the log it says what the whole log says, or it is not used."""

import asyncio
import json
import random
import sqlite3
from types import SimpleNamespace

import faust
import msgspec
import pytest

from agents.changelog import PartitionLog, StateError, chunk_records, claim_record, commit_record, tombstone_record
from agents.checkpoint import OLDEST_S, Checkpoint, Gathered
from agents.context import SOURCE_TOPICS
from agents.fence import Pulse
from agents.tables import ForkedState, StateTable
from agents.topics import changelog_topic
from tests.agents.harness import USAGE, expected, read_topic, totals, until
from tests.crashes.world import Broker

TOPICS = ("csf.events.usage", "csf.partials")


def history(seed):
    """Return flushes of two topics, each a list of records: chunks that come, change, grow and go."""
    rng = random.Random(seed)
    flushes = [[claim_record(7)]]
    for number in range(40):
        topic = rng.choice(TOPICS)
        records = [tombstone_record(topic, b"c9")] if rng.random() < 0.1 else []
        for name in rng.sample([f"c{i}".encode() for i in range(9)], 3):
            payload = None if rng.random() < 0.2 else rng.randbytes(rng.randrange(40))
            records += chunk_records(topic, 7, number, name, payload)
        flushes.append([*records, commit_record(topic, 7, number, number * 10)])
    return flushes


def read(flushes, log=None, first=0):
    log = log or PartitionLog()
    for offset, (key, value) in enumerate(record for flush in flushes for record in flush):
        if offset >= first:
            log.apply(offset, key, value)
    return log


def says(log):
    found = log.finish()
    return {t: (s.position, s.flush, sorted(s.chunks())) for t, s in found.items()}, log.generation, log.last_offset


def gathered(log, *, anew):
    """Return what a table gathers of a log that it took over."""
    after = -1 if log.copied_to is None else log.copied_to
    result = Gathered(last=log.last_record, offset=log.last_offset, generation=log.generation, anew=anew, after=after)
    for topic, state in log.topics.items():
        names = state.held.keys() if anew else state.changed
        result.chunks |= {b"k|" + topic.encode() + b"|" + name: state.held.get(name) for name in names}
        result.sources[topic] = (state.position, state.flush, state.version)
    return result


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_and_the_end_of_the_log_are_the_whole_log(tmp_path, seed):
    flushes = history(seed)
    checkpoint = Checkpoint(tmp_path / "state.db", "T")
    at = random.Random(seed).sample(range(2, 40), 2)
    first = read(flushes[: min(at)])
    checkpoint.save(0, gathered(first, anew=True), {})
    second = read(flushes[: max(at)], checkpoint.load(0))
    checkpoint.save(0, gathered(second, anew=False), {})
    checkpoint.close()
    again = Checkpoint(tmp_path / "state.db", "T").load(0)
    assert again.last_offset == sum(map(len, flushes[: max(at)])) - 1
    # Faust reads the record at the copy's offset once more
    assert says(read(flushes, again, again.last_offset)) == says(read(flushes))


def test_what_must_be_written_again_is_remembered(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.db", "T")
    log = read(history(1))
    checkpoint.save(0, gathered(log, anew=True), {TOPICS[0]: [b"c1", b"c2"]})
    wanted = checkpoint.load(0).finish()[TOPICS[0]].repairs()
    standing = dict(log.finish()[TOPICS[0]].chunks())
    assert wanted == {c: standing.get(c) for c in (b"c1", b"c2")}


def test_a_copy_of_another_topic_or_too_old_or_none_is_not_used(tmp_path, monkeypatch):
    path = tmp_path / "state.db"
    Checkpoint(path, "T").save(0, gathered(read(history(1)), anew=True), {})
    assert Checkpoint(path, "T").load(0) is not None
    assert Checkpoint(path, "T").load(1) is None
    monkeypatch.setattr("agents.checkpoint.time.time", lambda: 1e10)
    assert OLDEST_S < 86_400
    assert Checkpoint(path, "T").load(0) is None
    monkeypatch.undo()
    Checkpoint(path, "T").save(0, gathered(read(history(1)), anew=True), {})
    assert Checkpoint(path, "another").load(0) is None


def test_a_copy_of_a_log_that_goes_another_way_is_refused(tmp_path):
    flushes = history(1)
    checkpoint = Checkpoint(tmp_path / "state.db", "T")
    checkpoint.save(0, gathered(read(flushes[:10]), anew=True), {})
    log = checkpoint.load(0)
    with pytest.raises(Exception, match="made of another log"):
        log.apply(log.last_offset, *commit_record(TOPICS[0], 8, 1, 1))


def test_a_damaged_file_is_replaced(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"no database" * 1_000)
    checkpoint = Checkpoint(path, "T")
    assert checkpoint.load(0) is None
    checkpoint.save(0, gathered(read(history(1)), anew=True), {})
    checkpoint.close()
    assert says(Checkpoint(path, "T").load(0)) == says(read(history(1)))
    other = sqlite3.connect(path)
    other.execute("UPDATE copy SET standing = x'00'")
    other.commit()
    other.close()
    assert Checkpoint(path, "T").load(0) is None


def test_what_a_revoked_batch_went_ahead_of_is_taken_from_the_copy(tmp_path):
    """A rebalance in the middle of a batch: nobody else wrote, yet what is in memory is ahead of what was flushed."""

    async def live():
        broker = Broker()
        app = SimpleNamespace(producer=SimpleNamespace(_ensure_producer=lambda: broker), consumer_generation_id=1)
        table = StateTable(
            faust.App("copy", broker="kafka://127.0.0.1:1"), group="csf", partitions=1, pulse=Pulse(3600.0), timed=print
        )
        table.app, table.copies.file = app, Checkpoint(tmp_path / "state.db", "T")
        table.recovery_begins(0)
        table.recovery_completed({0})
        assert table.recovered(USAGE, 0) == (-1, [])
        table.folding(USAGE, 0)
        await table.flush(USAGE, 0, [(b"c", b"held")], 7, table.epoch)
        table.folding(USAGE, 0)  # a batch begins, and is dropped as the partition is revoked
        await table.revoke()
        table.recovery_begins(0)
        table.recovery_completed({0})
        return table.recovered(USAGE, 0)

    assert asyncio.run(live()) == (7, [(b"c", b"held")])


def test_what_follows_a_copy_that_is_gone_makes_no_copy(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.db", "T")
    flushes = history(1)
    checkpoint.save(0, gathered(read(flushes[:20]), anew=True), {})
    log = read(flushes, checkpoint.load(0))
    checkpoint.forget(0)  # another worker wrote into the log, the clock went back, a record was damaged
    checkpoint.save(0, gathered(log, anew=False), {})
    assert checkpoint.load(0) is None
    checkpoint.save(0, gathered(read(flushes[:10]), anew=True), {})
    checkpoint.save(0, gathered(log, anew=False), {})  # it follows another copy than this
    assert checkpoint.load(0) is None


class Life:
    """A state table on a log in memory, with a copy on this machine."""

    def __init__(self, path, broker=None):
        self.broker = broker or Broker()
        app = faust.App("copy", broker="kafka://127.0.0.1:1")
        self.table = StateTable(app, group="csf", partitions=1, pulse=Pulse(3600.0), timed=print)
        self.table.app = SimpleNamespace(
            producer=SimpleNamespace(_ensure_producer=lambda: self.broker), consumer_generation_id=1
        )
        self.table.copies.file = Checkpoint(path, "T")

    def log(self):
        return [(o, k, v) for o, (k, v) in enumerate(self.broker.log[(changelog_topic("csf"), 0)])]

    def recover(self):
        """Read the log from where the copy ends, as Faust does, and take it over."""
        begins = self.table.recovery_begins(0)
        records = [r for r in self.log() if r[0] >= begins]
        if records:
            batch = SimpleNamespace(records=records)
            message = SimpleNamespace(partition=0, offset=records[-1][0], value=batch)
            self.table.recover([SimpleNamespace(message=message)])
        self.table.recovery_completed({0})
        return begins

    async def flush(self, chunk, position):
        self.table.folding(USAGE, 0)
        await self.table.flush(USAGE, 0, [(chunk, chunk)], position, self.table.epoch)


def test_a_copy_that_was_dropped_while_its_partition_was_kept_is_made_anew(tmp_path, monkeypatch):
    """The clock goes back, so the copy is of the future and not used; what is in memory is kept, as nobody else wrote."""

    async def live():
        life = Life(tmp_path / "state.db")
        life.recover()
        assert life.table.recovered(USAGE, 0) == (-1, [])
        await life.flush(b"old", 1)
        await life.table.revoke()
        monkeypatch.setattr("agents.checkpoint.time.time", lambda: 1e9)
        assert life.recover() == -1
        await life.flush(b"new", 2)
        await life.table.copy()
        log = PartitionLog()
        for offset, key, value in life.log():
            log.apply(offset, key, value)
        return life.table.copies.file.load(0), log

    copy, log = asyncio.run(live())
    assert says(copy) == says(log)
    assert dict(log.topics[USAGE].chunks()) == {b"old": b"old", b"new": b"new"}


def test_a_worker_that_found_another_writer_leaves_no_copy(tmp_path):
    async def live():
        life = Life(tmp_path / "state.db")
        life.recover()
        await life.flush(b"old", 1)
        await life.table.copy()
        await life.flush(b"new", 2)
        life.broker.log[(changelog_topic("csf"), 0)].append(claim_record(9))
        with pytest.raises(ForkedState):
            await life.flush(b"newer", 3)
        await life.table.revoke()  # as at the end of the process
        return life.table.copies.file.load(0)

    assert asyncio.run(live()) is None


@pytest.mark.parametrize("fault", ["overtaken", "damaged"])
def test_a_log_that_was_not_read_whole_leaves_no_copy(tmp_path, fault):
    async def live():
        life = Life(tmp_path / "one.db")
        life.recover()
        await life.flush(b"old", 1)
        await life.flush(b"new", 2)
        log = life.broker.log[(changelog_topic("csf"), 0)]
        following = Life(tmp_path / "two.db", life.broker)
        if fault == "overtaken":
            following.table.distrust("a rebalance overtook the recovery of state")
        else:
            log.append((b"?", b"no record of ours"))
        following.recover()
        with pytest.raises(StateError):
            following.table.recovered(USAGE, 0)
        await following.table.revoke()  # as at the end of the process
        return following.table.copies.file.load(0)

    assert asyncio.run(live()) is None


@pytest.mark.kafka
def test_a_killed_worker_goes_on_from_its_copy(bootstrap, group, workers, feeder, tmp_path):
    (tmp_path / "w").mkdir()
    for _ in range(3):
        worker = workers(data_dir=str(tmp_path / "w")).recovered()
        feeder.feed(6_000)
        worker.caught_up()
        folded = worker.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}')
        offset = _copied(tmp_path / "w")
        until(lambda o=offset: _copied(tmp_path / "w") > o, what="the next copy")
        feeder.feed(5_000)
        until(lambda w=worker, f=folded: w.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}') > f, what="work")
        worker.kill()
    worker = workers(data_dir=str(tmp_path / "w")).caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    said = next(line for line in worker.output.splitlines() if "state recovered" in line)
    log = sum(len(read_topic(bootstrap, changelog_topic(group), p)) for p in range(2))
    assert int(said.partition("kept for []: ")[2].split()[0]) < log / 2, "only the end of the changelog is read"
    assert worker.stop() == 0


def _copied(directory):
    """Return up to where the copies stand, summed."""
    connection = sqlite3.connect(directory / "state.db")
    rows = connection.execute("SELECT standing FROM copy").fetchall()
    connection.close()
    return sum(msgspec.msgpack.decode(row[0])[1] for row in rows)


@pytest.mark.kafka
def test_a_second_worker_comes_and_goes_and_the_first_keeps_what_it_has(workers, feeder, tmp_path):
    first = workers().recovered()
    feeder.feed(5_000)
    first.caught_up()
    second = workers().recovered()
    feeder.feed(5_000)
    until(lambda: len(first.progress().get("positions", {})) == len(SOURCE_TOPICS), what="half of the partitions each")
    until(lambda: first.progress().get("caught_up") and second.progress().get("caught_up"), what="both caught up")
    assert second.stop() == 0
    feeder.feed(5_000)
    until(lambda: len(first.progress().get("positions", {})) == 2 * len(SOURCE_TOPICS), what="all partitions")
    first.caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    assert json.loads(first.get("/healthz")[1])["status"] == "ok"
    kept = [line for line in first.output.splitlines() if "state recovered" in line]
    assert any("kept for [0]" in line or "kept for [1]" in line for line in kept), kept


@pytest.mark.kafka
def test_a_copy_that_is_ahead_of_a_broker_that_lost_its_end_is_discarded(workers, feeder, tmp_path):
    (tmp_path / "w").mkdir()
    worker = workers(data_dir=str(tmp_path / "w")).recovered()
    feeder.feed(1_000)
    worker.caught_up()
    assert worker.stop() == 0
    connection = sqlite3.connect(tmp_path / "w" / "state.db")
    (raw,) = connection.execute("SELECT standing FROM copy WHERE partition = 0").fetchone()
    standing = msgspec.msgpack.decode(raw)
    standing[1] += 1_000_000
    connection.execute("UPDATE copy SET standing = ? WHERE partition = 0", (msgspec.msgpack.encode(standing),))
    connection.commit()
    connection.close()
    ahead = workers(data_dir=str(tmp_path / "w"))
    assert ahead.process.wait(60) == 1
    assert "the changelog ends before it" in ahead.output
    workers(data_dir=str(tmp_path / "w")).caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
