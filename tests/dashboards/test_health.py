"""The Prometheus panels: every metric is one that a worker exposes, and a real Prometheus answers every query."""

import json
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.metrics import Metrics
from dashboards.build import GENERATED
from pipeline.alerts import inputs as i
from pipeline.catalogue.alerts import Match
from pipeline.values import Exits
from tests.alerts.samples import T0, World
from tests.alerts.samples import catalogue as alert_catalogue
from tests.dashboards.grafana import Chosen, panels_of
from tests.paths import ROOT
from tests.services.prometheus import start_prometheus, stop_all


def queries() -> list[str]:
    found = [
        target["expr"]
        for path in sorted(GENERATED.glob("*.json"))
        for panel in panels_of(json.loads(path.read_text()))
        for target in panel.get("targets", [])
        if target["datasource"]["type"] == "prometheus"
    ]
    assert found
    return [Chosen({}, 0, 0, interval="5s").fill(expr) for expr in found]


def a_workers_metrics(received: int = 10) -> Metrics:
    """Return the metrics of a worker that did a bit of everything."""
    metrics = Metrics()
    reasons = {"dead_letter:malformed-json": 1, "unmapped:unknown-service": 1}
    metrics.keep_exits(
        Exits(
            topic="csf.events.incident",
            partition=0,
            received=received,
            kpi=received - 4,
            dead_letter=1,
            duplicate=1,
            unmapped=1,
            ignored=1,
            reasons=reasons,
            clock=time.time(),
        )
    )
    metrics.fold_seconds.labels("ingest").observe(0.02)
    metrics.flush_seconds.observe(0.02)
    metrics.write_seconds.observe(0.02)
    for state in ("delivered", "failed", "expired"):
        metrics.notifications.labels("pager", state).inc()
    metrics.notifications_waiting.labels("pager").set(1)
    metrics.silences.labels("s1", "Ada", "moving house").set(time.time() + 600)
    metrics.maintenance.labels("shop").set(time.time() + 600)
    return metrics


def exposed() -> set[str]:
    text = a_workers_metrics().render({"csf.events.incident": 3}).decode()
    return set(re.findall(r"^(\w+)(?:\{.*\})? \S+$", text, re.MULTILINE))


def test_every_metric_is_one_that_a_worker_exposes() -> None:
    names = exposed()
    for expr in queries():
        used = set(re.findall(r"\bcsf_\w+", re.sub(r'"[^"]*"', "", expr)))
        assert used <= names, f"{used - names}: {expr}"
        assert used or "up{" in expr


def test_the_job_whose_answers_are_counted_is_the_one_that_is_scraped() -> None:
    jobs = {j["job_name"] for j in yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]}
    asked = {job for expr in queries() for job in re.findall(r'job="([^"]+)"', expr)}
    assert asked == {"csf-worker"} <= jobs


def test_what_holds_raises_back_is_shown_while_it_does() -> None:
    w = World(alert_catalogue())
    w.say(i.Silence(id="now", match=Match(), start=T0, end=T0 + 300, by="ana", reason="moving " * 50))
    w.say(i.Silence(id="later", match=Match(), start=T0 + 600, end=T0 + 900, by="ana", reason="moving"))
    w.say(i.MaintenanceTold(service="shop", windows=[(T0 - 900, T0 - 600), (T0, T0 + 600)]))
    metrics = Metrics()
    metrics.keep_alerts(w.engine, T0 + 60)
    text = metrics.render({}).decode()
    ((reason, end),) = re.findall(r'silence_end_seconds\{by="ana",id="now",reason="(.*)"\} (\S+)', text)
    assert (reason, float(end)) == (("moving " * 50)[:100], T0 + 300)
    assert "later" not in text
    (maintained,) = re.findall(r'csf_maintenance_end_seconds\{service="shop"\} (\S+)', text)
    assert float(maintained) == T0 + 600
    metrics.keep_alerts(w.engine, T0 + 600)
    assert "csf_maintenance_end_seconds{" not in metrics.render({}).decode()


@pytest.fixture
def worker() -> Iterator[str]:
    """Serve a worker's metrics, whose counters go up with every scrape; return host:port."""
    metrics, scrapes = a_workers_metrics(), iter(range(1, 1_000_000))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            received = 10 + 100 * next(scrapes)
            metrics.keep_exits(a_workers_metrics(received)._exits["csf.events.incident", 0])
            metrics.written.inc(5)
            metrics.fold_seconds.labels("ingest").observe(0.02)
            metrics.flush_seconds.observe(0.02)
            metrics.write_seconds.observe(0.02)
            body = metrics.render({"csf.events.incident": 3})
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def ask(base: str, expr: str) -> list[Any]:
    query = urllib.parse.urlencode({"query": expr})
    try:
        with urllib.request.urlopen(f"{base}/api/v1/query?{query}", timeout=5) as answer:
            return list(json.load(answer)["data"]["result"])
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.read().decode()}: {expr}") from None


@pytest.mark.services
def test_a_real_prometheus_answers_every_query(worker: str, tmp_path: Path) -> None:
    # scraped as job "csf" here, each half second: the steps of inner queries are as much shorter
    exprs = [e.replace('job="csf-worker"', 'job="csf"').replace("[5m:15s]", "[10s:1s]") for e in queries()]
    try:
        base = start_prometheus([worker], tmp_path)
        silent, end = set(exprs), time.monotonic() + 60
        while silent:
            assert time.monotonic() < end, f"no answer to {silent}"
            silent = {e for e in silent if not [r for r in ask(base, e) if r["value"][1] != "NaN"]}
            time.sleep(0.2)
        (lost,) = ask(base, "sum(csf_events_received) - sum(csf_events_exit)")
        assert lost["value"][1] == "0"
        (written,) = ask(base, "sum(rate(csf_values_written_total[5m]))")
        assert float(written["value"][1]) > 0
        for expr in queries():  # as they stand
            ask(base, expr)
    finally:
        stop_all()
