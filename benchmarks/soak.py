"""``make soak``: a deployment fed at a steady rate for an hour; does its memory stay flat?

Embedded Kafka, one worker with everything on, SQLite and the archive. Page views of a busy site arrive as batches of
CloudEvents, a share of the visitors new ones all the time. Sampled are the memory of worker and broker, what is on disk,
how far behind the worker is, and how much it keeps; the least-squares slope of the worker's memory after a warm-up says how flat
it is. The command exits with 1 where events were lost or the worker ended.

What is kept ends at horizons of event time (panes of five minutes: four days), so an hour by the wall clock shows only how it
fills. ``--speed`` lets the events' time and the log's run faster than the clock: at 288 an hour is twelve days.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
from kafka import KafkaProducer

from benchmarks.workload import TOPIC, events
from cli.embedded.instance import Child, Instance, get_json, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings
from pipeline.errors import ServiceUnavailable

PARTITIONS = 2
#: Half of what ``make bench`` measured as the most one worker takes (docs/benchmarks.md).
RATE = 24_000
#: Page views made once and sent again and again, with other times, ids and, as time goes on, other visitors.
POOL = 50_000
BATCH = 50
#: Visitors at a time, how long each stays, seconds of the events' time, and how many of them take turns in a place: the
#: first is back after so many visits.
VISITORS, STAY_S, TURNS = 20_000, 900, 100
_TICK_S = 0.1
COLUMNS = (
    "second", "day", "sent", "folded", "lag", "pending", "worker_mb", "broker_mb", "kafka_disk_mb", "store_mb", "archive_mb",
    "worker_cpu_s", "threads", "files",
)  # fmt: skip


class Feeder(threading.Thread):
    """Sends page views at a rate until told to stop, dated by a clock that runs ``speed`` times as fast and ends at now."""

    def __init__(self, bootstrap: str, arguments: argparse.Namespace) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.failed: Exception | None = None
        self._rate, self._visitors, self._stay_s = arguments.rate, arguments.visitors, arguments.stay
        self._speed, self._began, self._stop_now = arguments.speed, time.time(), threading.Event()
        # the last events of a faster clock are dated now: none is of the future
        self._first = self._began - (self._speed - 1) * arguments.seconds
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=524_288, acks="all")

    @property
    def clock(self) -> float:
        """The time that events are dated, seconds since 1970."""
        return self._first + (time.time() - self._began) * self._speed

    @property
    def day(self) -> float:
        """How many days of events were sent."""
        return (time.time() - self._began) * self._speed / 86_400

    def run(self) -> None:
        """Feed; what goes wrong is kept in ``failed``."""
        try:
            self._feed()
        except Exception as e:
            self.failed = e

    def _feed(self) -> None:
        groups = self._batches()
        started, due = time.monotonic(), 0.0
        while not self._stop_now.is_set():
            due += self._rate * _TICK_S
            while self.sent + BATCH <= due:
                partition, at_ms, raw = next(groups)
                self._producer.send(TOPIC, raw, partition=partition, timestamp_ms=at_ms)
                self.sent += BATCH
            self._stop_now.wait(max(0.0, started + due / self._rate - time.monotonic()))
        self._producer.flush(120)

    def _batches(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield (partition, time in ms, batch) for ever: a visitor keeps to one partition, and is another after a while."""
        places: list[list[tuple[dict[str, Any], int]]] = [[] for _ in range(PARTITIONS)]
        for event in (msgspec.json.decode(raw) for _, raw in events(POOL)):
            place = hash(event["data"]["user"]) % self._visitors
            places[place % PARTITIONS].append((event, place))
        turns = [itertools.cycle(part) for part in places]
        encode = msgspec.json.Encoder().encode
        for number in itertools.count():
            partition, at = number % PARTITIONS, self.clock
            stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
            batch = []
            for i in range(BATCH):
                event, place = next(turns[partition])
                # visitors leave one after the other, not all at once
                turn = int(at / self._stay_s + place / self._visitors) % TURNS
                batch.append(
                    {
                        **event,
                        "time": stamp,
                        "id": f"{self._began:.0f}-{number}-{i}",
                        "data": {**event["data"], "user": f"{place}.{turn}"},
                    }
                )
            yield partition, int(at * 1000), encode(batch)

    def stop(self) -> None:
        """Send what is gathered and end."""
        self._stop_now.set()
        self.join(150)


