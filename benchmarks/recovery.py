"""``python -m benchmarks.recovery --keys 1000000``: a worker with that much live state is killed and started again.

A *state key* is one thing that the engines must hold to stay exact: an open session, an incident, a cell of ingest or of
rollup. The ids of the events seen, one an event, are held beside them and not counted. Nine in ten keys are sessions of
visitors of their own, one is an incident. Measured from the start of the new process: until it serves, until it has its
partitions, until it has read its changelog, until it is ready, and until the store holds a probe event sent meanwhile.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents.topics import changelog_topic
from benchmarks.latency import PROBE, feed, in_store
from cli.embedded.instance import Child, Instance, get_json, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings
from pipeline.events.families import event_topic

SERVICES, BATCH = 200, 1_000
_encode = msgspec.json.Encoder().encode


def envelope(kind: str, service: str, at: datetime, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": uuid.uuid4().hex, "source": "bench", "type": kind, "subject": service,
        "time": at.isoformat(timespec="milliseconds"), "csfteam": "bench", "datacontenttype": "application/json", "data": data,
    }  # fmt: skip


def page_view(number: int, now: datetime, rng: random.Random) -> dict[str, Any]:
    data = {
        "user": f"user-{number}", "session": f"s{number}", "path": f"/p/{number % 200}", "status": 200,
        "duration_ms": rng.randrange(20, 2_000),
    }  # fmt: skip
    at = now - timedelta(seconds=rng.random() * 600)
    return envelope("page.viewed", f"svc-{number % SERVICES:03d}", at, data)


def incident(number: int, now: datetime, rng: random.Random) -> dict[str, Any]:
    opened = now - timedelta(days=rng.random() * 30)
    resolved = opened + timedelta(hours=rng.expovariate(1 / 20))
    data = {
        "number": f"INC{number:07d}", "state": "resolved" if resolved < now else "in_progress",
        "priority": 1 + number % 4, "opened_at": opened.isoformat(), "updated_at": min(resolved, now).isoformat(),
        "resolved_at": resolved.isoformat() if resolved < now else None,
    }  # fmt: skip
    return envelope("incident.updated", f"svc-{number % SERVICES:03d}", min(resolved, now), data)


def fill(bootstrap: str, keys: int, partitions: int) -> int:
    """Produce the events that make so many sessions and incidents; return how many."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, linger_ms=20, batch_size=2**20, acks=1, max_request_size=2**22
    )
    rng, now = random.Random(11), datetime.now(UTC)
    visits = keys * 9 // 10
    for topic, make, count in (("usage", page_view, visits), ("incident", incident, keys - visits)):
        for first in range(0, count, BATCH):
            made = [make(n, now, rng) for n in range(first, min(count, first + BATCH))]
            producer.send(event_topic(topic), _encode(made), partition=first // BATCH % partitions)
    producer.flush()
    return keys


class Probes(threading.Thread):
    """Sends a page view of a probe service four times a second, and notes when."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks=1)
        self.sent: list[float] = []
        self.ending = threading.Event()

    def run(self) -> None:
        rng = random.Random(5)
        while not self.ending.wait(0.25):
            event = page_view(len(self.sent), datetime.now(UTC), rng) | {"subject": PROBE}
            event["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._producer.send(event_topic("usage"), _encode(event), partition=0)
            self.sent.append(time.time())


def log_size(kafka: EmbeddedKafka, topic: str, partitions: int) -> tuple[int, int]:
    """Return (bytes on disk, offsets) of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap)
    tps = [TopicPartition(topic, p) for p in range(partitions)]
    offsets = sum(consumer.end_offsets(tps).values()) - sum(consumer.beginning_offsets(tps).values())
    consumer.close()
    return sum(f.stat().st_size for f in (kafka.folder / "logs").glob(f"{topic}-*/*.log")), offsets


@dataclass
class Milestones:
    """Seconds from the start of a process to what its log tells, and to what others see."""

    started: float
    log: Path
    skip: int

    def of(self, pattern: str) -> float | None:
        """Return when the log first told of a pattern."""
        with self.log.open("rb") as f:
            f.seek(self.skip)
            text = f.read().decode(errors="replace")
        found = re.search(rf"^(\S+ \S+?),(\d+) .*{pattern}", text, re.MULTILINE)
        if found is None:
            return None
        at = datetime.fromisoformat(found[1]).timestamp() + int(found[2]) / 1000
        return at - self.started


