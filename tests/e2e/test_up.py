"""``csf up`` as a whole: it starts, it survives being killed, it stops without leaving anything behind."""

import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from connectors.producer import EventProducer
from pipeline.events.envelope import OutEvent
from tests.e2e.conftest import Up, csf

pytestmark = pytest.mark.kafka
NOW = datetime.now(UTC).replace(microsecond=0)


def send(data_dir: Path, first: int, count: int) -> None:
    bootstrap = json.loads((data_dir / "state.json").read_text())["bootstrap"]
    producer = EventProducer(bootstrap)
    for i in range(first, first + count):
        producer.send(
            "csf.events.incident",
            OutEvent(
                id=f"i{i}", source="test", type="incident.updated", time=NOW, subject="shop", csfteam="web",
                data={"number": f"INC{i}", "state": "resolved", "opened_at": (NOW - timedelta(hours=2)).isoformat(),
                      "updated_at": NOW.isoformat(), "resolved_at": NOW.isoformat()},
            ),
            key=f"INC{i}",
        )  # fmt: skip
    producer.flush()
    producer.close()


def await_count(run: Up, wanted: int) -> None:
    end = datetime.now(UTC) + timedelta(seconds=90)
    while datetime.now(UTC) < end:
        try:
            rows = json.loads(run.get("/api/v1/kpis?kpi=incidents&scope=org&period=day"))
            found = [r["value"] for r in rows.get("values", rows.get("kpis", []))] if isinstance(rows, dict) else [
                r["value"] for r in rows
            ]  # fmt: skip
            if sum(v or 0 for v in found) == wanted:
                return
        except OSError:
            pass
    pytest.fail(f"{found} never became {wanted}")


def test_nothing_is_lost_by_killing_everything(tmp_path: Path, up: Callable[..., Up]) -> None:
    first = up(tmp_path, "--no-demo")
    first.until("csf-pulse is at")
    send(tmp_path, 0, 300)
    first.kill_all()
    # A zombie that init has not reaped yet has no command line any more (None), and holds nothing.
    running = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
    assert not [line for line in running if str(tmp_path) in line]
    second = up(tmp_path, "--no-demo")
    second.until("csf-pulse is at")
    await_count(second, 300)
    send(tmp_path, 200, 200)  # half of them again
    await_count(second, 400)
    other = csf("up", "--data-dir", str(tmp_path), "--no-demo")
    assert other.returncode == 2
    assert f"csf already runs on {tmp_path}" in other.stderr
    tree = second.tree()
    assert second.stop(signal.SIGTERM) == 0
    gone, alive = psutil.wait_procs(tree, timeout=20)
    assert not alive
    assert len(gone) >= 3


def test_a_killed_supervisor_leaves_no_orphans(tmp_path: Path, up: Callable[..., Up]) -> None:
    run = up(tmp_path, "--no-demo")
    run.until("csf-pulse is at")
    children = run.tree()[1:]
    assert len(children) >= 2
    run.process.kill()
    run.process.wait()
    _, alive = psutil.wait_procs(children, timeout=40)
    assert not alive


def test_bad_events_end_in_dead_letters_and_can_be_listed(tmp_path: Path, up: Callable[..., Up]) -> None:
    from kafka import KafkaProducer

    run = up(tmp_path, "--no-demo")
    run.until("csf-pulse is at")
    bootstrap = json.loads((tmp_path / "state.json").read_text())["bootstrap"]
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for raw in (b"{broken", b"\xff\xfe\x00", b"", b'[{"specversion":"1.0"}]', b"[" * 2000, b'{"id":NaN}'):
        producer.send("csf.events.usage", raw, partition=0)
    producer.flush()
    producer.close()
    edge = EventProducer(bootstrap)
    huge = OutEvent(
        id="h", source="t", type="page.viewed", time=NOW, subject="shop", data={"user": "u", "path": "x" * 20_000_000}
    )
    assert edge.send("csf.events.usage", huge, key="u") is False
    edge.flush()
    edge.close()
    send(tmp_path, 0, 5)
    await_count(run, 5)
    done = csf("dead-letters", "list", "--data-dir", str(tmp_path), "--format", "json")
    letters = json.loads(done.stdout)
    reasons = sorted(x["reason"] for x in letters)
    assert reasons.count("malformed-json") + reasons.count("malformed-event") == 6
    assert "oversize" in reasons
    assert next(x for x in letters if x["reason"] == "oversize")["size"] > 20_000_000
    totals = json.loads(run.get("/api/v1/exits"))
    assert "malformed-json" in json.dumps(totals)
    assert run.stop() == 0
