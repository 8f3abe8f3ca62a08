"""``make bench``: one worker with everything on, against plain Faust with one table, on the same broker.

Both read the same single-event JSON messages; what counts is events per CPU-second and per second in this run, as a
ratio. The result is printed and, with --record, added to docs/benchmarks.md with the command that made it.
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
PLAIN = "bench.plain"
SAME_WORK = "plain Faust, one table"
_DOC = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def ours(settings: Settings, kafka: EmbeddedKafka, count: int) -> dict[str, float]:
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


def plain(kafka: EmbeddedKafka, count: int, *options: str) -> dict[str, float]:
    """Return what plain Faust takes."""
    command = [sys.executable, "-m", "benchmarks.plain_faust", kafka.bootstrap, PLAIN, str(count), str(PARTITIONS)]
    command += options
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        sys.exit(f"plain Faust said nothing: {done.stderr[-800:]}")
    return dict(json.loads(lines[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=600_000, help="for the worker")
    parser.add_argument("--plain-events", type=int, default=30_000, help="for plain Faust, which is slower")
    parser.add_argument("--record", action="store_true", help="add the result to docs/benchmarks.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="csf-bench-") as folder:
        settings = replace(
            Settings(), data_dir=Path(folder), http_port=free_port(), partitions=PARTITIONS, archive=False
        )
        kafka = EmbeddedKafka(Path(folder) / "kafka", free_port())
        kafka.start(lambda text: print(text, flush=True))
        try:
            make_topics(settings, kafka.bootstrap)
            admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
            admin.create_topics([NewTopic(PLAIN, PARTITIONS, 1)])
            admin.close()
            made = events(arguments.events)
            produce(kafka.bootstrap, TOPIC, made, PARTITIONS)
            produce(kafka.bootstrap, PLAIN, made[: arguments.plain_events], PARTITIONS)
            results = {
                SAME_WORK: plain(kafka, arguments.plain_events, "sessions"),
                "the same without sessions": plain(kafka, arguments.plain_events),
            }
            results["csf-pulse, everything on"] = ours(settings, kafka, arguments.events)
        finally:
            kafka.stop()
    report(results, record=arguments.record)


def report(results: dict[str, dict[str, float]], *, record: bool) -> None:
    """Print the figures and their ratios; keep them if asked to."""
    base = results[SAME_WORK]
    rows = []
    for name, r in results.items():
        per_s, per_cpu = r["events"] / r["seconds"], r["events"] / r["cpu"]
        by_s, by_cpu = per_s / (base["events"] / base["seconds"]), per_cpu / (base["events"] / base["cpu"])
        rows.append(
            f"| {name} | {per_s:,.0f} | {per_cpu:,.0f} | {by_s:.1f} | {by_cpu:.1f} | {r.get('rss_mb', 0):.0f} |"
        )
    head = "| | events/s | events per CPU-second | × plain, wall | × plain, CPU | RSS MB |\n| --- | --- | --- | --- | --- | --- |"
    table = "\n".join([head, *rows])
    print(table)
    if record:
        when = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}"
        with _DOC.open("a") as f:
            f.write(f"\n### {when}: `make bench`\n\n{table}\n")


if __name__ == "__main__":
    main()
