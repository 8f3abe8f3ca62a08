"""A vendor that is not there: answers by a function from request to answer, and fails as it is told to."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """One request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


@dataclass
class Says:
    """One answer. ``raw`` is sent as it is; ``hangs`` sends nothing."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hangs: bool = False


def for_token(asked: Asked) -> bool:
    """Whether a request asks for a token of OAuth 2."""
    return isinstance(asked.body, dict) and "grant_type" in asked.body


class Vendor:
    """Answers requests; ``faults`` are answered first, one a request; ``always`` instead of everything.

    Requests for a token get no faults: those of token services are others.
    """

    def __init__(self, answer: Callable[[Asked], Says]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.faults: list[Says] = []
        self.always: Says | None = None
        self.address = ""
        self._closing = threading.Event()

    def take(self, asked: Asked) -> Says:
        self.asked.append(asked)
        if self.always is not None:
            return self.always
        return self.faults.pop(0) if self.faults and not for_token(asked) else self.answer(asked)

    def close(self) -> None:
        self._closing.set()

    def hang(self) -> None:
        self._closing.wait(30)


@contextmanager
def serving(answer: Callable[[Asked], Says]) -> Iterator[Vendor]:
    """Serve a vendor on a port of this machine."""
    vendor = Vendor(answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: in two, the second waits 40 ms for the first to be acknowledged

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            kind = self.headers.get("content-type", "")
            body = json.loads(raw) if raw and "json" in kind else (dict(parse_qsl(raw.decode())) if raw else None)
            headers = {k.lower(): v for k, v in self.headers.items()}
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            says = vendor.take(Asked(self.command, parts.path, query, headers, body))
            if says.hangs:
                vendor.hang()
                return
            content = says.raw if says.raw is not None else json.dumps(says.body).encode()
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who asked may have been killed meanwhile
    server.daemon_threads = True
    vendor.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield vendor
    finally:
        vendor.close()
        server.shutdown()
        server.server_close()
        thread.join()


def stamp(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
