"""A wall clock of the chaos's own: brokers, workers and feeders that it is preloaded into read it and can be made to jump."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).with_name("clock.c")


class Clock:
    """How many seconds the deployment's wall clock runs beside the machine's.

    Args:
        folder: keeps the preloaded library and the offset.
        at: what it says now, epoch seconds; None: what the machine says.
        real: nothing is preloaded, and the clock cannot jump: no C compiler is needed.
    """

    def __init__(self, folder: Path, at: int | None = None, *, real: bool = False) -> None:
        self.offset = 0
        self._library, self._file = folder / "clock.so", folder / "clock"
        self._real = real
        if real:
            assert at is None, "the machine's clock cannot be set"
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._compile()
        self._file.write_bytes(bytes(8))
        if at is not None:
            self.jump(at - int(time.time()))

    def _compile(self) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise SystemExit(
                "clocks that jump need a C compiler for tests/chaos/clock.c: install gcc, or say --real-clock to leave them out"
            )
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE), "-ldl"]
        subprocess.run(command, check=True)

    @property
    def jumps(self) -> bool:
        """Whether it can be made to jump."""
        return not self._real

    def environment(self) -> dict[str, str]:
        """Return what puts a process on this clock."""
        return {} if self._real else {"LD_PRELOAD": str(self._library), "CSF_CHAOS_CLOCK": str(self._file)}

    @contextmanager
    def preloaded(self) -> Iterator[None]:
        """Put the processes on this clock that are started meanwhile by who takes no environment."""
        before = dict(os.environ)
        os.environ.update(self.environment())
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def time(self) -> float:
        """Return what it says, epoch seconds."""
        return time.time() + self.offset

    def jump(self, seconds: int) -> None:
        """Let it jump ahead, or back: every process sees it at once."""
        self.offset += seconds
        with self._file.open("r+b") as f:
            f.write(struct.pack("<q", self.offset))
