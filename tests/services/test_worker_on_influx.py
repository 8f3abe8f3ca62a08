"""The production shape, natively: ``csf worker`` on Kafka and a real InfluxDB, scraped by a real Prometheus."""

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.embedded.catching_up import CatchingUp
from cli.embedded.kafka import EmbeddedKafka, free_port
from connectors.producer import EventProducer
from pipeline.events.envelope import OutEvent
from tests.paths import ROOT
from tests.services.influx import Influx
from tests.services.prometheus import start_prometheus, stop_all

pytestmark = pytest.mark.services
NOW = datetime.now(UTC).replace(microsecond=0)


class Production:
    """Kafka, InfluxDB and the settings by which a worker finds them."""

    def __init__(self, folder: Path, influx: Influx) -> None:
        self.kafka = EmbeddedKafka(folder / "kafka", free_port())
        self.kafka.start()
        self.port = free_port()
        self.log = folder / "worker.log"
        token = folder / "token"
        token.write_text(influx.token)
        self.environment = {
            **os.environ,
            "CSF_BOOTSTRAP": self.kafka.bootstrap,
            "CSF_PARTITIONS": "4",
            "CSF_STORE": "influx",
            "CSF_INFLUX_URL": influx.url,
            "CSF_INFLUX_ORG": influx.org,
            "CSF_INFLUX_TOKEN_FILE": str(token),
            "CSF_HTTP_PORT": str(self.port),
            "CSF_DATA_DIR": str(folder / "data"),
            "CSF_TICK_S": "1",
        }

    def worker(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "cli", "worker"], cwd=ROOT, env=self.environment, stdout=out, stderr=out
            )

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return bytes(answer.read())

    def until_caught_up(self) -> None:
        end, catching_up, done = time.monotonic() + 90, CatchingUp(), False
        while not done:
            assert time.monotonic() < end, self.log.read_text()[-2000:]
            with suppress(OSError):
                done = catching_up.done(json.loads(self.get("/api/v1/progress?fresh=1")))
            time.sleep(0.1)

    def values(self, kpi: str) -> dict[str, float]:
        command = [sys.executable, "-m", "cli", "kpis", "--kpi", kpi, "--period", "day", "--format", "json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {r["start"][:10]: r["value"] for r in json.loads(done.stdout)}

    def send(self, first: int, count: int) -> None:
        producer = EventProducer(self.kafka.bootstrap)
        for i in range(first, first + count):
            data = {
                "number": f"INC{i}", "state": "resolved", "opened_at": (NOW - timedelta(hours=4)).isoformat(),
                "updated_at": NOW.isoformat(), "resolved_at": (NOW - timedelta(hours=i % 3)).isoformat(),
            }  # fmt: skip
            event = OutEvent(
                id=f"i{i}", source="t", type="incident.updated", time=NOW, subject="shop", data=data, csfteam="web"
            )
            producer.send("csf.events.incident", event, key=f"INC{i}")
        producer.flush()
        producer.close()


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Production]:
    influx = Influx(tmp_path / "influx")
    made = Production(tmp_path, influx)
    yield made
    made.kafka.kill()
    influx.server.stop()
    stop_all()


def test_values_reach_influxdb_through_kills_and_are_scraped(production: Production, tmp_path: Path) -> None:
    worker = production.worker()
    try:
        production.until_caught_up()
        production.send(0, 300)
        production.until_caught_up()
        worker.kill()
        worker.wait()
        production.send(250, 150)  # some of them again, while nobody works
        worker = production.worker()
        production.until_caught_up()
        opened = production.values("incidents")
        assert sum(v or 0 for v in opened.values()) == 400
        url = start_prometheus([f"127.0.0.1:{production.port}"], tmp_path / "prometheus")
        query = urllib.parse.urlencode({"query": "sum(csf_messages_folded_total)"})
        end = time.monotonic() + 60
        while True:
            with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
            if found and float(found[0]["value"][1]) > 0:
                break
            assert time.monotonic() < end, "Prometheus never saw the worker's metrics"
            time.sleep(0.5)
    finally:
        worker.terminate()
        assert worker.wait(40) == 0
