"""``python -m benchmarks.alerting``: how long it takes from an event that crosses a threshold to the notification.

Ten rules over 500 services are 5,000 rules x scopes, a tenth of which fires all the time; while page views of all services arrive
at a steady rate, a probe of a service of its own fails twice a second, and a webhook receiver notes when it hears of it. The
route waits a second for others to tell together (the default), which is part of the time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from kafka import KafkaProducer

from benchmarks.workload import TOPIC
from cli.embedded.instance import Instance, make_topics, worker_child
from cli.embedded.kafka import EmbeddedKafka, free_port
from cli.settings import Settings

KPI, SERVICES, RULES = "client_error_rate", 500, 10
PROBES_PER_S, WARM_S = 2, 15
_WINDOWS = ("5m", "30m", "1h", "6h", "24h")


def catalogue(folder: Path, hook: str) -> None:
    """Write rules, a channel and routes."""
    base = {"kind": "threshold", "kpi": KPI, "scopes": ["service:*"], "min_sample": 1}
    rules = [{**base, "id": "probe", "window": "5m", "limit": 90}]
    for n in range(RULES - 1):
        rules.append({**base, "id": f"r{n}", "window": _WINDOWS[n % 5], "limit": 1 if n == 0 else 50 + n})
    files = {
        "organisation.yaml": {"derived_alerts": False, "discovered_services": 5_000},
        "alerts/bench.yaml": rules,
        "channels.yaml": [{"id": "hook", "kind": "webhook", "url": hook}],
        "routes.yaml": [{"id": "probes", "match": {"rule": ["probe"]}, "channels": ["hook"]}],
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content))


def receiver(heard: dict[str, float]) -> str:
    """Start a webhook receiver that notes when each scope was raised; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            now = time.time()
            for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
                heard.setdefault(alert["scope"], now)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def feed(bootstrap: str, rate: int, seconds: int) -> dict[str, float]:
    """Send page views of all services at a steady rate, with probes that fail; return when each probe was sent."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=262_144, acks=1)
    rng, turn = random.Random(7), itertools.cycle(range(SERVICES))
    sent: dict[str, float] = {}

    def view(service: str, name: str, status: int) -> None:
        event = {
            "specversion": "1.0", "id": name, "source": "bench", "type": "page.viewed", "subject": service,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "csfteam": "bench",
            "data": {"user": f"u{rng.randrange(5_000)}", "path": "/", "status": status},
        }  # fmt: skip
        producer.send(TOPIC, json.dumps(event).encode(), partition=rng.randrange(2))

    started = time.time()
    for tick in range(seconds * 20):
        for i in range(rate // 20):
            view(f"svc-{next(turn):03d}", f"{started:.0f}-{tick}-{i}", 500 if rng.random() < 0.03 else 200)
        if tick % (20 // PROBES_PER_S) == 0:
            service = f"probe-{tick:05d}"
            sent[f"service:{service}"] = time.time()
            view(service, f"{started:.0f}-{tick}-probe", 500)
        time.sleep(max(0.0, started + (tick + 1) / 20 - time.time()))
    producer.flush()
    print(f"sent {rate // 20 * 20 * seconds:,} events in {time.time() - started:.1f} s")
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    heard: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="csf-alerting-") as folder:
        catalogue(Path(folder) / "own", receiver(heard))
        settings = replace(
            Settings(), data_dir=Path(folder), http_port=free_port(), partitions=2, catalogue_dir=Path(folder) / "own"
        )
        kafka = EmbeddedKafka(Path(folder) / "kafka", free_port())
        kafka.start(lambda text: print(text, flush=True))
        try:
            make_topics(settings, kafka.bootstrap)
            child = worker_child(settings, kafka.bootstrap)
            child.start()
            base = f"http://127.0.0.1:{settings.http_port}"
            Instance(settings, kafka.bootstrap, base, (child,)).await_ready(child)
            sent = feed(kafka.bootstrap, arguments.rate, arguments.seconds)
            deadline = time.time() + 60
            while sent.keys() - heard.keys() and time.time() < deadline:
                time.sleep(0.1)
            child.stop()
        finally:
            kafka.stop()
    first = min(sent.values()) + WARM_S
    counted = {scope: at for scope, at in sent.items() if at >= first}
    took = sorted(heard[scope] - at for scope, at in counted.items() if scope in heard)
    at = [took[min(len(took) - 1, int(len(took) * q))] for q in (0.5, 0.95, 0.99)]
    print(f"{RULES * SERVICES:,} rules x scopes, {arguments.rate:,} events/s")
    print("| seconds to the webhook | median | p95 | p99 | worst | probes |\n| --- | --- | --- | --- | --- | --- |")
    print(f"| | {' | '.join(f'{v:.2f}' for v in (*at, took[-1]))} | {len(took)} of {len(counted)} |")


if __name__ == "__main__":
    main()
