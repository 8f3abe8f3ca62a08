"""Broker, store, workers and a connector as processes under a supervisor, whose wall clock can be made to jump."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.topics import ensure_topics, topic_specs
from cli.embedded.kafka import EmbeddedKafka, free_port
from connectors.simulator import catalogue_dir
from pipeline.stores.port import KpiStore
from pipeline.stores.sqlite import SqliteStore
from tests.chaos.clock import Clock
from tests.chaos.supervised import Supervised
from tests.services.influx import Influx

PARTITIONS = 2
_DAY_S = 86_400


class Deployment:
    """A whole installation in a folder.

    Args:
        folder: everything is below it.
        store: ``sqlite`` or ``influx``.
        workers: how many workers there are at first; the store SQLite has one.
        letters: the feeder's file.
        rate: events a second of the feeder.
        clock: what broker, workers and feeder take for the time of day.
    """

    def __init__(self, folder: Path, store: str, workers: int, letters: Path, rate: float, clock: Clock) -> None:
        self.folder, self.store, self.clock = folder, store, clock
        self.kafka = EmbeddedKafka(folder / "kafka", free_port())
        self.broker_wanted = self.store_wanted = True
        self._start_broker()
        ensure_topics(self.kafka.bootstrap, topic_specs(group="csf", partitions=PARTITIONS))
        self.influx = Influx(folder / "influx") if store == "influx" else None
        if abs(clock.offset) > _DAY_S:
            self._keep_all()
        self.ports: list[int] = []
        self.disks: dict[int, Path] = {}
        self.workers: list[Supervised] = []
        for _ in range(workers):
            self.add_worker()
        command = [sys.executable, "-m", "tests.chaos.feeder", self.kafka.bootstrap, str(letters), str(rate)]
        self.feeder = Supervised(command, {**os.environ, **clock.environment()}, folder / "feeder.log")
        #: workers replaced by others, for the count of starts
        self.retired: list[Supervised] = []
        #: what is to be undone, and when
        self._later: list[tuple[float, Callable[[], None]]] = []

    def _start_broker(self) -> None:
        with self.clock.preloaded():
            self.kafka.start()

    def _keep_all(self) -> None:
        """Make the bucket of live values without retention: InfluxDB goes by the machine's clock."""
        if self.influx is not None:
            self.influx.api("/api/v2/buckets", {"orgID": self.influx.org_id, "name": "csf_live", "retentionRules": []})

    def add_worker(self) -> Supervised:
        """Add a worker on a data directory of its own, not yet started."""
        number = len(self.workers)
        self.ports.append(free_port())
        self._small_disk(number)
        self.workers.append(self._worker(number))
        return self.workers[-1]

    def _worker(self, number: int, **more: str) -> Supervised:
        environment = {
            **os.environ, **self.clock.environment(), "CSF_BOOTSTRAP": self.kafka.bootstrap,
            "CSF_PARTITIONS": str(PARTITIONS), "CSF_STORE": self.store, "CSF_TICK_S": "1",
            "CSF_HTTP_PORT": str(self.ports[number]), "CSF_DATA_DIR": str(self.folder / f"worker-{number}"),
            "CSF_CATALOGUE_DIR": str(catalogue_dir()), **more,
        }  # fmt: skip
        if self.influx is not None:
            environment |= {
                "CSF_INFLUX_URL": self.influx.url,
                "CSF_INFLUX_ORG": self.influx.org,
                "CSF_INFLUX_TOKEN": self.influx.token,
            }
        log = self.folder / f"worker-{number}.log"
        return Supervised([sys.executable, "-m", "cli", "worker"], environment, log)

    def _small_disk(self, number: int) -> None:
        """Give a worker's archive a disk of its own that can be filled, where mounting one is allowed."""
        archive, disk = self.archive(number), self.folder / f"disk-{number}"
        archive.parent.mkdir(parents=True, exist_ok=True)
        disk.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            archive.mkdir(exist_ok=True)
            return
        archive.symlink_to(disk)
        self.disks[number] = disk

    def archive(self, number: int) -> Path:
        """Return where a worker keeps raw events."""
        return self.folder / f"worker-{number}" / "archive"

    # --- going on ---

    def supervise(self) -> None:
        """Start what ended, undo what is to be undone."""
        now = time.monotonic()
        due, self._later = [d for d in self._later if d[0] <= now], [d for d in self._later if d[0] > now]
        for _, undo in due:
            undo()
        if self.broker_wanted and not self.kafka.alive():
            self._start_broker()
        if self.influx is not None and self.store_wanted and not self.influx.server.alive:
            self.influx.server.start()
        for one in (*self.workers, self.feeder):
            if one is self.feeder and one.process is not None and one.process.poll() == 0:
                one.wanted = False
            one.supervise()

    def watch(self, seconds: float) -> None:
        """Supervise for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.supervise()
            time.sleep(0.05)

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Do something after a while."""
        self._later.append((time.monotonic() + seconds, undo))

    def heal(self) -> None:
        """Undo everything that is still broken."""
        for _, undo in self._later:
            undo()
        self._later = []

    def get(self, number: int, path: str) -> Any:
        """Return what a worker's API says; None where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[number]}{path}", timeout=2) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    # --- the end ---

    def settle(self, seconds: float) -> None:
        """Heal everything, await the feeder, then let one worker do the rest with time standing still."""
        self.heal()
        end = time.monotonic() + seconds
        while self.feeder.wanted:
            assert time.monotonic() < end, f"not fed in {seconds} s: {self.feeder.log.read_text()[-800:]}"
            self.watch(0.1)
        for worker in self.workers:
            worker.end(signal.SIGTERM)
        self.retired.append(self.workers[0])
        last = self.workers[0] = self._worker(0, CSF_TICK_S="3600")
        last.start()
        quiet = 0
        while quiet < 3:
            assert time.monotonic() < end, f"not settled in {seconds} s: {last.log.read_text()[-2500:]}"
            self.watch(0.4)
            said = self.get(0, "/api/v1/progress?fresh=1")
            quiet = quiet + 1 if said and said.get("caught_up") and not said.get("pending") else 0
        assert last.end(signal.SIGTERM) == 0, last.log.read_text()[-2500:]

    def open_store(self) -> KpiStore:
        """Open what the workers wrote."""
        if self.influx is None:
            return SqliteStore(self.folder / "worker-0" / "kpis.db", read_only=True)
        from pipeline.stores.influx import InfluxStore

        return InfluxStore(self.influx.url, self.influx.token, self.influx.org, clock=self.clock.time)

    def close(self) -> None:
        """End everything at once."""
        self._later = []
        for one in (*self.workers, self.feeder):
            one.end()
        if self.influx is not None:
            self.influx.server.kill()
        self.kafka.kill()
        for disk in self.disks.values():
            subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)
