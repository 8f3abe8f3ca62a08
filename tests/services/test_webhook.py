"""The webhook receiver and a real Alertmanager."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestServer

from tests.connectors.hooks import Receiving
from tests.connectors.pulling import Memory
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
            webhook = {
                "url": f"http://127.0.0.1:{server.port}/hooks/alerts", "send_resolved": True,
                "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(credentials)}},
            }  # fmt: skip
            base = await asyncio.to_thread(prometheus.start_alertmanager, tmp_path / "am", webhook)
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
