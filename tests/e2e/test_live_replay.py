"""A KPI's new definition is computed from the archive while the worker serves the old one, then takes its place."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.producer import EventProducer
from pipeline.events.envelope import OutEvent
from tests.e2e.conftest import Up, csf

pytestmark = pytest.mark.kafka
NOW = datetime.now(UTC).replace(microsecond=0)
THIS = NOW.replace(day=1, hour=0, minute=0, second=0)
LAST = (THIS - timedelta(days=1)).replace(day=1)
KPI = """
- id: urgent
  csf: reliability
  name: Urgent incidents
  definition: Incidents of high priority.
  unit: "1"
  direction: down
  version: {version}
  measure: {{kind: count, events: [incident.updated], at: opened_at, where: "{where}"}}
"""


class Sender(threading.Thread):
    """Sends incidents opened last month and now, every second one of priority 2, until told to stop."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__()
        self.sent = 0
        self.ending = threading.Event()
        self._producer = EventProducer(bootstrap)

    def send(self, count: int) -> None:
        for i in range(self.sent, self.sent + count):
            opened = (LAST if i % 4 < 2 else NOW) + timedelta(seconds=-i % 50)
            data = {"number": f"INC{i}", "state": "new", "priority": 1 + i % 2, "opened_at": opened.isoformat()}
            self._producer.send(
                "csf.events.incident",
                OutEvent(
                    id=f"i{i}", source="test", type="incident.updated", time=NOW, subject="shop", csfteam="web",
                    data={**data, "updated_at": NOW.isoformat()},
                ),
                key=f"INC{i}",
            )  # fmt: skip
        self._producer.flush()
        self.sent += count

    def run(self) -> None:
        while not self.ending.is_set():
            self.send(4)
            self.ending.wait(0.05)

    def stop(self) -> None:
        self.ending.set()
        if self.is_alive():
            self.join()
        self._producer.close()


def define(data_dir: Path, version: int, where: str) -> None:
    folder = data_dir / "catalogue" / "kpis"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.yaml").write_text(KPI.format(version=version, where=where))


def months(run: Up, kpi: str) -> dict[str, tuple[Any, Any]]:
    """Return value and definition version a month, as the API has them; nothing while the worker is away."""
    done = csf(
        "kpis", "--kpi", kpi, "--period", "month", "--scope", "org", "--format", "json", "--data-dir", str(run.data_dir)
    )
    if done.returncode:
        return {}
    return {r["start"][:7]: (r["value"], r["definition_version"]) for r in json.loads(done.stdout)}


def until(run: Up, kpi: str, wanted: dict[str, tuple[Any, Any]]) -> None:
    end, found = time.monotonic() + 120, {}
    while time.monotonic() < end:
        found = months(run, kpi)
        if found == wanted:
            return
        time.sleep(0.5)
    pytest.fail(f"{kpi}: {found} never became {wanted}")


def wanted(sent: int, share: int, version: int) -> dict[str, tuple[float, int]]:
    """Return what both months must say when one in ``share`` incidents counts."""
    return {f"{m:%Y-%m}": (sent / 2 / share, version) for m in (LAST, THIS)}


def test_a_new_definition_takes_over_from_the_old_one_without_a_gap(tmp_path: Path, up: Callable[..., Up]) -> None:
    define(tmp_path, 1, "priority == 1")
    run = up(tmp_path, "--no-demo")
    run.until("csf-pulse is at")
    sender = Sender(json.loads((tmp_path / "state.json").read_text())["bootstrap"])
    sender.send(400)
    until(run, "urgent", wanted(400, 2, 1))
    define(tmp_path, 2, "priority <= 2")
    sender.start()
    replayed = csf("replay", "--data-dir", str(tmp_path))
    sender.stop()
    assert replayed.returncode == 0, replayed.stderr
    assert "state is switched" in replayed.stdout
    assert sender.sent > 400
    until(run, "urgent", wanted(sender.sent, 1, 2))
    until(run, "incidents", wanted(sender.sent, 1, 1))
    # the old definition's values are still there for whoever asks for them
    with sqlite3.connect(tmp_path / "kpis.db") as store:
        query = "SELECT definition_version, max(value) FROM period_values WHERE kpi = 'urgent' AND scope = 'org'"
        found = dict(store.execute(f"{query} AND period = 'month' AND start = ? GROUP BY 1", (int(LAST.timestamp()),)))
    assert found.keys() == {1, 2}
    assert 100 <= found[1] <= sender.sent / 4
    log = (tmp_path / "logs" / "worker.log").read_text()
    assert "another worker writes there too, or csf replay" in log
    # it goes on from there, also after the next restart
    total = sender.sent + 40
    sender = Sender(json.loads((tmp_path / "state.json").read_text())["bootstrap"])
    sender.sent = total - 40
    sender.send(40)
    sender.stop()
    until(run, "urgent", wanted(total, 1, 2))
    assert run.stop() == 0
    # a definition that changed without its version is refused in one sentence
    define(tmp_path, 2, "priority == 2")
    refused = csf("up", "--no-demo", "--data-dir", str(tmp_path), "--port", str(run.port))
    assert refused.returncode != 0
    assert "KPI 'urgent' is defined in another way" in refused.stdout + refused.stderr
