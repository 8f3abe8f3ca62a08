"""The webhook receiver and a real Alertmanager."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestServer

from tests.connectors.hooks import Receiving
from tests.connectors.pulling import Memory
from tests.connectors.test_producer import read
from tests.connectors.test_webhook_kafka import Command
from tests.services import prometheus

SECRET = "the-secret-of-this-source"


@pytest.fixture(autouse=True)
def _servers_end():
    yield
    prometheus.stop_all()


def alert(base, name, ends=None, **labels):
    """Give Alertmanager an alert, as Prometheus does."""
    now = datetime.now(UTC)
    said = {"labels": {"alertname": name, **labels}, "startsAt": (now - timedelta(minutes=5)).isoformat()}
    body = json.dumps([{**said, **({"endsAt": now.isoformat()} if ends else {})}]).encode()
    request = urllib.request.Request(f"{base}/api/v2/alerts", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).read()


def to(port, secret_file):
    """Return what Alertmanager is told of the receiver."""
    credentials = {"type": "Bearer", "credentials_file": str(secret_file)}
    return {
        "url": f"http://127.0.0.1:{port}/hooks/alerts",
        "send_resolved": True,
        "http_config": {"authorization": credentials},
    }


@pytest.mark.services
def test_alerts_of_a_real_alertmanager_become_incidents_that_are_resolved(tmp_path, monkeypatch):
    monkeypatch.setenv("AM_SECRET", SECRET)
    sink = Memory()
    sink.away = 1  # the first delivery is answered 503, and sent again by Alertmanager itself
    receiving = Receiving(
        tmp_path, {"name": "alerts", "form": "alertmanager", "secrets": [{"env": "AM_SECRET"}]}, sink, datetime.now(UTC)
    )
    credentials = tmp_path / "secret"
    credentials.write_text(SECRET)

    async def until(condition):
        async with asyncio.timeout(40):
            while not condition():
                await asyncio.sleep(0.05)

    async def main():
        async with TestServer(receiving.server.app) as server:
            base = await asyncio.to_thread(prometheus.start_alertmanager, tmp_path / "am", to(server.port, credentials))
            await asyncio.to_thread(alert, base, "ShopDown", service="shop", severity="critical")
            await until(lambda: sink.events)
            await asyncio.to_thread(alert, base, "ShopDown", ends=True, service="shop", severity="critical")
            await until(lambda: {e["data"]["state"] for e in sink.events} == {"new", "resolved"})

    asyncio.run(main())
    receiving.inbox.close()
    assert receiving.counted("deliveries_total", outcome="unavailable") >= 1
    assert len({e["data"]["number"] for e in sink.events}) == 1
    assert {(e["subject"], e["data"]["priority"]) for e in sink.events} == {("shop", 1)}
    (resolved,) = {e["id"]: e for e in sink.events if e["data"]["state"] == "resolved"}.values()
    assert resolved["data"]["opened_at"] < resolved["data"]["resolved_at"]


@pytest.mark.services
def test_alerts_of_a_real_alertmanager_arrive_in_a_real_kafka(tmp_path, bootstrap):
    entry = {"name": "alerts", "form": "alertmanager", "secrets": [{"env": "HOOK_SECRET"}]}
    credentials = tmp_path / "secret"
    credentials.write_text(SECRET)
    command = Command(tmp_path, bootstrap, entry)

    def found():
        return [
            e
            for record in read(bootstrap, "csf.events.incident", "webhook/alertmanager/alerts")
            for e in json.loads(record.value)
        ]

    try:
        base = prometheus.start_alertmanager(tmp_path / "am", to(command.port, credentials))
        alert(base, "ShopDown", service="shop", severity="critical")
        end = time.monotonic() + 60
        while not found() and time.monotonic() < end:
            assert command.process.poll() is None
    finally:
        out, err = command.end()
    (event,) = {e["id"]: e for e in found()}.values()
    assert (event["subject"], event["data"]["state"], event["data"]["priority"]) == ("shop", "new", 1)
    assert SECRET not in out + err
