"""What the group has acknowledged and the state does not hold stops the worker; what is no loss never does."""

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP
from kafka.admin import KafkaAdminClient, OffsetSpec

from agents.changelog import StateError, chunk_records, commit_record
from agents.reach import refuse_holes
from agents.topics import changelog_topic
from pipeline.topics import PARTIALS
from tests.agents.harness import USAGE, committed, expected, read_topic, totals, until
from tests.crashes.world import World


def standing(positions, committed, *, begins=None, ends=None):
    """Return a worker's context whose state stands at ``positions`` and whose group has committed ``committed``."""

    async def committed_offsets(tps):
        return {tp: committed[tp] for tp in tps if tp in committed}

    async def earliest_offsets(*tps):
        return {tp: (begins or {}).get(tp, 0) for tp in tps}

    async def highwaters(*tps):
        return {tp: (ends or {}).get(tp.partition, 7) for tp in tps}

    consumer = SimpleNamespace(
        committed_offsets=committed_offsets, earliest_offsets=earliest_offsets, highwaters=highwaters
    )
    table = SimpleNamespace(
        epoch=2, position=lambda topic, n: positions.get((topic, n), -1), ends_at=lambda _n: 7, changelog_name="csf-log"
    )
    return SimpleNamespace(app=SimpleNamespace(consumer=consumer), table=table, config=SimpleNamespace(group="csf"))


ZERO, ROLL = TP(USAGE, 0), TP(PARTIALS, 0)


@pytest.mark.parametrize(
    ("positions", "committed", "begins"),
    [
        ({}, {}, {}),  # nobody ever committed
        ({}, {ZERO: 0}, {}),  # committed, but nothing was read
        ({}, {ZERO: 700}, {ZERO: 700}),  # retention took all that was acknowledged
        ({}, {ZERO: 700}, {ZERO: 900}),  # and more
        ({(USAGE, 0): 699}, {ZERO: 700}, {}),  # state and group stand at the same place
        ({(USAGE, 0): 900}, {ZERO: 700}, {}),  # flushed and not yet committed
        ({(USAGE, 0): 300}, {ZERO: 700}, {ZERO: 700}),
    ],
)
def test_what_is_no_loss_is_let_pass(positions, committed, begins):
    asyncio.run(refuse_holes(standing(positions, committed, begins=begins), {ZERO, ROLL}))


def test_an_empty_state_and_one_that_ends_early_are_one_sentence_each():
    with pytest.raises(StateError) as none:
        asyncio.run(refuse_holes(standing({}, {ZERO: 700}), {ZERO, ROLL}))
    assert str(none.value) == (
        "csf.events.usage/0: group csf acknowledged all before offset 700, but the state in csf-log holds nothing of it; "
        "to go on would leave these messages out of every value: stop the workers and run csf replay, which makes the "
        "state anew from the archive (without an archive: docs/operations.md, State that is missing)"
    )
    with pytest.raises(StateError, match=r"^csf\.partials/0: .* but the state in csf-log ends at offset 299; to go on"):
        asyncio.run(refuse_holes(standing({(PARTIALS, 0): 299, (USAGE, 0): 3}, {ROLL: 700, ZERO: 4}), {ZERO, ROLL}))
    with pytest.raises(StateError, match=r"^csf\.events\.usage/0 \(and 1 more\): group csf"):
        asyncio.run(refuse_holes(standing({}, {ZERO: 700, ROLL: 1}), {ZERO, ROLL}))


def test_a_group_that_went_on_under_another_owner_is_no_loss():
    """A worker that was given up reads what the next owner committed: then the changelog went on too."""
    asyncio.run(refuse_holes(standing({(USAGE, 0): 3}, {ZERO: 700}, ends={0: 9}), {ZERO}))


def test_a_rebalance_meanwhile_leaves_it_to_the_next_recovery():
    ctx = standing({}, {ZERO: 700})

    async def revoked(*tps):
        ctx.table.epoch += 1
        return dict.fromkeys(tps, 7)

    ctx.app.consumer.highwaters = revoked
    asyncio.run(refuse_holes(ctx, {ZERO}))


@pytest.mark.parametrize("die_at", range(4))
def test_messages_that_make_no_state_are_remembered_as_read(die_at):
    """Empty batches of events fold nothing, yet they are acknowledged: the next worker must not take that for a loss."""
    world = World({(USAGE, 0): [(offset, 1_000, b"[]") for offset in range(4)]}, 1, 2)
    world.run(die_at)
    assert world.broker.committed[(USAGE, 0)] == 4


def fed(workers, feeder, bootstrap, group):
    """Let a worker count events and acknowledge them, and end."""
    worker = workers().recovered()
    feeder.feed(3_000)
    worker.caught_up()
    assert worker.stop() == 0
    assert all(committed(bootstrap, group, USAGE, n)[0] >= 1_500 for n in range(2))


def read_again(bootstrap, group):
    """Set the group back to the beginning of every log, as docs/operations.md says."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    places = admin.list_group_offsets({group: None})[group]
    admin.reset_group_offsets(group, dict.fromkeys(places, OffsetSpec.EARLIEST))
    admin.close()


@pytest.mark.kafka
def test_a_lost_changelog_stops_every_worker_until_the_group_reads_again(bootstrap, group, workers, feeder, tmp_path):
    fed(workers, feeder, bootstrap, group)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_topics([changelog_topic(group)])
    until(lambda: changelog_topic(group) not in {t["name"] for t in admin.describe_topics()}, what="topic gone")
    admin.close()
    feeder.feed(500)
    for _ in range(2):
        worker = workers()
        assert worker.process.wait(60) == 1
        said = [line for line in worker.output.splitlines() if "CRITICAL" in line]
        assert len(said) == 1, worker.output[-3000:]
        assert "holds nothing of it; to go on would leave these messages out of every value" in said[0]
        assert "Traceback" not in worker.output
    assert totals(tmp_path) == expected(3_000), "nothing was told of what came after"
    read_again(bootstrap, group)
    workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)


@pytest.mark.kafka
def test_a_changelog_that_lost_its_end_stops_the_worker(bootstrap, group, workers, feeder):
    fed(workers, feeder, bootstrap, group)
    log = changelog_topic(group)
    generation = max(int.from_bytes(v[:8], "big") for _, k, v in read_topic(bootstrap, log) if k == b"g|")
    key, value = commit_record(USAGE, generation, 1, 99)
    feeder.raw(log, 0, value, key)
    worker = workers()
    assert worker.process.wait(60) == 1
    assert f"{USAGE}/0: group test acknowledged all before offset 1" in worker.output
    assert f"but the state in {log} ends at offset 99" in worker.output


@pytest.mark.kafka
def test_no_worker_is_ready_before_every_state_is_read(bootstrap, group, workers, feeder):
    fed(workers, feeder, bootstrap, group)
    log = changelog_topic(group)
    generation = max(int.from_bytes(v[:8], "big") for _, k, v in read_topic(bootstrap, log) if k == b"g|")
    at = committed(bootstrap, group, "csf.events.survey", 0)[1]
    for key, value in [
        *chunk_records("csf.events.survey", generation, 10**6, b"sum", b"\xc1 no state"),
        commit_record("csf.events.survey", generation, 10**6, at),
    ]:
        feeder.raw(log, 0, value, key)
    ticks = committed(bootstrap, group, USAGE, 0)[1]
    worker = workers()
    assert worker.process.wait(60) == 1
    assert "the state of csf.events.survey/0 cannot be read" in worker.output
    assert committed(bootstrap, group, USAGE, 0)[1] == ticks, (
        "it serves nothing, and tells no time, before it has read all"
    )