def until(condition: Any, seconds: float, what: str) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise SystemExit(f"{what} not reached in {seconds:.0f} s")
        time.sleep(0.02)
    return value


def ask(url: str) -> Any:
    try:
        return get_json(url)
    except (OSError, ValueError):
        return None


def restart(child: Child, settings: Settings, bootstrap: str, *, kill: bool) -> list[tuple[str, float | None]]:
    """End the worker and start it again at once; return the milestones of the new one."""
    http = f"http://127.0.0.1:{settings.http_port}"
    store = iter(in_store(settings.store_path))
    assert child.process is not None
    counted = next(store)
    probes = Probes(bootstrap)
    if kill:
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()
    else:
        child.stop()
    skip = child.log.stat().st_size
    probes.start()
    at = Milestones(time.time(), child.log, skip)
    child.start()
    until(lambda: ask(f"{http}/readyz"), 180, "readiness")
    ready = time.time() - at.started
    until(lambda: next(store) > counted, 120, "the first probe in the store")
    stored = time.time() - at.started
    probes.ending.set()
    probes.join()
    return [
        ("serves its address", at.of("serving http")),
        ("has its partitions", at.of("partitions assigned")),
        ("state recovered", at.of("state recovered")),
        ("ready", ready),
        ("the first new value in the store", stored),
    ]


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    settings = replace(
        Settings(), data_dir=folder, http_port=free_port(), partitions=arguments.partitions, archive=False
    )
    kafka = EmbeddedKafka(folder / "kafka", free_port())
    kafka.start(lambda text: print(text, flush=True))
    child = worker_child(settings, kafka.bootstrap)
    try:
        make_topics(settings, kafka.bootstrap)
        child.start()
        instance = Instance(settings, kafka.bootstrap, f"http://127.0.0.1:{settings.http_port}", (child,))
        instance.await_ready(child)
        started = time.time()
        fill(kafka.bootstrap, arguments.keys, arguments.partitions)
        print(f"{arguments.keys:,} events made in {time.time() - started:.0f} s", flush=True)
        instance.wait_until_caught_up()
        if arguments.churn:
            feed(kafka.bootstrap, arguments.rate, arguments.churn, arguments.partitions, 500)
            instance.wait_until_caught_up()
        print(f"caught up after {time.time() - started:.0f} s", flush=True)
        time.sleep(arguments.settle)
        rows = []
        for number in range(arguments.rounds):
            size, records = log_size(kafka, changelog_topic(settings.group), arguments.partitions)
            steps = restart(child, settings, kafka.bootstrap, kill=not arguments.orderly)
            assert child.process is not None
            rss = psutil.Process(child.process.pid).memory_info().rss / 2**20
            print(
                f"round {number}: changelog {size / 2**20:.0f} MiB, {records:,} offsets; worker {rss:.0f} MB",
                flush=True,
            )
            for name, took in steps:
                print(f"    {name}: {'-' if took is None else f'{took:.2f} s'}", flush=True)
            rows.append(steps)
            instance.wait_until_caught_up()
        print("| seconds to | " + " | ".join(f"round {n + 1}" for n in range(len(rows))) + " |")
        print("| --- |" + " --- |" * len(rows))
        for step in zip(*rows, strict=True):
            print(f"| {step[0][0]} | " + " | ".join("-" if t is None else f"{t:.2f}" for _, t in step) + " |")
        for line in child.log.read_text().splitlines():
            if "recovered" in line or "restored" in line:
                print(line)
    finally:
        child.stop()
        kafka.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--churn", type=int, default=0, help="seconds of further page views, which make the log longer")
    parser.add_argument("--rate", type=int, default=5_000, help="of those, a second")
    parser.add_argument("--settle", type=int, default=5)
    parser.add_argument("--orderly", action="store_true", help="stop the worker instead of killing it")
    parser.add_argument("--keep", type=Path, help="a folder to work in, kept")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        measure(arguments, arguments.keep)
        return
    with tempfile.TemporaryDirectory(prefix="csf-recovery-") as folder:
        measure(arguments, Path(folder))


if __name__ == "__main__":
    main()
