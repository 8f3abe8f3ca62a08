"""What a worker says of itself, and how it ends when it cannot go on. Real Kafka, real processes."""

import json
import socket
import urllib.error
import urllib.request

import pytest

from agents.context import SOURCE_TOPICS
from agents.guard import session_value
from pipeline.archive import ArchiveReader
from tests.agents.harness import USAGE, expected, read_topic, totals, until

pytestmark = pytest.mark.kafka


def _ask(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_health_metrics_progress_kpis_and_archive(bootstrap, workers, feeder, tmp_path):
    worker = workers(archive_dir=str(tmp_path / "archive")).recovered()
    feeder.feed(3_000)
    worker.caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    assert json.loads(worker.get("/healthz")[1])["status"] == "ok"
    assert json.loads(worker.get("/readyz")[1]) == {"ready": True, "recovered": True, "problems": {}}
    # the clock ticks on: await a moment in which the last tick is folded
    progress = until(lambda: p if (p := worker.progress()).get("caught_up") else None, what="catching up again")
    assert (progress["lag"], progress["pending"]) == (0, 0)
    assert len(progress["positions"]) == 2 * len(SOURCE_TOPICS)
    assert worker.metric(f'csf_events_received{{topic="{USAGE}"}}') == 3_000
    assert worker.metric(f'csf_events_exit{{exit="kpi",reason="",topic="{USAGE}"}}') == 3_000
    until(lambda: worker.metric(f'csf_lag_messages{{topic="{USAGE}"}}') == 0, what="no lag")
    assert worker.metric("csf_values_written_total") > 0
    assert worker.metric("csf_flush_seconds_count") > 0
    assert worker.stop() == 0
    kept = [r for r in ArchiveReader(tmp_path / "archive").records() if r.topic == USAGE and b'"pad"' in r.value]
    assert sorted(json.loads(r.value)["id"] for r in kept) == list(range(3_000))


def test_an_archive_that_cannot_be_written_is_seen_and_stops_nothing(workers, feeder, tmp_path):
    (tmp_path / "file").write_text("no directory")
    worker = workers(archive_dir=str(tmp_path / "file")).recovered()
    feeder.feed(500)
    worker.caught_up()
    assert totals(tmp_path) == expected(feeder.sent)
    assert worker.metric("csf_archive_failures_total") > 0
    assert "archive" in worker.progress()["problems"]
    assert worker.get("/healthz")[0] == 200


def test_other_machines_need_the_token(workers):
    token = "t0ken-of-more-than-16"
    worker = workers(http_host="0.0.0.0", http_token=token)
    url = until(worker.url, what="address").replace("0.0.0.0", "127.0.0.1")
    status, body = _ask(url + "/healthz")
    assert status == 200
    assert "problems" not in body  # they name addresses and files: /api/v1/progress tells them to who has the token
    assert "problems" not in _ask(url + "/readyz")[1]
    assert _ask(url + "/metrics")[0] == 401
    assert _ask(url + "/metrics", Authorization="Bearer wrong")[0] == 401
    assert _ask(url + "/metrics", Authorization=f"Bearer {token}")[0] == 200
    assert _ask(url + "/metrics", Cookie=f"csf_session={session_value(token)}")[0] == 200
    assert _ask(url + f"/metrics?token={token}s")[0] == 401
    assert token not in worker.output


def test_what_is_no_http_is_one_line_in_the_log_and_large_requests_are_refused(workers):
    worker = workers().recovered()
    port = int(worker.url().rpartition(":")[2])
    for raw in (b"\x00\x01nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(raw)
            assert b" 400 " in s.recv(4096).split(b"\r\n")[0]
    status, _ = _ask(worker.url() + "/healthz", Long="x" * 20_000)
    assert status == 400
    assert _ask(worker.url() + "/api/v1/info", Host="evil.example")[0] == 421
    assert "Traceback" not in worker.output
    worker.caught_up()


def test_a_store_that_hangs_ends_the_worker_with_a_reason(workers, feeder, tmp_path):
    (tmp_path / "hang").touch()
    worker = workers(stall_s=4).recovered()
    feeder.feed(200)
    assert worker.process.wait(60) == 70
    assert "no progress for" in worker.output
    (tmp_path / "hang").unlink()
    workers().caught_up()
    assert totals(tmp_path) == expected(feeder.sent)


def test_a_store_that_refuses_turns_the_worker_red_and_is_named_once(workers, feeder, tmp_path):
    (tmp_path / "refuse").touch()
    worker = workers().recovered()
    feeder.feed(200)
    until(lambda: worker.get("/healthz")[0] == 503, what="red health")
    feeder.feed(200)
    worker.caught_up()
    assert worker.metric("csf_values_rejected_total") > 0
    assert worker.output.count("the KPI store refuses values: no such bucket") == 1


def test_an_address_in_use_is_one_sentence(workers):
    first = workers()
    port = until(first.url, what="address").rpartition(":")[2]
    second = workers(http_port=int(port))
    assert second.process.wait(30) == 2
    assert second.output.strip().splitlines()[-1].startswith(f"http address 127.0.0.1:{port} cannot be used")
    assert "Traceback" not in second.output


def test_ticks_move_idle_partitions(bootstrap, workers):
    worker = workers().recovered()
    until(lambda: len(read_topic(bootstrap, "csf.events.survey", 1)) >= 2, what="two ticks")
    worker.caught_up()
    assert worker.stop() == 0
