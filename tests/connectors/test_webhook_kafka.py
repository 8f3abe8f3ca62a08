"""The webhook receiver on real Kafka: the command, and a process that is killed while senders send."""

from __future__ import annotations

import hmac
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from uuid import uuid4

import pytest
import yaml

from tests.connectors.test_producer import read

pytestmark = pytest.mark.kafka
SECRET = "the-secret-of-this-source"


class Command:
    """``csf connector run webhook`` as a process; ``port`` is where it listens."""

    def __init__(self, folder, bootstrap, entry, **document):
        config = folder / "webhooks.yaml"
        config.write_text(yaml.safe_dump({"listen": "127.0.0.1:0", "requests_s": 10_000, "hooks": [entry], **document}))
        arguments = ["connector", "run", "webhook", "--config", str(config), "--bootstrap", bootstrap]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments, "--data-dir", str(folder / "data")], text=True,
            env={**os.environ, "HOOK_SECRET": SECRET}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        line = self.process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, (line, self.process.communicate(timeout=10))
        self.port = int(found[1])

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.communicate(timeout=60)


def post(port, name, body):
    """Send a body as GitHub does; return status and answer, or None where nobody answered."""
    content = json.dumps(body).encode()
    mark = hmac.new(SECRET.encode(), content, sha256).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "issues",
            "X-Hub-Signature-256": f"sha256={mark}",
        }
        connection.request("POST", f"/hooks/{name}", content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def issue(number, state="open", at="2026-11-26T08:00:00Z"):
    """Return what GitHub sends of an issue."""
    closed = at if state == "closed" else None
    return {
        "action": "opened" if state == "open" else "closed", "repository": {"full_name": "acme/pay"},
        "issue": {
            "number": number, "state": state, "state_reason": None, "created_at": "2026-11-26T08:00:00Z", "updated_at": at,
            "closed_at": closed, "labels": [{"name": "incident"}],
        },
    }  # fmt: skip


def hook():
    return {
        "name": f"h{uuid4().hex[:8]}",
        "form": "github",
        "secrets": [{"env": "HOOK_SECRET"}],
        "services": {"acme/pay": "payments"},
    }


def events_of(bootstrap, name):
    found = []
    for record in read(bootstrap, "csf.events.incident", f"webhook/github/{name}"):
        found += json.loads(record.value)
    return found


def test_the_command_receives_signed_posts_and_says_what_it_covers(tmp_path, bootstrap):
    entry = hook()
    command = Command(tmp_path, bootstrap, entry)
    try:
        accepted = post(command.port, entry["name"], issue(1))
        known = post(command.port, entry["name"], issue(1))
        resolved = post(command.port, entry["name"], issue(1, "closed", "2026-11-26T09:00:00Z"))
    finally:
        out, err = command.end()
    assert (accepted, known) == ((202, {"result": "accepted", "events": 1}), (200, {"result": "known"}))
    assert resolved[0] == 202
    assert [(e["data"]["number"], e["data"]["state"]) for e in events_of(bootstrap, entry["name"])] == [
        ("acme/pay#1", "new"),
        ("acme/pay#1", "resolved"),
    ]
    (polled,) = [
        json.loads(r.value)["data"] for r in read(bootstrap, "csf.events.control", f"webhook/github/{entry['name']}")
    ]
    assert (polled["services"], polled["types"]) == (
        ["payments"],
        ["change.updated", "feature.updated", "incident.updated"],
    )
    assert SECRET not in out + err


def test_killed_while_senders_send_it_loses_nothing_that_it_acknowledged(tmp_path, bootstrap):
    entry, acknowledged, stop = hook(), set(), threading.Event()
    numbers = iter(range(1, 1_000_000))
    lock = threading.Lock()
    command = Command(tmp_path, bootstrap, entry)
    port = command.port

    def send():
        while not stop.is_set():
            with lock:
                number = next(numbers)
            answer = None
            while answer is None or answer[0] == 503:  # as a sender does: until somebody takes it
                if stop.is_set():
                    return
                answer = post(port, entry["name"], issue(number))
            assert answer[0] in {200, 202}, answer
            acknowledged.add(number)

    with ThreadPoolExecutor(8) as pool:
        senders = [pool.submit(send) for _ in range(8)]
        try:
            for _ in range(3):
                wanted = len(acknowledged) + 60
                while len(acknowledged) < wanted:
                    for sender in senders:
                        assert not sender.done() or sender.result() is None
                    assert command.process.poll() is None
                    stop.wait(0.005)
                command.end(signal.SIGKILL)
                command = Command(tmp_path, bootstrap, entry, listen=f"127.0.0.1:{port}")
        finally:
            stop.set()
    command.end()
    for sender in senders:
        sender.result()
    found = events_of(bootstrap, entry["name"])
    assert {f"acme/pay#{n}" for n in acknowledged} <= {e["data"]["number"] for e in found}
    assert len({e["id"] for e in found}) == len({e["data"]["number"] for e in found})  # sent twice: the same event