def disk_mb(path: Path) -> float:
    """Return what lies below a folder, MB."""
    total = 0
    for file in path.rglob("*") if path.is_dir() else path.parent.glob(path.name + "*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:  # gone meanwhile
            continue
    return total / 2**20


def slope(points: list[tuple[float, float]]) -> float:
    """Return the least-squares slope of points (x, y)."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return above / below if below else 0.0


class Sampler:
    """Reads what a deployment uses and how far it is."""

    def __init__(self, settings: Settings, kafka: EmbeddedKafka, child: Child, feeder: Feeder) -> None:
        assert child.process is not None
        self._settings, self._feeder, self._started = settings, feeder, time.monotonic()
        self._http = f"http://127.0.0.1:{settings.http_port}"
        self._worker = psutil.Process(child.process.pid)
        me = psutil.Process()
        self._broker = next(p for p in me.children(recursive=True) if "java" in p.name())
        self._kafka_dir = settings.data_dir / "kafka"

    def sample(self) -> dict[str, float]:
        """Return one row."""
        try:
            said = get_json(f"{self._http}/api/v1/progress?fresh=1", timeout=30)
        except (OSError, ValueError):
            said = {"lag": -1, "pending": -1}
        folded = sum(at for name, at in said.get("positions", {}).items() if name.startswith(TOPIC + "/"))
        return {
            "second": round(time.monotonic() - self._started, 1),
            "day": self._feeder.day,
            "sent": self._feeder.sent,
            "folded": folded * BATCH,
            "lag": said["lag"],
            "pending": said["pending"],
            "worker_mb": self._worker.memory_info().rss / 2**20,
            "broker_mb": self._broker.memory_info().rss / 2**20,
            "kafka_disk_mb": disk_mb(self._kafka_dir),
            "store_mb": disk_mb(self._settings.store_path),
            "archive_mb": disk_mb(self._settings.data_dir / "archive"),
            "worker_cpu_s": sum(self._worker.cpu_times()[:2]),
            "threads": self._worker.num_threads(),
            "files": self._worker.num_fds(),
        }


def shown(rows: list[dict[str, float]], warm_s: float) -> str:
    """Return the table of a run: about twelve rows, and the slopes after the warm-up."""
    step = max(1, len(rows) // 12)
    some = [*rows[::step], *([rows[-1]] if (len(rows) - 1) % step else [])]
    head = "| minute | day | sent | lag, messages | worker MB | broker MB | Kafka disk MB | store MB | archive MB | CPU cores |"
    lines = [head, "| --- |" + " --- |" * 9]
    before = {"second": 0.0, "worker_cpu_s": 0.0}
    for r in some:
        cores = (r["worker_cpu_s"] - before["worker_cpu_s"]) / max(1e-9, r["second"] - before["second"])
        before = r
        lines.append(
            f"| {r['second'] / 60:.1f} | {r['day']:.2f} | {r['sent']:,.0f} | {r['lag']:,.0f} | {r['worker_mb']:.0f} | {r['broker_mb']:.0f} | "
            f"{r['kafka_disk_mb']:.0f} | {r['store_mb']:.1f} | {r['archive_mb']:.0f} | {cores:.2f} |"
        )
    warm = [r for r in rows if r["second"] >= warm_s]
    if len(warm) > 2:
        per_hour = slope([(r["second"] / 3600, r["worker_mb"]) for r in warm])
        last = [r["worker_mb"] for r in warm]
        lines += [
            "",
            f"Worker after {warm_s / 60:.0f} min: {min(last):.0f} to {max(last):.0f} MB, slope {per_hour:+.1f} MB an hour; "
            f"longest lag {max(r['lag'] for r in warm):,.0f} messages of {BATCH} events; {warm[-1]['threads']:.0f} threads, "
            f"{warm[-1]['files']:.0f} files.",
        ]
    return "\n".join(lines)


def run(arguments: argparse.Namespace, folder: Path) -> int:
    """Run the deployment; return the exit code."""
    # the broker ages by the records' time stamps: nothing may go before it was read; its disk is bounded by bytes as well
    hours = 1 + int(arguments.seconds * arguments.speed / 1800)
    settings = replace(Settings(), data_dir=folder, http_port=free_port(), partitions=PARTITIONS, retention_hours=hours)
    kafka = EmbeddedKafka(folder / "kafka", free_port())
    kafka.start(lambda text: print(text, flush=True))
    rows: list[dict[str, float]] = []
    child: Child | None = None
    try:
        make_topics(settings, kafka.bootstrap)
        child = worker_child(settings, kafka.bootstrap)
        child.start()
        instance = Instance(settings, kafka.bootstrap, f"http://127.0.0.1:{settings.http_port}", (child,))
        instance.await_ready(child)
        feeder = Feeder(kafka.bootstrap, arguments)
        feeder.start()
        sampler = Sampler(settings, kafka, child, feeder)
        end = time.monotonic() + arguments.seconds
        while time.monotonic() < end and child.ended() is None and feeder.failed is None:
            time.sleep(min(arguments.every, max(0.0, end - time.monotonic())))
            rows.append(sampler.sample())
            if arguments.csv:
                write_csv(arguments.csv, rows)
        feeder.stop()
        return finish(instance, child, feeder, rows, arguments)
    finally:
        if child is not None:
            child.stop()
        kafka.stop()


def finish(instance: Instance, child: Child, feeder: Feeder, rows: list[dict[str, float]], arguments: Any) -> int:
    """Print what was measured; return 1 where something was lost or ended."""
    if child.ended() is not None:
        print(f"the worker ended: {child.last_words()}")
        return 1
    if feeder.failed is not None:
        print(f"the feeder ended: {feeder.failed!r}")
        return 1
    print(shown(rows, min(arguments.warm, arguments.seconds / 2)))
    try:
        instance.wait_until_caught_up(300)
    except ServiceUnavailable as e:
        print(e)
        return 1
    totals = get_json(f"{instance.http}/api/v1/exits")
    of_topic = [p for p in totals["partitions"] if p["topic"] == TOPIC]
    counted = sum(p["kpi"] + p["duplicate"] + p["dead_letter"] + p["unmapped"] for p in of_topic)
    forgotten = {name: n for p in of_topic for name, n in p["reasons"].items() if name.startswith("forgotten:")}
    print(f"{feeder.sent:,} events were sent, {counted:,} had an exit; forgotten early: {forgotten or 'nothing'}")
    return 0 if counted == feeder.sent else 1


def write_csv(path: Path, rows: list[dict[str, float]]) -> None:
    """Write all samples."""
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE, help=f"events a second [{RATE}]")
    parser.add_argument("--seconds", type=float, default=3600, help="how long [3600]")
    parser.add_argument(
        "--warm", type=float, default=900, help="seconds that count as warm-up, at most half of it [900]"
    )
    parser.add_argument("--speed", type=float, default=1.0, help="seconds of events a second [1]")
    parser.add_argument("--visitors", type=int, default=VISITORS, help=f"visitors at a time [{VISITORS}]")
    parser.add_argument(
        "--stay", type=float, default=STAY_S, help=f"how long one stays, seconds of the events' time [{STAY_S}]"
    )
    parser.add_argument("--every", type=float, default=10, help="seconds between samples [10]")
    parser.add_argument("--csv", type=Path, help="write the samples here, as they come")
    arguments = parser.parse_args()
    print(
        f"{arguments.rate:,} events/s for {arguments.seconds / 60:.0f} min, {arguments.speed:g} times as fast as the clock; {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="csf-soak-") as folder:
        sys.exit(run(arguments, Path(folder)))


if __name__ == "__main__":
    main()
