"""Debian's PostgreSQL for tests, on loopback, in a cluster of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.services.processes import free_port

_OWNER = "postgres"
PASSWORD = "s3cret-of-the-owner"


def _programs() -> Path:
    """Return the folder of the newest PostgreSQL's programs; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    path = found[-1] if found else Path(shutil.which("initdb") or "")
    if not path.is_file():
        message = "PostgreSQL is missing: install Debian's package of that name (apt-get install postgresql)"
        raise AssertionError(message)
    return path.parent


class Postgres:
    """A cluster that is made, started, and removed with its folder."""

    def __init__(self) -> None:
        # a folder of its own: those of pytest are for their owner only, and PostgreSQL refuses to run as root
        self._folder = Path(tempfile.mkdtemp(prefix="csf-postgres-"))
        self._bin, self._data, self._log = _programs(), self._folder / "data", self._folder / "log"
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        password = self._folder / "password"
        password.write_text(PASSWORD)
        self._as: dict[str, Any] = {"cwd": "/"}
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_OWNER)
            self._as |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            for path in (self._folder, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        command = [
            self._bin / "initdb",
            "-D",
            self._data,
            "-U",
            "owner",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True, **self._as)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and return once it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_prepared_transactions": 0,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,
            )
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        while subprocess.run(ready, check=False).returncode != 0:
            assert self._server.poll() is None, self._log.read_text()[-2000:]

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._server is not None
        return self._server.pid

    @property
    def address(self) -> str:
        """What a connector is given."""
        return f"postgresql+psycopg://owner@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        """End it at once, and remove it."""
        if self._server is not None:
            self._server.send_signal(3)  # SIGQUIT: end all, write nothing
            self._server.wait(20)
            self._server = None
        shutil.rmtree(self._folder, ignore_errors=True)
