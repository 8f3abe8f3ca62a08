"""Processes that are started again when they end, as a supervisor of a real installation does."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.paths import ROOT

#: Ending so often in a row with a message of its own, nothing else between, is no accident.
_GIVES_UP = 20


class Supervised:
    """A process that is started again whenever it ended and is wanted."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self.log = command, environment, log
        self.process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        self.starts = 0
        self.codes: list[int] = []

    @property
    def alive(self) -> bool:
        """Whether it runs (or is stopped by a signal)."""
        return self.process is not None and self.process.poll() is None

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
            gave_up = len(self.codes) >= _GIVES_UP and set(self.codes[-_GIVES_UP:]) == {1}
            assert not gave_up, f"{self.log} says again and again: {self.log.read_text()[-1500:]}"
            if self.wanted:
                self.start()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; return whether there was someone to get it."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

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
