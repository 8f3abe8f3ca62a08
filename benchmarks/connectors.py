"""Connectors on a real broker: ``python -m benchmarks.connectors pull|follow``.

``pull``: the command reads a million incidents from a Table API of this machine, a process of its own, by the shipped declaration
of ServiceNow (pages of 1,000, after every page the question for ties), until its cursor is at the end. ``follow``: the command
follows an access log that gains so many lines a second.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import psutil
import yaml
from kafka import KafkaConsumer, TopicPartition

from agents.topics import ensure_topics, topic_specs
from cli.embedded.kafka import EmbeddedKafka, free_port
from connectors.cursors import read_cursors
from pipeline.events.families import event_topic

_PAGE = 1000
#: Ten records of one second: real tables have many that a script wrote at once.
_TIES = 10
_BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
_FORM = "%Y-%m-%d %H:%M:%S"
_AFTER = re.compile(r"sys_updated_on>([^^]+)\^")
_TIE = re.compile(r"sys_updated_on=([^^]+)\^sys_id>([^^]+)\^")
_LINE = (
    '203.0.113.{a} - - [{at}] "GET /shop/item/{n} HTTP/1.1" 200 {size} "https://shop.example.org/" '
    '"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" 0.{ms:03}\n'
)


def row(n: int) -> dict[str, str]:
    """Return incident number n of the table, in the order of its updates."""
    at = (_BEGIN + timedelta(seconds=n // _TIES)).strftime(_FORM)
    return {
        "sys_id": f"{n:032x}", "number": f"INC{n:07}", "state": str(1 + n % 3), "priority": str(1 + n % 5), "opened_at": at,
        "resolved_at": "", "closed_at": "", "sys_updated_on": at, "sys_mod_count": "1", "reopen_count": "0", "made_sla": "true",
        "major_incident_state": "", "business_service": f"service-{n % 50}", "cmdb_ci": "",
    }  # fmt: skip


def asked_for(query: str, count: int) -> range:
    """Return the numbers of the incidents that a question of the declaration asks for."""
    if tie := _TIE.match(query):
        first = int(tie[2], 16) + 1
        return range(min(first, count), min(count, (first + _TIES - 1) // _TIES * _TIES))
    since = datetime.strptime(_AFTER.search(query)[1], _FORM).replace(tzinfo=UTC)  # type: ignore[index]  # our own declaration asks so
    first = min(count, max(0, (int((since - _BEGIN).total_seconds()) + 1) * _TIES))
    return range(first, min(count, first + _PAGE))


def serve(port: int, count: int) -> None:
    """Be the Table API."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            (query,) = parse_qs(urlsplit(self.path).query)["sysparm_query"]
            body = msgspec.json.encode({"result": [row(n) for n in asked_for(query, count)]})
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


class Watched:
    """A connector's process: its seconds of CPU and its highest memory so far."""

    def __init__(self, folder: Path, bootstrap: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "cli", "connector", "run", *arguments]
        environment = {**os.environ, "USER_NAME": "bench", "USER_PASSWORD": "bench-password"}
        self.process = subprocess.Popen(
            [*command, "--bootstrap", bootstrap, "--data-dir", str(folder / "data")], env=environment
        )
        self._seen = psutil.Process(self.process.pid)
        self.cpu = self.peak_mb = 0.0
        self.began = time.monotonic()

    def look(self) -> None:
        """Take figures, as long as it lives."""
        try:
            times = self._seen.cpu_times()
            self.cpu = times.user + times.system
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.peak_mb = max(self.peak_mb, int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)  # type: ignore[index]  # none is a TypeError, caught
        except (psutil.Error, OSError, TypeError):
            return


def counted(bootstrap: str, families: list[str]) -> int:
    """Return how many events topics hold, those of batches counted each."""
    number = 0
    for family in families:
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
        places = [TopicPartition(event_topic(family), p) for p in consumer.partitions_for_topic(event_topic(family))]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        consumer.seek_to_beginning(*places)
        while any(consumer.position(p) < ends[p] for p in places):
            for records in consumer.poll(500).values():
                number += sum(len(json.loads(r.value)) if r.value[:1] == b"[" else 1 for r in records)
        consumer.close()
    return number


