"""A real Kafka, worker processes on it, and what is needed to feed and to read them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from agents.topics import ensure_topics, topic_specs
from pipeline.stores.sqlite import SqliteStore
from tests.paths import ROOT

USAGE = "csf.events.usage"


def until(condition, seconds=60.0, what="condition"):
    """Await a condition and return its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} not reached in {seconds} s"
        time.sleep(0.05)


def fresh_topics(bootstrap, group, partitions=2):
    """Remove every topic and make them anew."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    names = [t["name"] for t in admin.describe_topics() if not t["name"].startswith("__")]
    if names:
        admin.delete_topics(names)
        until(lambda: not {t["name"] for t in admin.describe_topics()} & set(names), what="topics gone")
    admin.close()
    ensure_topics(bootstrap, topic_specs(group=group, partitions=partitions))


class Worker:
    """A worker process with counting engines."""

    def __init__(self, bootstrap, directory, **settings):
        self.directory = Path(directory)
        self.log = self.directory / f"worker-{time.monotonic_ns()}.log"
        env = {**os.environ, "LOG": "INFO"}
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.agents.counting", bootstrap, str(directory), json.dumps(settings)],
                cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def output(self):
        return self.log.read_text()

    def url(self):
        found = [line for line in self.output.splitlines() if "serving http://" in line]
        return found[0].rpartition("serving ")[2] if found else None

    def get(self, path):
        """Return (status, body), or None where nothing answers."""
        assert self.process.poll() is None, self.output[-3000:]
        url = self.url()
        if url is None:
            return None
        try:
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError:
            return None

    def progress(self):
        answer = self.get("/api/v1/progress?fresh=1")
        return json.loads(answer[1]) if answer and answer[0] == 200 else {}

    def metric(self, line):
        answer = self.get("/metrics")
        rows = [r for r in (answer[1] if answer else "").splitlines() if r.startswith(line)]
        return float(rows[0].rpartition(" ")[2]) if rows else 0.0

    def recovered(self, seconds=60.0):
        until(lambda: self.progress().get("recovered"), seconds, "recovery")
        return self

    def caught_up(self, seconds=60.0):
        until(lambda: self.progress().get("caught_up"), seconds, "catching up")
        return self

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        self.process.terminate()
        return self.process.wait(40)


class Feeder:
    """Produces counted events into one topic."""

    def __init__(self, bootstrap, partitions=2):
        self.bootstrap, self.partitions = bootstrap, partitions
        self.sent = 0
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, batch_size=200_000)

    def feed(self, count, topic=USAGE):
        for _ in range(count):
            value = json.dumps({"id": self.sent, "n": self.sent % 7, "pad": "x" * 100}).encode()
            self._producer.send(topic, value, partition=self.sent % self.partitions)
            self.sent += 1
        self._producer.flush()

    def raw(self, topic, partition, value, key=None):
        self._producer.send(topic, value, key=key, partition=partition).get(30)

    def close(self):
        self._producer.close()


def totals(directory):
    """Return what the store says of the usage topic: (sum of n, events, distinct ids, doubled)."""
    store = SqliteStore(Path(directory) / "kpis.db", read_only=True)
    rows = [v for v in store.periods(period="month") if USAGE in v.scope]
    store.close()
    return tuple(int(sum(getattr(v, f) for v in rows)) for f in ("value", "count", "numerator", "denominator"))


def expected(sent):
    """Return what ``totals`` must be when every event counted exactly once."""
    return sum(i % 7 for i in range(sent)), sent, sent, 0


def read_topic(bootstrap, topic, partition=0):
    """Return every record (offset, key, value) of a partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    tp = TopicPartition(topic, partition)
    consumer.assign([tp])
    end = consumer.end_offsets([tp])[tp]
    consumer.seek_to_beginning(tp)
    records = []
    while consumer.position(tp) < end:
        for batch in consumer.poll(timeout_ms=500).values():
            records += [(r.offset, r.key, r.value) for r in batch]
    consumer.close()
    return records


def committed(bootstrap, group, topic, partition):
    """Return (committed offset, end of the log) of a partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    tp = TopicPartition(topic, partition)
    found = consumer.committed(tp), consumer.end_offsets([tp])[tp]
    consumer.close()
    return found
