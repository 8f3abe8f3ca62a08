"""A webhook receiver on loopback that notes what it is sent, and may be away or refuse."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """Listens on a port of its own; ``status`` is what it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.tries = 0
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.tries += 1
                if outer.status == 200:
                    outer.bodies.append(body)
                    outer.headers.append(dict(self.headers))
                    outer.got.append(json.loads(body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def told(self) -> list[tuple[str, str, str]]:
        """Return (kind, rule, scope) of every alert that came, in order."""
        return [(a["kind"], a["rule"], a["scope"]) for message in self.got for a in message["alerts"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