def pull(folder: Path, bootstrap: str, count: int) -> None:
    """Read a table to its end."""
    port = free_port()
    api = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.connectors", "serve", "--port", str(port), "--count", str(count)]
    )
    entry = {
        "name": "bench", "connector": "servicenow", "options": {"address": f"http://127.0.0.1:{port}"}, "streams": ["incident"],
        "auth": {"use": "basic", "username": {"env": "USER_NAME"}, "password": {"env": "USER_PASSWORD"}}, "since": "2024-12-31",
    }  # fmt: skip
    (folder / "connectors.yaml").write_text(yaml.safe_dump([entry]))
    try:
        watched = Watched(folder, bootstrap, "bench", "--once", "--config", str(folder / "connectors.yaml"))
        while watched.process.poll() is None:
            watched.look()
            time.sleep(0.2)
        seconds = time.monotonic() - watched.began
        assert watched.process.returncode == 0
    finally:
        api.terminate()
    found = counted(bootstrap, ["incident"])
    assert found == count, f"{found} events of {count} incidents"
    print(
        f"{count:,} incidents in {seconds:.1f} s, all acknowledged: {count / seconds:,.0f} a second; "
        f"{count / watched.cpu:,.0f} a second of its CPU; highest memory {watched.peak_mb:.0f} MB"
    )


def follow(folder: Path, bootstrap: str, rate: int, seconds: int) -> None:
    """Follow a log that gains ``rate`` lines a second."""
    log = folder / "access.log"
    log.touch()
    watched = Watched(folder, bootstrap, "access-log", "--path", str(log), "--service", "shop", "--name", "bench")
    writer = threading.Thread(target=write, args=(log, rate, seconds))
    writer.start()
    written = 0.0
    while True:
        watched.look()
        time.sleep(0.2)
        if writer.is_alive():
            continue
        written = written or time.monotonic()
        place = read_cursors(bootstrap).get(f"access-log/shop/bench/{log.name}")
        if place is not None and place["offset"] == log.stat().st_size:
            break
    late = time.monotonic() - written
    watched.look()
    watched.process.terminate()
    watched.process.wait(30)
    lines = rate * seconds
    found = counted(bootstrap, ["performance"])
    assert found == lines, f"{found} requests of {lines} lines"
    print(
        f"{lines:,} lines at {rate:,} a second; the last acknowledged and its place kept {late:.1f} s after it was written; "
        f"{lines / watched.cpu:,.0f} a second of its CPU; highest memory {watched.peak_mb:.0f} MB"
    )


def write(log: Path, rate: int, seconds: int) -> None:
    """Write lines, a tenth of a second's at once."""
    begun, n = time.monotonic(), 0
    with log.open("a") as out:
        for tenth in range(seconds * 10):
            at = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
            out.write(
                "".join(
                    _LINE.format(a=i % 250, at=at, n=i % 997, size=500 + i % 9000, ms=i % 900)
                    for i in range(n, n + rate // 10)
                )
            )
            out.flush()
            n += rate // 10
            time.sleep(max(0.0, begun + (tenth + 1) / 10 - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pull", "follow", "serve"])
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    if given.what == "serve":
        serve(given.port, given.count)
        return
    with tempfile.TemporaryDirectory(prefix="csf-connectors-") as temporary:
        folder = Path(temporary)
        kafka = EmbeddedKafka(folder / "kafka", free_port())
        kafka.start()
        try:
            ensure_topics(kafka.bootstrap, topic_specs(group="bench", partitions=4))
            if given.what == "pull":
                pull(folder, kafka.bootstrap, given.count)
            else:
                follow(folder, kafka.bootstrap, given.rate, given.seconds)
        finally:
            kafka.stop()


if __name__ == "__main__":
    main()
