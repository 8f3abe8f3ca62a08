"""Broker, store, workers and a connector as processes under a supervisor, with every fault they may meet."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from agents.topics import ensure_topics, topic_specs
from cli.embedded.kafka import EmbeddedKafka, free_port
from connectors.simulator import catalogue_dir
from pipeline.stores.port import KpiStore
from pipeline.stores.sqlite import SqliteStore
from tests.paths import ROOT
from tests.services.influx import Influx

PARTITIONS = 2


class Supervised:
    """A process that is started again whenever it ended and is wanted."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self.log = command, environment, log
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        self.starts = 0
        self.codes: list[int] = []

    def start(self) -> None:
        """Start it; from now on it is wanted."""
        self.wanted = True
        self.starts += 1
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=out, stderr=out, start_new_session=True
            )

    def supervise(self) -> None:
        """Start it again where it ended though it is wanted."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self.codes.append(code)
            self.process = None
            assert len(self.codes) < 10 or set(self.codes[-10:]) != {1}, self.log.read_text()[-1500:]
            if self.wanted:
                self.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it for good; return its exit code."""
        self.wanted = False
        if self.process is None:
            return 0
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            return self.process.wait(60)
        finally:
            self.process = None


class Deployment:
    """A whole installation in a folder.

    Args:
        folder: everything is below it.
        store: ``sqlite`` or ``influx``.
        workers: how many workers there may be; the store SQLite has one.
        letters: the feeder's file.
        rate: events a second of the feeder.
    """

    def __init__(self, folder: Path, store: str, workers: int, letters: Path, rate: float) -> None:
        self.folder, self.store = folder, store
        self.kafka = EmbeddedKafka(folder / "kafka", free_port())
        self.kafka.start()
        ensure_topics(self.kafka.bootstrap, topic_specs(group="csf", partitions=PARTITIONS))
        self.influx = Influx(folder / "influx") if store == "influx" else None
        self.ports = [free_port() for _ in range(workers)]
        self.workers = [self._worker(number) for number in range(workers)]
        command = [sys.executable, "-m", "tests.chaos.feeder", self.kafka.bootstrap, str(letters), str(rate)]
        self.feeder = Supervised(command, dict(os.environ), folder / "feeder.log")
        #: workers replaced by others, for the count of starts
        self.retired: list[Supervised] = []
        self._disks = [disk for number in range(workers) if (disk := self._small_disk(number))]
        #: what is to be undone, and when
        self._later: list[tuple[float, Callable[[], None]]] = []

    def _worker(self, number: int, **more: str) -> Supervised:
        environment = {
            **os.environ, "CSF_BOOTSTRAP": self.kafka.bootstrap, "CSF_PARTITIONS": str(PARTITIONS), "CSF_STORE": self.store,
            "CSF_HTTP_PORT": str(self.ports[number]), "CSF_DATA_DIR": str(self.folder / f"worker-{number}"), "CSF_TICK_S": "1",
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

    def _small_disk(self, number: int) -> Path | None:
        """Give a worker's archive a disk of its own that can be filled; None where that is not allowed here."""
        archive, disk = self.folder / f"worker-{number}" / "archive", self.folder / f"disk-{number}"
        archive.parent.mkdir(parents=True, exist_ok=True)
        disk.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            archive.mkdir(exist_ok=True)
            return None
        archive.symlink_to(disk)
        return disk

    # --- going on ---

    def supervise(self) -> None:
        """Start what ended, undo what is to be undone."""
        now = time.monotonic()
        due, self._later = [d for d in self._later if d[0] <= now], [d for d in self._later if d[0] > now]
        for _, undo in due:
            undo()
        if not self.kafka.alive():
            self.kafka.start()
        for one in (*self.workers, self.feeder):
            if one is self.feeder and one.process is not None and one.process.poll() == 0:
                one.wanted = False
            one.supervise()

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Do something after a while."""
        self._later.append((time.monotonic() + seconds, undo))

    def heal(self) -> None:
        """Undo everything that is still broken."""
        for _, undo in self._later:
            undo()
        self._later = []

    # --- faults ---

    def pause(self, what: Supervised, seconds: float) -> None:
        """Stop a process as a hanging machine would, and wake it later."""
        process = what.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGSTOP)
            self.later(seconds, lambda: process.send_signal(signal.SIGCONT) if process.poll() is None else None)

    def pause_broker(self, seconds: float) -> None:
        """Let the broker be unreachable for a while."""
        self._broker(signal.SIGSTOP)
        self.later(seconds, lambda: self._broker(signal.SIGCONT))

    def _broker(self, number: signal.Signals) -> None:
        process = self.kafka.process
        if process is not None and process.poll() is None:
            for pid in _tree(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def store_away(self, seconds: float) -> None:
        """Let the store refuse everything for a while: InfluxDB is killed, SQLite locked by another."""
        if self.influx is not None:
            influx = self.influx
            influx.server.kill()
            self.later(seconds, influx.server.start)
            return
        path = self.folder / "worker-0" / "kpis.db"
        if path.exists():
            other = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
            with suppress(sqlite3.OperationalError):
                other.execute("BEGIN EXCLUSIVE")
            self.later(seconds, other.close)

    def leave(self, what: Supervised, seconds: float) -> None:
        """Take a worker away as an operator would, and bring it back later: its partitions go and come."""
        if not what.wanted:
            return
        what.wanted = False
        what.send(signal.SIGTERM)

        def back() -> None:
            what.wanted = True
            if what.process is None:
                what.start()

        self.later(seconds, back)

    def fill_disk(self, number: int, seconds: float) -> None:
        """Fill the disk of a worker's archive for a while (where it has one of its own: else the archive is away)."""
        disk = self.folder / f"disk-{number}"
        if disk not in self._disks:
            self.archive_away(number, seconds)
            return
        ballast = disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as out:
            while True:
                out.write(bytes(4_096))
        self.later(seconds, lambda: ballast.unlink(missing_ok=True))

    def archive_away(self, number: int, seconds: float) -> None:
        """Let the archive of a worker refuse everything for a while: a file stands where its folder was."""
        archive = self.folder / f"worker-{number}" / "archive"
        aside = archive.with_name("archive-aside")
        if aside.exists():
            return
        archive.rename(aside)
        archive.write_text("in the way")

        def back() -> None:
            archive.unlink()
            aside.rename(archive)

        self.later(seconds, back)

    # --- the end ---

    def get(self, number: int, path: str) -> Any:
        """Return what a worker's API says; None where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[number]}{path}", timeout=10) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def settle(self, seconds: float) -> None:
        """Heal everything, await the feeder, then let one worker do the rest with time standing still."""
        self.heal()
        end = time.monotonic() + seconds
        while self.feeder.wanted:
            assert time.monotonic() < end, f"not fed in {seconds} s: {self.feeder.log.read_text()[-800:]}"
            self.supervise()
            time.sleep(0.1)
        for worker in self.workers:
            worker.end(signal.SIGTERM)
        self.retired.append(self.workers[0])
        last = self.workers[0] = self._worker(0, CSF_TICK_S="3600")
        last.start()
        quiet = 0
        while quiet < 3:
            assert time.monotonic() < end, f"not settled in {seconds} s: {last.log.read_text()[-2500:]}"
            self.supervise()
            said = self.get(0, "/api/v1/progress?fresh=1")
            quiet = quiet + 1 if said and said.get("caught_up") and not said.get("pending") else 0
            time.sleep(0.4)
        assert last.end(signal.SIGTERM) == 0, last.log.read_text()[-2500:]

    def open_store(self) -> KpiStore:
        """Open what the workers wrote."""
        if self.influx is None:
            return SqliteStore(self.folder / "worker-0" / "kpis.db", read_only=True)
        from pipeline.stores.influx import InfluxStore

        return InfluxStore(self.influx.url, self.influx.token, self.influx.org)

    def close(self) -> None:
        """End everything at once."""
        self.heal()
        for one in (*self.workers, self.feeder):
            one.end()
        if self.influx is not None:
            self.influx.server.kill()
        self.kafka.kill()
        for disk in self._disks:
            subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


def _tree(pid: int) -> list[int]:
    import psutil

    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return [pid]
