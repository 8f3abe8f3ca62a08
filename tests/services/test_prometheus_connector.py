"""The Prometheus connector against a real Prometheus."""

from __future__ import annotations

import json
import math
import random
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import build_plan
from tests.connectors.pulling import on_bench
from tests.properties.harness import Cluster
from tests.services import prometheus
from tests.services.nginx import Nginx
from tests.services.processes import program
from tests.services.test_prometheus import ask


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


def until(condition):
    """Return what a condition gives, once it does."""
    end = time.monotonic() + 40
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def availability(sink, begun):
    """Return what the engine makes of what a sink holds: the availability of the shop on a day."""
    cluster = Cluster(build_plan(load_catalogue()))
    now_ms = int((datetime.now(UTC) + timedelta(minutes=1)).timestamp() * 1000)
    for (topic, key), event in zip(sink.keys, sink.stored, strict=True):
        cluster.append(topic, key, now_ms, json.dumps(event).encode())
    day = begun.replace(hour=0, minute=0, second=0, microsecond=0)
    return cluster.run().values[("availability", "service:shop", "day", int(day.timestamp()))]


@pytest.mark.services
def test_a_real_outage_seen_by_a_real_blackbox_exporter_is_the_availability_that_comes_out(tmp_path):
    nginx = Nginx(tmp_path / "nginx")
    nginx.start()
    url = f"{nginx.address}/"
    begun = datetime.now(UTC)
    try:
        exporter = prometheus.start_blackbox(tmp_path)
        base = prometheus.start_prometheus([], tmp_path, blackbox=(exporter, {url: "shop"}))
        bench = on_bench(
            tmp_path, "prometheus", options={"address": base, "service_label": "service", "interval_s": 1}, auth={"use": "none"},
            since=begun.isoformat(), team="web",
        )  # fmt: skip

        def seen(*, up):
            """Return whether so much as the last two seconds' checks say so."""
            rows = ask(base, "probe_success[2s]")
            values = [value for _, value in rows[0]["values"]] if rows else []
            return len(values) >= 2 and set(values) == {"1" if up else "0"}

        def read_on():
            bench.now = datetime.now(UTC) + timedelta(seconds=31)  # the connector stays half a minute behind
            return bench.poll(anew=True)

        until(lambda: seen(up=True))
        events = read_on()
        stopped = datetime.now(UTC)
        nginx.stop()
        until(lambda: seen(up=False))
        events += read_on()
        nginx.start()
        started = datetime.now(UTC)
        until(lambda: seen(up=True))
        events += read_on()
        (raw,) = ask(base, "probe_success[10m]")
        durations = dict(ask(base, "probe_duration_seconds[10m]")[0]["values"])
    finally:
        nginx.stop()

    samples = [
        (at, value) for at, value in raw["values"] if at <= datetime.fromisoformat(events[-1]["time"]).timestamp()
    ]
    told = [(datetime.fromisoformat(e["time"]).timestamp(), "1" if e["data"]["up"] else "0") for e in events]
    assert told == samples  # each once, in spite of the restarts
    assert {(e["subject"], e["data"]["check"], e["data"]["interval_s"]) for e in events} == {("shop", url, 1.0)}
    latencies = [e["data"].get("latency_ms") for e in events]
    assert latencies == [float(durations[at]) * 1000 if up == "1" else None for at, up in samples]

    down_from = next(at for at, up in samples if up == "0")
    down_until = next(at for at, up in samples if up == "1" and at > down_from)
    assert (
        abs((down_until - down_from) - (started - stopped).total_seconds()) < 1.5
    )  # an interval at each end, and a probe
    value = availability(bench.sink, begun)
    assert value.denominator - value.numerator == pytest.approx(down_until - down_from, abs=0.01)
    assert value.value == pytest.approx(100 * value.numerator / value.denominator)
    assert value.denominator == pytest.approx(samples[-1][0] + 2.5 - samples[0][0], abs=0.01)


