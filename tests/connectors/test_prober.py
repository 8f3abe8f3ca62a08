"""The prober against real servers on this machine."""

import asyncio
import http.server
import itertools
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx2
import pytest

from connectors import prober
from connectors.prober import Probe, load_probes
from pipeline.errors import ConfigError
from pipeline.events.envelope import encode
from pipeline.events.families import TYPES, event_topic
from pipeline.events.validate import decode_data, decode_envelope


class Pages(http.server.BaseHTTPRequestHandler):
    """``/500`` answers 500; ``/drip`` sends its headers a byte at a time; ``/endless`` never ends its body."""

    def do_GET(self):
        if self.path == "/drip":
            for byte in b"HTTP/1.1 200 OK\r\nx-slow: " + b"y" * 200:
                time.sleep(0.05)
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return
            return
        self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 200)
        self.end_headers()
        while self.path == "/endless":
            try:
                self.wfile.write(b"x" * 65536)
            except OSError:
                return

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def serving(port=0):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Pages)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def checked(**fields):
    async def once():
        async with httpx2.AsyncClient() as client:
            return await prober.check(Probe(service="web", **fields), client)

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("url", "up"),
    [
        ("http://127.0.0.1:{}/", True), ("http://127.0.0.1:{}/500", False), ("http://127.0.0.1:{}/404", False),
        ("http://127.0.0.1:{}/301", True), ("tcp://127.0.0.1:{}", True), ("https://127.0.0.1:{}/", False),
    ],
)  # fmt: skip
def test_up_is_an_answer_below_400_or_an_open_port(url, up):
    with serving() as port:
        found, latency = checked(url=url.format(port))
    assert found is up
    assert 0 < latency < 10_000


def test_expected_statuses_decide():
    with serving() as port:
        assert checked(url=f"http://127.0.0.1:{port}/401", expect=[401])[0]
        assert not checked(url=f"http://127.0.0.1:{port}/200", expect=[401])[0]


def test_nobody_there_is_down():
    port = closed_port()
    assert not checked(url=f"http://127.0.0.1:{port}/")[0]
    assert not checked(url=f"tcp://127.0.0.1:{port}")[0]
    assert not checked(url="http://no-such-host.invalid/")[0]


def test_a_server_that_drips_is_down_after_the_timeout_and_an_endless_body_is_not_read():
    with serving() as port:
        up, latency = checked(url=f"http://127.0.0.1:{port}/drip", timeout=0.3)
        assert not up
        assert 250 < latency < 3000
        up, latency = checked(url=f"http://127.0.0.1:{port}/endless")
        assert up
        assert latency < 5000


def test_checks_and_what_was_polled_are_told_on_schedule_and_an_outage_is_seen():
    told, stop = [], None
    port = closed_port()
    server = serving(port)

    def tell(key, event):
        told.append((key, event))
        checks = [e.data.up for k, e in told if e.type == "uptime.checked" and k == "web|page"]
        if checks == [True, True]:
            server.__exit__(None, None, None)
        if checks.count(False) == 2:
            loop.call_soon(stop.set)

    async def main():
        nonlocal stop, loop
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        probes = [
            Probe(url=f"http://127.0.0.1:{port}/", service="web", name="page", interval=0.1),
            Probe(url=f"tcp://127.0.0.1:{port}", service="web", interval=0.1),
        ]
        await asyncio.wait_for(prober.run(probes, tell, stop), 20)

    loop = None
    server.__enter__()
    asyncio.run(main())
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    for _, event in told:
        topic = event_topic(TYPES[event.type][0])
        decode_data(decode_envelope(encode(event)), topic, now_ms)
    checks = [e for k, e in told if k == "web|page" and e.type == "uptime.checked"]
    assert [e.data.up for e in checks][:2] == [True, True]
    assert [e.data.up for e in checks][-2:] == [False, False]
    assert {e.data.interval_s for e in checks} == {0.1}
    gaps = [(b.time - a.time).total_seconds() for a, b in itertools.pairwise(checks)]
    assert all(0.05 < gap < 5 for gap in gaps)
    polled = [e.data for _, e in told if e.type == "source.polled" and e.data.source == "prober/page"]
    assert polled
    assert all(p.services == ["web"] and p.types == ["uptime.checked"] and p.from_ < p.to for p in polled)
    assert {k for k, e in told if e.type == "uptime.checked"} == {"web|page", f"web|tcp://127.0.0.1:{port}"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "mend the YAML"),
        ("", "expected a list, got nothing"),
        ("[]", "names nothing to check"),
        ("- url: http://x\n  service: web\n  intervall: 3\n", "unknown field 'intervall'; allowed: url, service"),
        ("- url: http://x\n", "missing required field 'service'"),
        ("- url: ftp://x\n  service: web\n", "entry 1: url 'ftp://x' is none of"),
        ("- url: tcp://x\n  service: web\n", "entry 1: url 'tcp://x' is none of"),
        ("- url: tcp://x:99999\n  service: web\n", "entry 1: url 'tcp://x:99999' is none of"),
        ("- url: 'http://['\n  service: web\n", "entry 1: url 'http://[' is none of"),
        ("- url: http://x\n  service: web\n  interval: 0\n", "interval and timeout must be greater than 0"),
        ("- {url: http://x, service: web}\n- {url: http://x, service: web}\n", "entry 2: .*twice; name one"),
    ],
)
def test_a_wrong_list_is_told_in_one_sentence(tmp_path, text, said):
    path = tmp_path / "prober.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"prober\.yaml: .*{said}".replace("[' is", r"\[' is")) as caught:
        load_probes(path)
    assert "\n" not in str(caught.value)


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml: cannot be read".replace(".", r"\.")):
        load_probes(tmp_path / "none.yaml")
