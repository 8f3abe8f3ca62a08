"""``python -m benchmarks.latency --rate 2000``: how long an event takes to the KPI store and to the page.

While page views arrive at a steady rate, a probe service views a page twice a second; the time from its sending until
the store's row, and until the console's stream, counts it is what is measured. All in one embedded process tree.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil
from kafka import KafkaProducer

from benchmarks.workload import TOPIC, events
from cli.embedded.instance import Instance, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings
from pipeline.stores.sqlite import SqliteStore

KPI, PROBE, WINDOW = "client_error_rate", "probe", "1h"
PROBES_PER_S = 2
#: Seconds whose probes are not counted: a page learns of a service that is new within five.
WARM = 8


class Seen(threading.Thread):
    """Notes when each count of probes was seen first; ``counts`` yields them, for ever."""

    def __init__(self, counts: Callable[[], Iterator[int]]) -> None:
        super().__init__(daemon=True)
        self.counts = counts
        self.at: list[float] = []

    def run(self) -> None:
        while True:
            try:
                for counted in self.counts():
                    self.at.extend(itertools.repeat(time.time(), counted - len(self.at)))
            except (OSError, ValueError):
                time.sleep(0.2)


def in_store(path: Path) -> Iterator[int]:
    """Yield what the newest live row of the probe's KPI counts, every 50 ms."""
    store = SqliteStore(path)
    while True:
        values = store.live(window=WINDOW, kpis=[KPI], scopes=[f"service:{PROBE}"])
        yield max((v.count for v in values), default=0)
        time.sleep(0.05)


def on_page(base: str) -> Iterator[int]:
    """Yield what the console's stream tells an open page."""
    query = f"csf=user_friendly_interface&scope=service:{PROBE}&window={WINDOW}"
    with urllib.request.urlopen(f"{base}/api/v1/stream?{query}", timeout=60) as answer:
        event = b""
        for line in answer:
            if line.startswith(b"event:"):
                event = line[6:].strip()
            elif line.startswith(b"data:") and event == b"csf":
                kpis = json.loads(line[5:])["csf"]["kpis"]
                yield max(int(k["count"] or 0) for k in kpis if k["id"] == KPI)


def _rest(raw: bytes) -> bytes:
    """Return an encoded event without its time and id, and without the brace before them."""
    event = msgspec.json.decode(raw)
    return msgspec.json.encode({k: v for k, v in event.items() if k not in {"time", "id"}})[1:]


def _subject(rest: bytes) -> bytes:
    start = rest.index(b'"subject":')
    return rest[start : rest.index(b",", start)]


def feed(bootstrap: str, rate: int, seconds: int, partitions: int, batch: int) -> list[float]:
    """Send page views at a steady rate, with probes between them; return when each probe was sent.

    With ``batch`` above 1 the page views travel as CloudEvents batches of that size, as connectors send them.
    """
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=262_144, acks=1)
    # encoded ahead, without what differs: the sender must not take the time that is measured
    made = [(zlib.crc32(user.encode()) % partitions, _rest(raw)) for user, raw in events(min(100_000, rate * seconds))]
    turn, probe = itertools.cycle(made), made[0][1].replace(_subject(made[0][1]), b'"subject":"%b"' % PROBE.encode())
    sent: list[float] = []
    started = time.time()
    for tick in range(seconds * 20):
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").encode()
        head = b'{"time":"%b","id":"%.0f-%d-' % (stamp, started, tick)
        waiting: list[list[bytes]] = [[] for _ in range(partitions)]
        for i in range(rate // 20):
            partition, rest = next(turn)
            waiting[partition].append(b'%b%d",%b' % (head, i, rest))
        for partition, group in enumerate(waiting):
            for at in range(0, len(group), batch):
                content = b"[%b]" % b",".join(group[at : at + batch]) if batch > 1 else group[at]
                producer.send(TOPIC, content, partition=partition)
        if tick % (20 // PROBES_PER_S) == 0:
            sent.append(time.time())
            producer.send(TOPIC, b'%bprobe",%b' % (head, probe), partition=tick % partitions)
        time.sleep(max(0.0, started + (tick + 1) / 20 - time.time()))
    producer.flush()
    took = time.time() - started
    print(f"sent {rate // 20 * 20 * seconds:,} events in {took:.1f} s")
    return sent


def percentiles(sent: list[float], seen: list[float]) -> str:
    """Return the row of a table: median, p95, p99, worst, in seconds."""
    took = sorted(b - a for a, b in list(zip(sent, seen, strict=False))[WARM * PROBES_PER_S :])
    if not took:
        return "nothing seen"
    at = [took[min(len(took) - 1, int(len(took) * q))] for q in (0.5, 0.95, 0.99)]
    return (
        " | ".join(f"{value:.2f}" for value in (*at, took[-1])) + f" | {len(took)} of {len(sent) - WARM * PROBES_PER_S}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=2_000, help="events a second")
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--batch", type=int, default=1, help="events a message; 1: single events")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="csf-latency-") as folder:
        settings = replace(Settings(), data_dir=Path(folder), http_port=free_port(), partitions=2)
        kafka = EmbeddedKafka(Path(folder) / "kafka", free_port())
        kafka.start(lambda text: print(text, flush=True))
        try:
            make_topics(settings, kafka.bootstrap)
            child = worker_child(settings, kafka.bootstrap)
            child.start()
            base = f"http://127.0.0.1:{settings.http_port}"
            Instance(settings, kafka.bootstrap, base, (child,)).await_ready(child)
            store, page = Seen(lambda: in_store(settings.store_path)), Seen(lambda: on_page(base))
            store.start()
            page.start()
            sent = feed(kafka.bootstrap, arguments.rate, arguments.seconds, settings.partitions, arguments.batch)
            deadline = time.time() + 30
            while min(len(store.at), len(page.at)) < len(sent) and time.time() < deadline:
                time.sleep(0.1)
            assert child.process is not None
            rss = psutil.Process(child.process.pid).memory_info().rss / 2**20
            child.stop()
        finally:
            kafka.stop()
    print(f"{arguments.rate:,} events/s; worker {rss:.0f} MB")
    print("| seconds to | median | p95 | p99 | worst | probes |\n| --- | --- | --- | --- | --- | --- |")
    print(f"| the store | {percentiles(sent, store.at)} |\n| the page | {percentiles(sent, page.at)} |")


if __name__ == "__main__":
    main()
