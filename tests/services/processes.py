"""Real servers as child processes of a test: free ports, ready or a failure that says why, always ended."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, package: str | None = None) -> str:
    """Return where a program of a Debian package lies (default: the package has its name)."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is missing: install Debian's package (apt-get install {package or name})"
        raise AssertionError(message)
    return path


def answers(url: str, timeout_s: float = 2.0, context: ssl.SSLContext | None = None) -> bool:
    """Return whether a GET gives 200."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s, context=context) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class Server:
    """A server process; its output goes to ``log``."""

    def __init__(
        self, command: Sequence[str], log: Path, ready_url: str, context: ssl.SSLContext | None = None
    ) -> None:
        self._context = context
        self._command = list(command)
        self._log = log
        self._ready_url = ready_url
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (or is stopped by a signal)."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 60.0) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until = time.monotonic() + timeout_s
        while not answers(self._ready_url, context=self._context):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > until:
                self.kill()
                tail = self._log.read_text(errors="replace")[-2000:]
                message = f"{self._command[0]} {'ended' if ended else 'was not ready in time'}: {tail}"
                raise AssertionError(message)
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end; kill it if it does not within ten seconds."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        for step in (how, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, step)
            try:
                self._process.wait(10)
                break
            except subprocess.TimeoutExpired:
                continue
        self._process = None
