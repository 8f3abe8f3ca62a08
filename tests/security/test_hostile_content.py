"""Hostile text through the real paths: InfluxDB's line protocol and Flux, SQLite, Prometheus, the API; it stays the text it was."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from agents.metrics import Metrics
from pipeline.catalogue.loader import load_catalogue
from pipeline.stores.influx import InfluxStore
from pipeline.stores.port import KpiStore
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import Exits, KpiValue
from tests.services.influx import Influx
from tests.stores.samples import MAY, live_value, period_value

HOSTILE = (
    "a,b=c d", 'a"b', "a\\", "\\", "a\\,b", "a\nkpi_live,kpi=x value=1 1", "a\r\n", "\x00", "%", "%000a", "\\000a", " ", "", "=", ",",
    '") |> drop(columns: ["_value"]) //', '${r._value}', "'; DROP TABLE period_values; --", '" or 1 == 1 or "', "r._value", "*", "/.*/",
    "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", '"} 1\nevil_metric{a="', "\u2028", "\u202e", "\x1b[2J",
    "é", "𝔘", "\ufeff", "\ufffe", "service:", "a" * 2000,
)  # fmt: skip
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NAMES = st.fixed_dictionaries({"csf": TEXT, "kpi": TEXT, "scope": TEXT, "unit": TEXT, "reason": TEXT})
_NUMBER = itertools.count()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("influx", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KpiStore]:
    if request.param == "sqlite":
        made: KpiStore = SqliteStore(tmp_path_factory.mktemp("s") / "kpis.db")
        yield made
        made.close()
        return
    server = Influx(tmp_path_factory.mktemp("influx"))
    influx = InfluxStore(server.url, server.token, server.org)
    influx.setup_buckets()
    yield influx
    influx.close()
    server.server.stop()


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(names=NAMES, other=TEXT)
def test_a_value_reads_back_as_it_was_and_nothing_else_does(store: KpiStore, names: dict[str, str], other: str) -> None:
    """Written under hostile names, asked for by hostile names: exactly that value, none other, no error."""
    month = MAY + next(_NUMBER) * 86_400 * 31
    mine = period_value(**names, start=month, end=month + 86_400 * 31)
    bystander = period_value(start=month, end=month + 86_400 * 31, kpi=names["kpi"] + "x", scope="org")
    store.write_values([mine, bystander])
    found = store.periods(
        period="month", kpis=[names["kpi"]], scopes=[names["scope"]], start_from=month, start_to=month
    )
    assert found == [mine]
    asked = store.periods(period="month", kpis=[other], start_from=month, start_to=month)
    assert all(v.kpi == other for v in asked)
    everything = store.periods(period="month", start_from=month, start_to=month)
    assert sorted(v.kpi for v in everything) == sorted([mine.kpi, bystander.kpi])
    assert names["scope"] in store.scopes()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_exits_keep_hostile_topics_and_reasons(store: KpiStore, hostile: str) -> None:
    told = Exits(topic=f"t{hostile}", partition=0, received=2, ignored=2, reasons={f"ignored:{hostile}": 2}, clock=5.0)
    store.write_exits([told])
    assert told in store.exits()


@given(scope=TEXT, reason=TEXT)
def test_prometheus_reads_hostile_labels_as_labels(scope: str, reason: str) -> None:
    metrics = Metrics()
    metrics.keep_values([live_value(MAY, scope=scope)])
    metrics.keep_exits(Exits(topic="t", partition=0, received=1, ignored=1, reasons={f"ignored:{reason}": 1}))
    text = metrics.render({}).decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert [s.labels["scope"] for s in families["csf_kpi_value"].samples] == [scope]
    assert {s.labels["reason"] for s in families["csf_events_exit"].samples} == {"", reason}
    assert not [name for name in families if not name.startswith("csf_")]


def test_the_api_answers_hostile_names_as_json_that_no_browser_takes_for_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "services.yaml").write_text(
        json.dumps([{"id": "erp", "name": n, "team": "data"} for n in HOSTILE[-9:-8]])
    )
    loaded = load_catalogue(folder)
    store = SqliteStore(tmp_path / "kpis.db")
    values: list[KpiValue] = [period_value(scope=f"service:{h}", reason=h, unit=h) for h in HOSTILE if h]
    store.write_values(values)
    store.close()

    async def run() -> None:
        app = web.Application()
        setup(app, lambda: SqliteStore(tmp_path / "kpis.db"), loaded, ConsoleInfo())
        async with TestClient(TestServer(app)) as client:
            for path in ("scopes", "kpis?kpi=mttr&from=2016-05&to=2016-05", "services", "exits"):
                async with client.get(f"/api/v1/{path}") as r:
                    assert r.status == 200, await r.text()
                    assert r.content_type == "application/json"
                    assert r.headers["X-Content-Type-Options"] == "nosniff"
                    told = json.loads(await r.read())
                    if path == "scopes":
                        assert {f"service:{h}" for h in HOSTILE if h} <= {s["scope"] for s in told["scopes"]}

    asyncio.run(run())
