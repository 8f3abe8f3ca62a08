"""``make bench``: a worker with everything on, plain Faust and a bare loop, on the same broker and the same events.

All read the same single-event JSON messages; what counts is events per CPU-second and per second in this run, as
ratios. With ``--record`` the table is added to docs/benchmarks.md and the ratios to benchmarks/recorded.json; with
``--compare`` ratios that fell by more than 15 % against those are told. That fails nothing: speed is no test.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from kafka.admin import KafkaAdminClient, NewTopic

from benchmarks.workload import TOPIC, events, produce
from cli.embedded.instance import Instance, get_json, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings

PARTITIONS = 2
PLAIN, PEER = "bench.plain", "bench.peer"
PLAIN_SESSIONS, PLAIN_LEAN = "plain Faust, one table, with sessions", "plain Faust, one table"
WHOLE = "csf-pulse, every KPI of page views"
SAME_WORK, FLOOR = "csf-pulse, the floor's figures", "floor: confluent-kafka, msgspec, a dictionary"
#: What is compared: name → (of, to).
RATIOS = {"every KPI / plain Faust": (WHOLE, PLAIN_SESSIONS), "the floor's figures / floor": (SAME_WORK, FLOOR)}
#: A ratio that fell by more than this is told.
_FALL = 0.15
_RECORDED = Path(__file__).with_name("recorded.json")
_DOC = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"

Result = dict[str, float]


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def whole(settings: Settings, kafka: EmbeddedKafka, count: int) -> Result:
    """Return what a worker takes to fold everything that waits, from its first event to the last."""
    child = worker_child(settings, kafka.bootstrap)
    child.start()
    assert child.process is not None
    http = f"http://127.0.0.1:{settings.http_port}"
    instance = Instance(settings, kafka.bootstrap, http, (child,))
    instance.await_ready(child)
    started, used, done = time.perf_counter(), tree_cpu(child.process.pid), 0
    while done < count:
        try:
            done = get_json(f"{http}/api/v1/progress")["positions"]
            done = sum(at + 1 for name, at in done.items() if name.startswith(TOPIC + "/"))
        except (OSError, ValueError, KeyError):
            done = 0
        if child.ended() is not None:
            sys.exit(f"the worker ended: {child.last_words()}")
        time.sleep(0.1)
    result = {"events": count, "seconds": time.perf_counter() - started, "cpu": tree_cpu(child.process.pid) - used}
    result["rss_mb"] = psutil.Process(child.process.pid).memory_info().rss / 2**20
    child.stop()
    return result


def said(module: str, *arguments: str) -> Result:
    """Run a contender and return the figures that its last line says."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.exit(f"{module} said nothing: {done.stderr[-800:]}")
    return dict(json.loads(lines[-1]))


def same_work(kafka: EmbeddedKafka, folder: Path, count: int) -> Result:
    """Return what a worker takes for the floor's figures, until everything is acknowledged and written."""
    out = folder / f"answer-{uuid.uuid4().hex}"
    arguments = [kafka.bootstrap, PEER, str(out), str(count), str(PARTITIONS), f"bench-{uuid.uuid4().hex[:8]}"]
    command = [sys.executable, "-m", "benchmarks.peer.contender", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        sys.exit(f"the contender ended with {done.returncode}: {done.stderr[-800:]}")
    at = json.loads(Path(f"{out}.meta").read_text())
    return {"events": count, "seconds": at["t_done"] - at["t_first"], "cpu": at["cpu_done"] - at["cpu_first"]}


def measured(count: int, plain_count: int, rounds: int) -> dict[str, Result]:
    """Return what each takes: the best of rounds of the floor and what is compared to it, one run of the others."""
    with tempfile.TemporaryDirectory(prefix="csf-bench-") as name:
        folder = Path(name)
        settings = replace(Settings(), data_dir=folder, http_port=free_port(), partitions=PARTITIONS, archive=False)
        kafka = EmbeddedKafka(folder / "kafka", free_port())
        kafka.start(lambda text: print(text, flush=True))
        try:
            make_topics(settings, kafka.bootstrap)
            admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
            admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in (PLAIN, PEER)])
            admin.close()
            made = events(count)
            for topic, some in ((TOPIC, made), (PEER, made), (PLAIN, made[:plain_count])):
                produce(kafka.bootstrap, topic, some, PARTITIONS)
            plain = (kafka.bootstrap, PLAIN, str(plain_count), str(PARTITIONS))
            found = {
                PLAIN_SESSIONS: said("benchmarks.plain_faust", *plain, "sessions"),
                PLAIN_LEAN: said("benchmarks.plain_faust", *plain),
                WHOLE: whole(settings, kafka, count),
            }
            pairs = [
                (said("benchmarks.peer.floor", kafka.bootstrap, PEER, str(count)), same_work(kafka, folder, count))
                for _ in range(rounds)
            ]
        finally:
            kafka.stop()
    found[FLOOR] = min((floor for floor, _ in pairs), key=lambda r: r["cpu"])
    found[SAME_WORK] = min((ours for _, ours in pairs), key=lambda r: r["cpu"])
    return found


def per_cpu(result: Result) -> float:
    """Return events per CPU-second."""
    return result["events"] / result["cpu"]


def table(results: dict[str, Result]) -> str:
    """Return the figures and their ratios to plain Faust and to the floor."""
    lines = [
        "| | events/s | events per CPU-second | × plain Faust | × floor | RSS MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, r in results.items():
        to_plain, to_floor = (per_cpu(r) / per_cpu(results[base]) for base in (PLAIN_LEAN, FLOOR))
        rss = f"{r['rss_mb']:.0f}" if "rss_mb" in r else "-"
        lines.append(
            f"| {name} | {r['events'] / r['seconds']:,.0f} | {per_cpu(r):,.0f} | {to_plain:.1f} | {to_floor:.2f} | {rss} |"
        )
    return "\n".join(lines)


def ratios(results: dict[str, Result]) -> dict[str, float]:
    """Return what is compared from run to run."""
    return {name: round(per_cpu(results[a]) / per_cpu(results[b]), 3) for name, (a, b) in RATIOS.items()}


def fallen(now: dict[str, float], recorded: dict[str, float]) -> list[str]:
    """Return a sentence for each ratio that fell."""
    return [
        f"SLOWER: {name} is {now[name]:.2f}, {1 - now[name] / before:.0%} below the {before:.2f} recorded"
        for name, before in recorded.items()
        if name in now and now[name] < before * (1 - _FALL)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=600_000, help="for the worker and the floor")
    parser.add_argument("--plain-events", type=int, default=30_000, help="for plain Faust, which is slower")
    parser.add_argument("--rounds", type=int, default=3, help="of the floor and the same work, interleaved")
    parser.add_argument("--record", action="store_true", help="keep the result")
    parser.add_argument("--compare", action="store_true", help="tell what fell against the recorded ratios")
    arguments = parser.parse_args()
    results = measured(arguments.events, arguments.plain_events, arguments.rounds)
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    print(f"{where}\n{table(results)}\n{json.dumps(ratios(results))}")
    if arguments.record:
        with _DOC.open("a") as f:
            f.write(f"\n### {datetime.now(UTC):%Y-%m-%d}, {where}: `make bench`\n\n{table(results)}\n")
        _RECORDED.write_text(json.dumps(ratios(results), indent=1) + "\n")
    if arguments.compare:
        recorded = json.loads(_RECORDED.read_text())
        print("\n".join(fallen(ratios(results), recorded)) or f"no ratio fell by more than {_FALL:.0%}")


if __name__ == "__main__":
    main()
