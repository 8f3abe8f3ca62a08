"""What a Python process exposes is scraped and can be asked for; Alertmanager is up."""

import json
import time
import urllib.parse
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.services import prometheus
from tests.services.processes import answers


@pytest.fixture(autouse=True)
def _servers_end():
    yield
    prometheus.stop_all()


def ask(base: str, query: str) -> list[dict]:
    with urllib.request.urlopen(f"{base}/api/v1/query?query={urllib.parse.quote(query)}", timeout=5) as answer:
        return json.load(answer)["data"]["result"]


@pytest.mark.services
def test_exposition_is_scraped_and_queried(tmp_path):
    registry = CollectorRegistry()
    Gauge("csf_test_value", "a value", ["kpi"], registry=registry).labels(kpi="mttr").set(4.25)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        base = prometheus.start_prometheus([f"127.0.0.1:{server.server_port}"], tmp_path)
        until = time.monotonic() + 20
        while not (found := ask(base, 'csf_test_value{kpi="mttr"}')) and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert [row["value"][1] for row in found] == ["4.25"]
    assert ask(base, 'up{job="csf"}')[0]["metric"]["instance"] == f"127.0.0.1:{server.server_port}"


@pytest.mark.services
def test_alertmanager_is_ready_and_known_to_prometheus(tmp_path):
    alerts = prometheus.start_alertmanager(tmp_path)
    base = prometheus.start_prometheus([], tmp_path, alertmanager=alerts.removeprefix("http://"))
    assert answers(f"{alerts}/-/ready")
    until = time.monotonic() + 20
    active: list[dict] = []
    while not active and time.monotonic() < until:
        with urllib.request.urlopen(f"{base}/api/v1/alertmanagers", timeout=5) as answer:
            active = json.load(answer)["data"]["activeAlertmanagers"]
        time.sleep(0.1)
    assert [one["url"] for one in active] == [f"{alerts}/api/v2/alerts"]
