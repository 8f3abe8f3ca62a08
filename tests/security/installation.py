"""Real processes of an installation with secrets, everything they say kept, to be searched for the secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from cli.embedded.catching_up import CatchingUp
from cli.embedded.kafka import free_port
from tests.paths import ROOT

HTTP_TOKEN = "http-t0ken-that-must-never-show"


class Installation:
    """A data directory, its settings, and whatever its processes print, serve and are called with."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CSF_")},
            "CSF_DATA_DIR": str(folder / "data"),
            "CSF_HTTP_PORT": str(self.port),
            "CSF_HTTP_TOKEN": HTTP_TOKEN,
            "CSF_PARTITIONS": "2",
            "CSF_TICK_S": "1",
            **environment,
        }
        self.log = folder / "worker.log"
        self.worker: subprocess.Popen[bytes] | None = None
        #: everything that was said: outputs, answers, arguments of processes
        self.said: list[str] = []

    def run(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments], cwd=ROOT, env={**self.environment, **changed}, capture_output=True,
            text=True, timeout=240, check=False,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        return done

    def start(self) -> None:
        """Start a worker and wait until it is ready."""
        with self.log.open("ab") as out:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "cli", "worker"], cwd=ROOT, env=self.environment, stdout=out, stderr=out
            )
        self.until("/readyz", lambda status, _body: status == 200)

    def ask(self, path: str, token: str | None = HTTP_TOKEN) -> tuple[int, str]:
        """Return status and body of an answer; headers are kept too."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, body, headers = answer.status, answer.read().decode(), str(answer.headers)
        except urllib.error.HTTPError as e:
            status, body, headers = e.code, e.read().decode(), str(e.headers)
        self.said += [body, headers]
        return status, body

    def until(self, path: str, holds, seconds: float = 90.0) -> None:
        """Wait until an answer is as wanted."""
        end = time.monotonic() + seconds
        while True:
            assert self.worker is not None
            assert self.worker.poll() is None, self.log.read_text()[-3000:]
            with suppress(OSError):
                if holds(*self.ask(path)):
                    return
            assert time.monotonic() < end, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def caught_up(self) -> None:
        """Wait until everything is folded and written."""
        catching_up = CatchingUp()
        self.until(
            "/api/v1/progress?fresh=1", lambda status, body: status == 200 and catching_up.done(json.loads(body))
        )

    def note_arguments(self) -> None:
        """Keep the arguments of the worker and its children, which everybody on the machine can read."""
        assert self.worker is not None
        process = psutil.Process(self.worker.pid)
        for each in (process, *process.children(recursive=True)):
            self.said.append(" ".join(each.cmdline()))

    def stop(self) -> int:
        """Stop the worker; its log is kept."""
        code = 0
        if self.worker is not None:
            if self.worker.poll() is None:
                self.worker.terminate()
            code = self.worker.wait(60)
            self.worker = None
            self.said.append(self.log.read_text())
        return code

    def everything(self) -> str:
        """Return all that was said, and every text file that was written beside."""
        files = [
            p
            for p in (self.folder / "data").rglob("*")
            if p.is_file() and p.suffix in {".log", ".json", ".yaml", ".port", ""}
        ]
        return "\n".join([*self.said, *(p.read_text(errors="replace") for p in files)])
