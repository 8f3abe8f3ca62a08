"""``python -m benchmarks.rebalance``: how long values stand still while workers come, leave and die.

Probes of one service a partition are sent four times a second; the longest time between two probes' arrivals in the store is
the pause, for each: a third worker joins, it leaves in order, one is killed (and comes back), one is killed for good.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from kafka import KafkaProducer

from benchmarks.recovery import ask, fill, page_view, until
from cli.embedded.instance import Child, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings
from pipeline.errors import CsfError
from pipeline.events.families import event_topic
from pipeline.stores.sqlite import SqliteStore

PARTITIONS = 6
KPI, WINDOW = "client_error_rate", "1h"
_encode = msgspec.json.Encoder().encode


class Probes(threading.Thread):
    """Sends probes into every partition, each for a service of its own, and notes when the store counts them."""

    def __init__(self, bootstrap: str, stores: list[Path]) -> None:
        super().__init__(daemon=True)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks=1)
        #: one a worker: SQLite has one writer
        self._stores = stores
        self.ending = threading.Event()
        #: service → when its count last grew; and the longest pauses since ``begin``
        self._counts: dict[str, int] = {}
        self._grew: dict[str, float] = {}
        self.pauses: dict[str, float] = {}

    def begin(self) -> None:
        """Forget what was measured."""
        self.pauses = {}

    def run(self) -> None:
        rng, opened, number = random.Random(3), {}, 0
        scopes = [f"service:probe-{p}" for p in range(PARTITIONS)]
        while not self.ending.wait(0.05):
            now = time.time()
            if number % 5 == 0:
                stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
                for partition in range(PARTITIONS):
                    event = page_view(number, datetime.now(UTC), rng) | {"subject": f"probe-{partition}", "time": stamp}
                    self._producer.send(event_topic("usage"), _encode(event), partition=partition)
            number += 1
            for path in self._stores:
                if path not in opened and path.exists():
                    with suppress(CsfError):  # just being made
                        opened[path] = SqliteStore(path, read_only=True)
            found = [v for store in opened.values() for v in store.live(window=WINDOW, kpis=[KPI], scopes=scopes)]
            for value in found:
                if value.count > self._counts.get(value.scope, 0):
                    self._counts[value.scope] = value.count
                    self._grew[value.scope] = now
            for scope, grew in self._grew.items():
                self.pauses[scope] = max(self.pauses.get(scope, 0.0), now - grew)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=50_000, help="live state keys")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="csf-rebalance-") as folder:
        root = Path(folder)
        kafka = EmbeddedKafka(root / "kafka", free_port())
        kafka.start(lambda text: print(text, flush=True))
        workers: list[tuple[Settings, Child]] = []
        try:
            for number in range(3):
                home = root / f"worker-{number}"
                home.mkdir()
                settings = replace(
                    Settings(), data_dir=home, http_port=free_port(), partitions=PARTITIONS, archive=False
                )
                workers.append((settings, worker_child(settings, kafka.bootstrap)))
            make_topics(workers[0][0], kafka.bootstrap)
            run(arguments, kafka, workers, root)
        finally:
            for _, child in workers:
                child.stop()
            kafka.stop()


def start(worker: tuple[Settings, Child]) -> None:
    """Start a worker and wait until it serves."""
    worker[1].start()
    until(lambda: (ask(f"http://127.0.0.1:{worker[0].http_port}/readyz") or {}).get("recovered"), 120, "recovery")


def run(arguments: argparse.Namespace, kafka: EmbeddedKafka, workers: list[tuple[Settings, Child]], root: Path) -> None:
    first, second, third = workers
    start(first)
    start(second)
    fill(kafka.bootstrap, arguments.keys, PARTITIONS)
    for settings, _ in (first, second):
        until(
            lambda s=settings: (ask(f"http://127.0.0.1:{s.http_port}/api/v1/progress") or {}).get("pending") == 0,
            300, "what was filled in",
        )  # fmt: skip
    probes = Probes(kafka.bootstrap, [settings.store_path for settings, _ in workers])
    probes.start()
    until(lambda: len(probes.pauses) == PARTITIONS, 300, "the first probes")
    print("| what happens | longest pause, s | median of the partitions, s |\n| --- | --- | --- |", flush=True)

    def measure(what: str, act: Callable[[], object]) -> None:
        time.sleep(3)
        probes.begin()
        act()
        time.sleep(8)
        found = sorted(probes.pauses.values())
        print(f"| {what} | {found[-1]:.1f} | {found[len(found) // 2]:.1f} |", flush=True)

    def kill(child: Child) -> None:
        assert child.process is not None
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()

    def kill_and_start() -> None:
        kill(third[1])
        start(third)

    measure("nothing", lambda: None)
    measure("a third worker joins", lambda: start(third))
    measure("it leaves in order", third[1].stop)
    measure("it joins again", lambda: start(third))
    measure("it is killed and started again at once", kill_and_start)
    measure("it is killed for good", lambda: kill(third[1]))
    probes.ending.set()


if __name__ == "__main__":
    main()
