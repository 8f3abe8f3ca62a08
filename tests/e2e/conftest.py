"""Whole runs of the csf command on data directories of their own."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli.embedded.kafka import free_port
from tests.paths import ROOT


class Up:
    """A running ``csf up``."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        self.port = free_port()
        self.data_dir = data_dir
        command = [sys.executable, "-m", "cli", "up", "--data-dir", str(data_dir), "--port", str(self.port), *arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[str] = []

    def until(self, text: str, seconds: float = 120) -> None:
        """Read its output until a line holds a text."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line = self.process.stdout.readline()
            self.lines.append(line)
            if text in line:
                return
            assert line or self.process.poll() is None, "".join(self.lines)
        pytest.fail("".join(self.lines))

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return bytes(answer.read())

    def tree(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill_all(self) -> None:
        """Kill -9 the whole tree at once."""
        victims = self.tree()
        for p in victims:
            p.suspend()
        for p in victims:
            os.kill(p.pid, signal.SIGKILL)
        psutil.wait_procs(victims, 20)


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(data_dir: Path, *arguments: str) -> Up:
        started.append(Up(data_dir, *arguments))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            run.kill_all()
        if run.process.stdout is not None:
            run.process.stdout.close()


def csf(*arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
