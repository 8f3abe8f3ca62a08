"""The Prometheus connector against a real Prometheus."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.connectors.pulling import on_bench
from tests.services import prometheus


@pytest.fixture(autouse=True)
def _servers_end():
    yield
    prometheus.stop_all()


@pytest.mark.services
def test_samples_of_a_real_prometheus_become_checks_each_once(tmp_path):
    registry = CollectorRegistry()
    up = Gauge("probe_success", "whether it answers", ["service"], registry=registry).labels(service="shop")
    up.set(1)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    begun = datetime.now(UTC)
    try:
        base = prometheus.start_prometheus([f"127.0.0.1:{server.server_port}"], tmp_path)
        bench = on_bench(
            tmp_path, "prometheus", options={"address": base, "query": "probe_success", "service_label": "service", "interval_s": 1},
            auth={"use": "none"}, since=begun.isoformat(),
        )  # fmt: skip
        found: list[dict] = []
        end = time.monotonic() + 40
        while len({e["data"]["up"] for e in found}) < 2 and time.monotonic() < end:
            bench.now = datetime.now(UTC) + timedelta(seconds=30)  # the connector stays half a minute behind
            found += bench.poll(anew=True)
            if len(found) >= 2:
                up.set(0)
            time.sleep(0.2)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert {e["data"]["up"] for e in found} == {True, False}
    assert {(e["subject"], e["type"], e["data"]["interval_s"]) for e in found} == {("shop", "uptime.checked", 1.0)}
    assert len({e["id"] for e in found}) == len(found) == len({e["time"] for e in found})
    assert {tuple(p["services"]) for p in bench.sink.polled} == {("shop",)}