def backfilled(folder, text):
    """Let Prometheus have had samples (OpenMetrics with times) before it starts."""
    (folder / "samples").write_text(text)
    command = [
        program("promtool", "prometheus"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        folder / "samples",
        folder / "prometheus",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.services
@pytest.mark.parametrize("most", [None, 60])
def test_a_histogram_of_a_real_prometheus_becomes_the_requests_that_it_counted(tmp_path, most):
    """Also where Prometheus refuses to load more than so many samples for one question: windows are narrowed."""
    chance = random.Random(7)
    begun = (datetime.now(UTC) - timedelta(hours=6)).replace(minute=0, second=0, microsecond=0)
    counted, lines = Counter(), ["# TYPE http_request_duration_seconds histogram"]
    bounds, middles = [0.1, 0.5, math.inf], [50.0, 300.0, 500.0]
    for code in ("200", "404", "5xx"):
        total = [0, 0, 0]
        for step in range(4 * 9 + 1):  # nine minutes, scraped each 15 s
            at = begun + timedelta(seconds=15 * step)
            gained = [chance.randrange(5) if step else 0 for _ in bounds]
            total = [before + more for before, more in zip(total, gained, strict=True)]
            minute = begun + timedelta(minutes=(step - 1) // 4)
            for latency, more in zip(middles, gained, strict=True):
                counted[(minute, {"5xx": 500}.get(code) or int(code), latency)] += more
            for bound, upto in zip(bounds, accumulate(total), strict=True):
                le = "+Inf" if bound == math.inf else bound
                lines.append(
                    f'http_request_duration_seconds_bucket{{service="shop",code="{code}",le="{le}"}} {upto} {at.timestamp():.0f}'
                )
    backfilled(tmp_path, "\n".join([*lines, "# EOF\n"]))
    base = prometheus.start_prometheus([], tmp_path, flags=[f"--query.max-samples={most}"] if most else [])
    bench = on_bench(
        tmp_path, "prometheus", options={"address": base, "service_label": "service"}, auth={"use": "none"}, streams=["requests"],
        since=(begun - timedelta(minutes=3)).isoformat(),
    )  # fmt: skip
    bench.now = begun + timedelta(minutes=6, seconds=17)  # in the midst of a minute
    events = bench.poll()
    bench.now = begun + timedelta(minutes=30)
    events += bench.poll(anew=True)
    told = {e["id"]: e for e in events}.values()
    found = Counter()
    for event in told:
        data = event["data"]
        found[(datetime.fromisoformat(event["time"]), data["status"], data["latency_ms"])] += data["count"]
    assert found == +counted
    assert (bench.counted("requests_total") > 4) == (most is not None)
    assert {e["subject"] for e in told} == {"shop"}


@pytest.mark.services
def test_rescales_that_a_real_prometheus_scraped_are_the_events_each_once(tmp_path):
    """Three autoscalers rescale at random for two hours; some of what they ask for never comes, all else as it is drawn."""
    chance = random.Random(11)
    begun = (datetime.now(UTC) - timedelta(hours=6)).replace(minute=0, second=0, microsecond=0)
    scrapes, written = 8 * 60, set()
    samples = {name: [f"# TYPE {name} gauge"] for name in (
        "kube_horizontalpodautoscaler_info", "kube_horizontalpodautoscaler_status_desired_replicas",
        "kube_horizontalpodautoscaler_status_current_replicas", "kube_deployment_status_replicas", "kube_deployment_status_replicas_ready",
    )}  # fmt: skip

    def at(scrape):
        return begun + timedelta(seconds=15 * scrape)

    for name in ("api", "web", "jobs"):
        desired = ready = size = 3
        asked, there = chance.randrange(1, 20), -1
        for scrape in range(scrapes):
            if scrape == asked:
                before, desired = desired, chance.choice([n for n in range(1, 9) if n != desired])
                up, takes = desired > before, chance.choice([0, 1, 3, 12, 40, 50])
                there, asked = scrape + takes, scrape + takes + chance.randrange(3, 20)
                ready_at = at(there) if takes <= 40 else None
                if (ready_at or at(scrape + 41)) <= at(scrapes - 1):
                    written.add((f"pay/{name}", "up" if up else "down", before, desired, at(scrape), ready_at))
            if scrape == there:
                ready = size = desired
            scaler, pods = (
                f'namespace="pay",horizontalpodautoscaler="{name}"',
                f'namespace="pay",deployment="{name}-web"',
            )
            target = f'{scaler},scaletargetref_kind="Deployment",scaletargetref_name="{name}-web"'
            for (metric, lines), labels, value in zip(
                samples.items(), (target, scaler, scaler, pods, pods), (1, desired, size, size, ready), strict=True
            ):
                lines.append(f"{metric}{{{labels}}} {value} {at(scrape).timestamp():.0f}")
    backfilled(tmp_path, "\n".join([line for lines in samples.values() for line in lines] + ["# EOF\n"]))
    base = prometheus.start_prometheus([], tmp_path)
    bench = on_bench(
        tmp_path, "prometheus", options={"address": base}, auth={"use": "none"}, streams=["rescales"], since=begun.isoformat(),
    )  # fmt: skip
    events = []
    for minutes in (7, 8, 31, 33, 90, 180):
        bench.now = begun + timedelta(minutes=minutes, seconds=chance.randrange(60))
        events += bench.poll(anew=True)

    def told(event):
        data = event["data"]
        requested, ready = (data[name] and datetime.fromisoformat(data[name]) for name in ("requested_at", "ready_at"))
        assert (ready is None) == (data["outcome"] == "failed")
        return event["subject"], data["direction"], data["from"], data["to"], requested, ready

    found = [told({**e, "data": {"ready_at": None, **e["data"]}}) for e in events]
    assert set(found) == written
    assert len(found) == len(written) == len({e["id"] for e in events})
    assert {(direction, ready is None) for _, direction, *_, ready in found} == {
        (direction, failed) for direction in ("up", "down") for failed in (True, False)
    }
