"""Every event counts exactly once, whatever happens to the workers. Real Kafka, real processes, real signals."""

import json
import signal

import pytest

from agents.changelog import chunk_records, claim_record, commit_record
from agents.context import SOURCE_TOPICS
from agents.topics import changelog_topic
from tests.agents.harness import USAGE, committed, expected, read_topic, totals, until

pytestmark = pytest.mark.kafka


def test_kill_9_again_and_again_loses_and_doubles_nothing(bootstrap, group, workers, feeder, tmp_path):
    for round_number in range(3):
        worker = workers().recovered()
        before = worker.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}')
        feeder.feed(12_000 + round_number)
        until(lambda w=worker, b=before: w.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}') > b, what="work")
        worker.kill()
    worker = workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    assert worker.stop() == 0
    for partition in range(2):
        at, end = committed(bootstrap, group, USAGE, partition)
        assert end - at <= 2, "commits keep pace (two ticks may have come after the last batch)"


def test_a_second_worker_joins_and_the_first_leaves(workers, feeder, tmp_path):
    first = workers().recovered()
    feeder.feed(8_000)
    second = workers().recovered()
    feeder.feed(8_000)
    until(lambda: len(first.progress().get("positions", {})) == len(SOURCE_TOPICS), what="half of the partitions each")
    until(lambda: first.progress().get("caught_up") and second.progress().get("caught_up"), what="both caught up")
    assert totals(tmp_path) == expected(feeder.sent)
    feeder.feed(5_000)
    assert first.stop() == 0
    feeder.feed(5_000)
    until(lambda: len(second.progress().get("positions", {})) == 2 * len(SOURCE_TOPICS), what="all partitions")
    second.caught_up()
    assert totals(tmp_path) == expected(feeder.sent)


def test_a_worker_that_was_paused_and_woke_up_changes_nothing(workers, feeder, tmp_path):
    paused = workers().recovered()
    feeder.feed(6_000)
    until(lambda: paused.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}') > 0, what="work")
    paused.send(signal.SIGSTOP)
    other = workers().recovered()
    feeder.feed(6_000)
    # stopped within a write, it holds the lock of the SQLite file until it goes on
    until(lambda: other.progress().get("caught_up") or "is locked by" in other.output, what="catching up")
    if "is locked by" not in other.output:
        assert totals(tmp_path) == expected(feeder.sent)
    paused.send(signal.SIGCONT)
    feeder.feed(6_000)
    until(
        lambda: all(w.process.poll() is not None or w.progress().get("caught_up") for w in (paused, other)),
        what="both caught up",
    )
    if any(w.process.poll() is None for w in (paused, other)):
        until(lambda: totals(tmp_path) == expected(feeder.sent), 30, "exact sums")
    # where the paused one wrote before it saw that it was late, both end to be started again by their supervisor
    paused.kill()
    other.kill()
    workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)


def test_an_unfinished_flush_and_a_lower_generation_are_ignored(bootstrap, group, workers, feeder, tmp_path):
    worker = workers().recovered()
    feeder.feed(4_000)
    worker.caught_up()
    worker.kill()
    log, wrong = changelog_topic(group), b"\xc1 no state"
    records = read_topic(bootstrap, log, 0)
    claims = [r for r in records if r[1] == b"g|"]
    assert len(claims) == 1
    generation = int.from_bytes(claims[0][2], "big")
    # the worker was killed between chunks and commit ...
    for key, value in chunk_records(USAGE, generation, 10**6, b"sum", wrong):
        feeder.raw(log, 0, value, key)
    # ... another took over, and the first woke up
    taken = claim_record(generation + 5)
    feeder.raw(log, 0, taken[1], taken[0])
    late = [*chunk_records(USAGE, generation, 10**6 + 1, b"sum", wrong), commit_record(USAGE, generation, 10**7, 10**6)]
    for key, value in late:
        feeder.raw(log, 0, value, key)
    feeder.feed(4_000)
    worker = workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    newest = {}
    for _, key, value in read_topic(bootstrap, log, 0):
        newest[key] = value
    assert wrong not in newest[b"k|csf.events.usage|sum"], "the first flush writes again what was disturbed"
    assert worker.stop() == 0


def test_two_writers_in_one_changelog_partition_end_the_worker(bootstrap, group, workers, feeder):
    worker = workers().recovered()
    feeder.feed(100)
    worker.caught_up()
    key, value = claim_record(1)
    feeder.raw(changelog_topic(group), 0, value, key)
    assert worker.process.wait(30) == 1
    assert "another worker writes there too" in worker.output
    workers().caught_up()


def test_an_event_the_engine_fails_on_becomes_a_dead_letter(bootstrap, workers, feeder, tmp_path):
    feeder.feed(1_000)
    feeder.raw(USAGE, 0, b'{"poison": true}')
    feeder.feed(1_000)
    worker = workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    letters = [json.loads(v) for _, _, v in read_topic(bootstrap, "csf.dead-letters")]
    assert {(x["reason"], x["detail"], x["topic"]) for x in letters} == {
        ("internal-error", "ZeroDivisionError: poison", USAGE)
    }
    assert worker.stop() == 0


def test_a_store_that_is_away_loses_nothing_and_bounds_what_is_taken(workers, feeder, tmp_path):
    away = tmp_path / "away"
    worker = workers().recovered()
    away.touch()
    feeder.feed(2_000)
    until(lambda: worker.get("/readyz")[0] == 503, what="not ready")
    assert worker.get("/healthz")[0] == 200
    taken = 'csf_messages_folded_total{topic="csf.partials"}'
    before = worker.metric(taken)
    for _ in range(20):
        feeder.feed(500)
    retried = worker.metric("csf_store_retries_total")
    until(lambda: worker.metric("csf_store_retries_total") > retried, what="another try")
    assert worker.metric(taken) <= before + 5
    assert not worker.progress()["caught_up"]
    away.unlink()
    worker.caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    assert worker.get("/readyz")[0] == 200


def test_sigterm_ends_cleanly_and_the_next_worker_goes_on(workers, feeder, tmp_path):
    worker = workers().recovered()
    feeder.feed(5_000)
    worker.caught_up()
    assert worker.stop() == 0
    assert "Traceback" not in worker.output
    worker = workers().caught_up()
    assert worker.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}') < 50, "nothing is read again but ticks"
    feeder.feed(10)
    until(lambda: totals(tmp_path) == expected(feeder.sent), what="the next events")
