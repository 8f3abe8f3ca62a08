"""Every fault that the parts of a deployment may meet, by name."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tests.chaos.deployment import Deployment
from tests.chaos.supervised import Supervised

#: How often each fault is chosen. A ``kill`` is SIGKILL, an ``end`` SIGTERM, a ``pause`` SIGSTOP and later SIGCONT.
ALWAYS = {
    "kill worker": 12, "end worker": 2, "pause worker": 4, "worker leaves": 2, "kill worker for long": 2,
    "kill feeder": 4, "end feeder": 1, "pause feeder": 1,
    "kill broker": 4, "end broker": 1, "pause broker": 2, "broker away": 1,
    "store away": 3, "archive away": 1, "disk full": 1, "kill everything": 2,
}  # fmt: skip
#: Those of a store that is a server, which any number of workers share.
OF_SERVERS = {"kill store": 4, "end store": 1, "pause store": 2, "worker joins": 2}
#: A running broker is set back by seconds only: set back by an hour it waits an hour for its own connections.
OF_CLOCKS = {"clock ahead": 2, "clock back": 1, "clock back at start": 2}
#: A long schedule has each of these once more, for so many seconds: a minute without a broker, ten without a store.
LONG = {"pause broker": 60.0, "broker away": 60.0, "store away": 60.0}
_STORE_AWAY_S = 600
#: Seconds a clock jumps for each second of a fault: a quarter of an hour to two hours.
_JUMP = 900
_MOST_WORKERS = 4
_PATIENCE_S = 60.0
#: A worker paused for longer than the broker's patience wakes as a zombie.
_ZOMBIE = 3.0


class Faults:
    """Strikes a deployment. A fault finds its victim alive, or waits until it is.

    Attributes:
        struck: how often each fault came.
        sigkills: how many processes got SIGKILL.
        archive_struck: an archive could not be written for a while, which leaves gaps in it that Kafka still has.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._to = deployment
        self.struck: Counter[str] = Counter()
        self.sigkills = 0
        self.archive_struck = False

    @property
    def kills(self) -> int:
        """How many faults were kills."""
        return sum(n for kind, n in self.struck.items() if kind.startswith("kill"))

    def strike(self, kind: str, whom: float, seconds: float, *, long: bool = False) -> None:
        """Carry a fault out.

        Args:
            kind: its name.
            whom: which worker, 0 to 1.
            seconds: how long what is away or stopped stays so.
            long: of ten minutes by the clock, where the store is away and the clock may jump.
        """
        to = self._to
        match kind:
            case "kill worker":
                self._kill(self._worker(whom))
            case "kill worker for long":
                self._leave(self._worker(whom), seconds, signal.SIGKILL)
            case "end worker":
                self._worker(whom).send(signal.SIGTERM)
            case "worker leaves":
                self._leave(self._worker(whom), seconds, signal.SIGTERM)
            case "worker joins":
                if len(to.workers) < _MOST_WORKERS:
                    to.add_worker().start()
            case "pause worker":
                self._pause(self._worker(whom), seconds * _ZOMBIE)
            case "kill feeder":
                self._kill(self._feeder())
            case "end feeder":
                self._feeder().send(signal.SIGTERM)
            case "pause feeder":
                self._pause(self._feeder(), seconds)
            case "kill broker":
                self._kill_broker()
            case "end broker":
                self._broker(signal.SIGTERM)
            case "pause broker":
                self._broker(signal.SIGSTOP)
                to.later(seconds, lambda: self._broker(signal.SIGCONT))
            case "broker away":
                self._broker_away(seconds)
            case "store away" if to.influx is None:
                self._lock_store(seconds)
            case "store away":
                self._store_away(seconds, by_clock_s=_STORE_AWAY_S if long else 0)
            case "kill store" | "end store" | "pause store":
                self._server(kind, seconds)
            case "archive away":
                self._archive_away(int(whom * len(to.workers)), seconds)
            case "disk full":
                self._fill_disk(int(whom * len(to.workers)), seconds)
            case "clock ahead":
                to.clock.jump(int(seconds * _JUMP))
            case "clock back":
                to.clock.jump(-int(seconds))
            case "clock back at start":
                self._broker(signal.SIGKILL)
                to.clock.jump(-int(seconds * _JUMP))
            case "kill everything":
                self._kill_everything()
            case _:
                raise AssertionError(kind)
        self.struck[kind] += 1

    def _await(self, victim: Callable[[], Supervised | None]) -> Supervised:
        """Supervise until there is a victim."""
        left = _PATIENCE_S
        while (found := victim()) is None:
            assert left > 0, "nobody lives to be struck"
            self._to.watch(0.1)
            left -= 0.1
        return found

    def _worker(self, whom: float) -> Supervised:
        def victim() -> Supervised | None:
            alive = [w for w in self._to.workers if w.alive]
            return alive[int(whom * len(alive))] if alive else None

        return self._await(victim)

    def _feeder(self) -> Supervised:
        feeder = self._to.feeder
        # one that has done its work is not struck any more
        return self._await(lambda: feeder if feeder.alive or not feeder.wanted else None)

    # --- workers and feeder ---

    def _kill(self, what: Supervised) -> None:
        self.sigkills += what.send(signal.SIGKILL)

    def _pause(self, what: Supervised, seconds: float) -> None:
        """Stop a process as a hanging machine would, and wake it later."""
        process = what.process
        if process is not None and what.send(signal.SIGSTOP):
            self._to.later(seconds, lambda: process.send_signal(signal.SIGCONT) if process.poll() is None else None)

    def _leave(self, what: Supervised, seconds: float, number: signal.Signals) -> None:
        """Take a worker away, and bring it back later: its partitions go and come."""
        if not what.wanted:
            return
        what.wanted = False
        self.sigkills += what.send(number) and number == signal.SIGKILL

        def back() -> None:
            what.wanted = True
            if what.process is None:
                what.start()

        self._to.later(seconds, back)

    def _kill_everything(self) -> None:
        """Cut the power."""
        for one in (*self._to.workers, self._to.feeder):
            self._kill(one)
        self._kill_broker()
        if self._to.influx is not None:
            self._kill_store()

    # --- broker ---

    def _broker(self, number: signal.Signals) -> None:
        process = self._to.kafka.process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def _kill_broker(self) -> None:
        self.sigkills += self._to.kafka.alive()
        self._to.kafka.kill()

    def _broker_away(self, seconds: float) -> None:
        """Let nobody answer at the broker's address for a while."""
        self._to.broker_wanted = False
        self._to.kafka.kill()

        def back() -> None:
            self._to.broker_wanted = True

        self._to.later(seconds, back)

    # --- store ---

    def _server(self, kind: str, seconds: float) -> None:
        assert self._to.influx is not None
        server = self._to.influx.server
        if not server.alive:
            return
        if kind == "kill store":
            self._kill_store()
        elif kind == "end store":
            server.stop()
        else:
            pid = server.pid
            os.kill(pid, signal.SIGSTOP)
            self._to.later(seconds, lambda: _wake(pid))

    def _kill_store(self) -> None:
        assert self._to.influx is not None
        self.sigkills += self._to.influx.server.alive
        self._to.influx.server.kill()

    def _store_away(self, seconds: float, by_clock_s: int) -> None:
        """Let nobody answer at the store's address for a while, which the clock makes longer."""
        to = self._to
        assert to.influx is not None
        to.store_wanted = False
        to.influx.server.kill()

        def back() -> None:
            if to.clock.jumps and by_clock_s > seconds:
                to.clock.jump(int(by_clock_s - seconds))
            to.store_wanted = True

        to.later(seconds, back)

    def _lock_store(self, seconds: float) -> None:
        """Let another process hold the SQLite file for a while."""
        path = self._to.folder / "worker-0" / "kpis.db"
        if path.exists():
            other = sqlite3.connect(path, isolation_level=None, timeout=0.5, check_same_thread=False)
            with suppress(sqlite3.OperationalError):
                other.execute("BEGIN EXCLUSIVE")
            self._to.later(seconds, other.close)

    # --- archive ---

    def _fill_disk(self, number: int, seconds: float) -> None:
        """Fill the disk of a worker's archive for a while (where it has one of its own: else the archive is away)."""
        disk = self._to.disks.get(number)
        if disk is None:
            self._archive_away(number, seconds)
            return
        self.archive_struck = True
        ballast = disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as out:
            while True:
                out.write(bytes(4_096))
        self._to.later(seconds, lambda: ballast.unlink(missing_ok=True))

    def _archive_away(self, number: int, seconds: float) -> None:
        """Let the archive of a worker refuse everything for a while: a file stands where its folder was."""
        archive = self._to.archive(number)
        aside = archive.with_name("archive-aside")
        if aside.exists():
            return
        self.archive_struck = True
        archive.rename(aside)
        archive.write_text("in the way")

        def back() -> None:
            archive.unlink()
            aside.rename(archive)

        self._to.later(seconds, back)


def _wake(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
