"""Every known way in which a worker stops without a word ends it: exit code 70 and one sentence. Real Kafka, real processes."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from agents.context import SOURCE_TOPICS
from agents.watchdog import LoopDog, Watchdog
from tests.agents.harness import USAGE, expected, totals, until


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("loop_blocked", "the event loop has been blocked for"),
        ("consumer_hung", "client: no progress for"),
        ("consumer_dead", "client: no progress for"),
        ("producer_silent", "ingest: no progress for"),
        ("fetcher_stuck", ": no progress for"),
        ("agent_dead", "ingest: no progress for"),
        ("commits_lost", "commits: no progress for"),
    ],
)
def test_a_silent_stop_ends_the_worker_with_its_reason_and_the_next_goes_on(workers, feeder, tmp_path, fault, sentence):
    worker = workers(stall_s=5).recovered()
    feeder.feed(500)
    worker.caught_up()
    (tmp_path / fault).touch()
    until(lambda: not (tmp_path / fault).exists(), what="the fault")
    feeder.feed(500)
    assert worker.process.wait(120) == 70, worker.output[-2000:]
    said = [line for line in worker.output.splitlines() if "CRITICAL" in line and sentence in line]
    assert len(said) == 1, worker.output[-3000:]
    assert said[0].endswith("this worker ends to be started again")
    workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)


@pytest.mark.kafka
def test_a_rebalance_that_never_ends_is_told(workers, feeder, tmp_path):
    first = workers(stall_s=2).recovered()
    feeder.feed(500)
    first.caught_up()
    (tmp_path / "rebalance_endless").touch()
    until(lambda: not (tmp_path / "rebalance_endless").exists(), what="the fault")
    second = workers()
    assert first.process.wait(120) == 70, first.output[-2000:]
    said = [line for line in first.output.splitlines() if "CRITICAL" in line and "recovery: no progress for" in line]
    assert len(said) == 1, first.output[-3000:]
    assert "(no partition was assigned, or the changelog is not read); this worker ends to be started again" in said[0]
    feeder.feed(500)
    until(lambda: len(second.progress().get("positions", {})) == 2 * len(SOURCE_TOPICS), what="all partitions")
    second.caught_up()
    assert totals(tmp_path) == expected(feeder.sent)


@pytest.mark.parametrize("reads", [False, True])
def test_a_recovery_is_patient_with_a_changelog_that_is_read_and_not_with_one_that_is_not(monkeypatch, reads):
    """On a clock of its own: five times a stall without a record is too long, any time with records is not."""
    clock = SimpleNamespace(at=0.0)
    table = SimpleNamespace(ready=asyncio.Event(), progress=0)

    class Ended(Exception):
        pass

    async def passes(seconds):
        clock.at += seconds
        table.progress += reads
        if clock.at > 3_600:
            raise Ended("an hour has passed")

    async def halt(reason, code):
        raise Ended(f"{code} {reason}")

    monkeypatch.setattr("agents.watchdog.time", SimpleNamespace(monotonic=lambda: clock.at))
    monkeypatch.setattr("agents.watchdog.asyncio.sleep", passes)
    ctx = SimpleNamespace(
        config=SimpleNamespace(stall_s=60.0), table=table, done={"ingest": 0, "rollup": 0, "alerting": 0}, acked={}, halt=halt,
        store_calls=0, store_busy=False, app=SimpleNamespace(consumer=SimpleNamespace(committed={})),
    )  # fmt: skip
    with pytest.raises(Ended, match="an hour has passed" if reads else "^70 recovery: no progress for 305 s"):
        asyncio.run(Watchdog(ctx).run())


@pytest.mark.kafka
def test_a_store_that_hangs_is_told_from_one_that_is_away(workers, feeder, tmp_path):
    worker = workers(stall_s=5).recovered()
    (tmp_path / "away").touch()
    feeder.feed(200)
    until(lambda: "store" in worker.progress().get("problems", {}), what="the store away")
    # away, and asked again and again, it may be for longer than a stall
    tries = worker.metric("csf_store_retries_total")
    until(lambda: worker.metric("csf_store_retries_total") >= tries + 2, what="two more tries")
    (tmp_path / "hang").touch()
    (tmp_path / "away").unlink()
    assert worker.process.wait(120) == 70
    assert "store: no progress for" in worker.output
    assert "the KPI store does not return from a write" in worker.output


@pytest.mark.kafka
def test_a_worker_without_work_lives_on(workers, tmp_path):
    worker = workers(stall_s=2, tick_s=3600).recovered()
    looks = worker.metric("csf_rebalances_total")
    end = time.monotonic() + 10
    until(lambda: time.monotonic() > end, what="five stalls without work")
    assert worker.get("/healthz")[0] == 200
    assert worker.metric("csf_rebalances_total") == looks
    assert worker.metric(f'csf_messages_folded_total{{topic="{USAGE}"}}') <= 4


def test_a_blocked_loop_is_seen_by_a_thread_and_a_busy_one_is_not(caplog):
    codes = []
    dog = LoopDog(2.0, end=codes.append)

    async def work():
        beating = asyncio.create_task(dog.beat())
        for _ in range(20):
            await asyncio.sleep(0.1)  # at work, but never blocked
        assert codes == []
        while not codes:
            time.sleep(0.1)  # the loop is blocked from here on
        beating.cancel()

    asyncio.run(work())
    assert codes == [70]
    assert "the event loop has been blocked" in caplog.text
