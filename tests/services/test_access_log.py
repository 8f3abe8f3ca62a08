"""The access-log connector behind a real nginx: every request one event, through rotations, stops and kills."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

import pytest

from tests.connectors.test_producer import read
from tests.services.nginx import Nginx

pytestmark = pytest.mark.services


@pytest.fixture
def nginx(tmp_path):
    made = Nginx(tmp_path / "nginx")
    made.start()
    yield made
    made.stop()


def raw(nginx, request):
    """Send bytes as they are; return the answer."""
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def get(nginx, target, agent=b"Mozilla/5.0", *headers, method=b"GET"):
    """Send a request with a target and a user agent of any bytes, on a connection of its own."""
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: shop", b"Connection: close", b"User-Agent: " + agent]
    return raw(nginx, b"\r\n".join([*lines, *headers, b"", b""]))


class Following:
    """``csf connector run access-log`` on a log, started and ended again."""

    def __init__(self, nginx, folder, bootstrap, *options):
        self._host, self._bootstrap = f"h{uuid4().hex[:8]}", bootstrap
        self.source = f"access-log/shop/{self._host}/{nginx.log.name}"
        self._command = [
            sys.executable, "-m", "cli", "connector", "run", "access-log", "--path", str(nginx.log), "--service", "shop", "--name", self._host,
            "--bootstrap", bootstrap, "--data-dir", str(folder / "data"), *options,
        ]  # fmt: skip
        self._process = None

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, how):
        """End it so; return its exit code and what it complained of."""
        self._process.send_signal(how)
        _, errors = self._process.communicate(timeout=60)
        return self._process.returncode, errors

    def events(self, topic):
        """Return id → event of what it told; one id never says two things."""
        found = {}
        for record in read(self._bootstrap, topic, self.source):
            if record.topic.startswith("csf.events"):
                for event in json.loads(record.value):
                    assert found.setdefault(event["id"], event) == event
        return found

    def requests(self):
        return self.events("csf.events.performance")

    def until(self, wanted):
        """Return the requests once there are so many."""
        while len(found := self.requests()) < wanted:
            assert self._process.poll() is None, self._process.communicate()
        return found


def test_every_request_to_a_real_nginx_is_one_event_through_rotations_a_stop_and_a_kill(tmp_path, nginx, bootstrap):
    begun = datetime.now(UTC).replace(microsecond=0)
    following = Following(nginx, tmp_path, bootstrap)
    numbers = count()
    pages, sent = Counter(), 0

    def ask(times=1):
        nonlocal sent
        for _ in range(times):
            number = next(numbers)
            get(nginx, b"/page/%d?q=1" % number)
            get(nginx, b"/static/%d.css" % number)
            get(nginx, (b"/missing/%d", b"/fails/%d", b"/moved/%d")[number % 3] % number)
            get(nginx, b"/form/%d" % number, method=b"POST")
            pages[f"/page/{number}"] += 1
            sent += 4

    def rotate():
        for older in (2, 1):
            name = nginx.log.with_name(f"access.log.{older}")
            if name.exists():
                name.rename(nginx.log.with_name(f"access.log.{older + 1}"))
        nginx.log.rename(nginx.log.with_name("access.log.1"))

    ask(5)
    following.start()
    following.until(sent)

    rotate()
    ask(5)  # into the log that is renamed already
    still, done = threading.Event(), threading.Event()

    def go_on():
        while not done.is_set():
            ask()
            still.set()

    others = threading.Thread(target=go_on)  # while it begins the new one
    others.start()
    still.wait(10)
    nginx.reopen()
    still.clear()
    still.wait(10)
    done.set()
    others.join()
    following.until(sent)

    assert following.end(signal.SIGTERM) == (0, "")
    ask(3)
    rotate()
    nginx.reopen()
    ask(3)
    rotate()
    nginx.reopen()
    ask(3)
    following.start()
    following.until(sent)

    following.end(signal.SIGKILL)
    ask(3)
    following.start()
    found = following.until(sent)
    assert following.end(signal.SIGTERM) == (0, "")

    witnessed = Counter((one["status"], round(one["seconds"] * 1000)) for one in nginx.witnessed())
    assert witnessed.total() == sent
    assert Counter((e["data"]["status"], round(e["data"]["latency_ms"])) for e in found.values()) == witnessed
    ended = datetime.now(UTC)
    assert all(begun <= datetime.fromisoformat(e["time"]) <= ended for e in found.values())
    views = following.events("csf.events.usage").values()
    assert Counter(e["data"]["path"] for e in views) == pages
    assert {e["subject"] for e in [*found.values(), *views]} == {"shop"}
    assert len({e["data"]["user"] for e in views}) == 1


def test_odd_requests_to_a_real_nginx_are_read_as_they_were_sent(tmp_path, nginx, bootstrap):
    following = Following(nginx, tmp_path, bootstrap, "--no-bots")
    paths = {
        b'/say/"hello"\\n': '/say/"hello"\\n', "/café/中".encode(): "/café/中", b"/caf%C3%A9%20100%25?x=%22": "/caf%C3%A9%20100%25",
        b"http://shop.example.org/absolute?x": "/absolute", b"/tab\\x41": "/tab\\x41", b"/%22]%20[": "/%22]%20[", b"/\xff": "/\ufffd",
    }  # fmt: skip
    for target in paths:
        assert b" 200 " in get(nginx, target)
    agents = [b'"quoted" agent', b"back\\slash", "agent é".encode(), b'] "GET /x HTTP/1.1" 500 1 "-" "', b"' 0.5"]
    for agent in agents:
        assert b" 200 " in get(nginx, b"/by-agent", agent)
    assert b" 200 " in get(nginx, b"/by-agent", b"Googlebot/2.1")
    # a name of a password that nobody asked for: "[x] [24/Nov/2020:00:00:00 +0000]"
    assert b" 200 " in get(
        nginx, b"/by-name", b"M", b"Authorization: Basic W3hdIFsyNC9Ob3YvMjAyMDowMDowMDowMCArMDAwMF06cHc="
    )
    assert b" 200 " in get(nginx, b"/by-referer", b"M", b'Referer: " 9.99 "')
    assert b" 400 " in raw(nginx, b"\x16\x03\x01\x02\x00\x01\xfc\r\n\r\n")  # TLS at a port that speaks none
    assert b" 400 " in get(nginx, b"/two words here")
    assert b" 400 " in raw(nginx, b"GET /no-host HTTP/1.1\r\n\r\n")
    assert b" 414 " in get(nginx, b"/long/" + b"a" * 9000)
    assert b"found" in raw(nginx, b"GET /old\r\n")
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=10)
    for _ in range(3):  # one connection
        connection.request("HEAD", "/head")
        connection.getresponse().read()
    connection.close()
    sent = len(paths) + len(agents) + 11

    following.start()
    found = following.until(sent)
    assert following.end(signal.SIGTERM) == (0, "")
    assert not read(bootstrap, "csf.dead-letters", following.source)
    assert Counter(e["data"]["status"] for e in found.values()) == Counter(o["status"] for o in nginx.witnessed())
    assert len(found) == sent
    views = [e["data"] for e in following.events("csf.events.usage").values()]
    by_agent = {v["user"] for v in views if v["path"] == "/by-agent"}
    assert len(by_agent) == len(agents)  # the bot is none of them
    others = Counter(v["path"] for v in views if v["path"] != "/by-agent")
    assert others == Counter([*paths.values(), "/by-name", "/by-referer"])  # who asks for /old names no agent
    assert all(e["data"]["latency_ms"] < 9000 for e in found.values())
    assert all(datetime.fromisoformat(e["time"]).year >= 2026 for e in found.values())


def test_the_combined_format_has_requests_of_unknown_latency(tmp_path, bootstrap):
    server = Nginx(tmp_path / "nginx", form="combined")
    server.start()
    try:
        following = Following(server, tmp_path, bootstrap)
        following.start()
        get(server, b"/one")
        (event,) = following.until(1).values()
        following.end(signal.SIGTERM)
    finally:
        server.stop()
    assert event["data"] == {"status": 200}
