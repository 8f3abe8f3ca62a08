"""Debian's nginx for tests, on loopback, with a folder and a configuration of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.services.processes import Server, free_port, program

_CONFIGURATION = """
{user}
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                   '"$http_referer" "$http_user_agent" $request_time';
  log_format witness escape=json '{{"target": "$request_uri", "status": $status, "seconds": $request_time}}';
  server {{
    listen 127.0.0.1:{port};
    access_log {folder}/{log} {form};
    access_log {folder}/witness.jsonl witness;
    location / {{ return 200 "found"; }}
    location /missing/ {{ return 404; }}
    location /fails/ {{ return 503; }}
    location /moved/ {{ return 301 /; }}
    location = /ready {{ access_log off; return 200 "ready"; }}
  }}
}}
"""


class Nginx:
    """A server that answers 200, and other statuses below /missing/, /fails/ and /moved/.

    Args:
        folder: its own.
        form: the log's format: ``combined``, or ``timed`` (the same with ``$request_time`` behind).
        log: the log's name.
    """

    def __init__(self, folder: Path, form: str = "timed", log: str = "access.log") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._port = folder, free_port()
        self.log = folder / log
        self._command = [program("nginx"), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        # workers of another user could not enter a folder of pytest's
        user = "user root;" if os.geteuid() == 0 else ""
        text = _CONFIGURATION.format(user=user, folder=folder, port=self._port, log=log, form=form)
        (folder / "nginx.conf").write_text(text)
        self._server = Server(self._command, folder / "output", f"{self.address}/ready")

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self._port

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and return once it answers."""
        self._server.start()

    def stop(self) -> None:
        """End it."""
        self._server.stop()

    def reopen(self) -> None:
        """Let it begin its logs anew, as logrotate does behind a rename."""
        subprocess.run([*self._command, "-s", "reopen"], check=True, timeout=10)

    def witnessed(self) -> list[dict[str, Any]]:
        """Return what it answered, by a log of another format that is never rotated."""
        return [json.loads(line) for line in (self._folder / "witness.jsonl").read_text(errors="replace").splitlines()]
