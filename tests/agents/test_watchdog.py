"""Every known way in which a worker stops without a word ends it: exit code 70 and one sentence. Real Kafka, real processes."""

import asyncio
import time

import pytest

from agents.watchdog import LoopDog
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
