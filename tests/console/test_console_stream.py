"""Server-sent events: a change in the store reaches a viewer within two seconds."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import CsfStatus, Exits, KpiValue
from tests.console.conftest import NOW, served
from tests.console.sample import catalogue

MONTH, END = 1_790_805_600, 1_793_487_600


async def event(response: ClientResponse) -> tuple[str, Any]:
    """Return the next event with data."""
    name = ""
    while True:
        text = (await response.content.readline()).decode().rstrip("\n")
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            return name, json.loads(text[6:])


async def until(response: ClientResponse, wanted: str) -> Any:
    while True:
        name, body = await event(response)
        if name == wanted:
            return body


def mttr(value: float) -> KpiValue:
    return KpiValue(
        csf="reliability", kpi="mttr", scope="org", period="month", start=MONTH, end=END, value=value, unit="h",
        count=12, target=8.0, status="on_target", score=100.0,
    )  # fmt: skip


def status(csf: str, score: float) -> CsfStatus:
    return CsfStatus(
        csf=csf, scope="org", period="month", start=MONTH, end=END, status="aligned", score=score,
        known_weight=1.0, total_weight=1.0,
    )  # fmt: skip


def test_a_write_reaches_the_viewer_within_two_seconds_and_only_what_changed_is_sent(tmp_path) -> None:
    store = SqliteStore(tmp_path / "kpis.sqlite")
    loaded = catalogue(tmp_path / "catalogue")
    store.write_values([mttr(5.0)])
    store.write_statuses([status(c, 90.0) for c in loaded.csfs])
    store.write_exits([Exits(topic="csf.events.incident", partition=0, received=1, kpi=1, clock=float(NOW))])

    async def ask(client: TestClient) -> float:
        async with client.get("/api/v1/stream") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream"
            first = await until(response, "csfs")
            assert len(first["csfs"]) == 8
            started = time.monotonic()
            await asyncio.to_thread(store.write_values, [mttr(6.5)])
            news = await asyncio.wait_for(until(response, "csfs"), 5)
            took = time.monotonic() - started
        assert [c["id"] for c in news["csfs"]] == ["reliability"]
        tile = news["csfs"][0]
        assert next(k["value"] for k in tile["kpis"] if k["id"] == "mttr") == 6.5
        assert news["exits"]["received"] == 1
        return took

    assert served(lambda: SqliteStore(tmp_path / "kpis.sqlite"), loaded, ask) < 2.0
    store.close()


def test_the_stream_of_one_csf_gives_its_whole_page(tmp_path) -> None:
    store = SqliteStore(tmp_path / "kpis.sqlite")
    loaded = catalogue(tmp_path / "catalogue")
    store.write_values([mttr(5.0)])
    store.write_statuses([status("reliability", 90.0)])

    async def ask(client: TestClient) -> list[float]:
        async with client.get("/api/v1/stream?csf=reliability") as response:
            seen = [(await until(response, "csf"))["csf"]]
            await asyncio.to_thread(store.write_values, [mttr(7.0)])
            seen.append((await asyncio.wait_for(until(response, "csf"), 5))["csf"])
        return [next(k["value"] for k in page["kpis"] if k["id"] == "mttr") for page in seen]

    assert served(lambda: SqliteStore(tmp_path / "kpis.sqlite"), loaded, ask) == [5.0, 7.0]
    store.close()


def test_where_nothing_changes_the_clock_is_told_so_that_freshness_stays_honest(tmp_path) -> None:
    store = SqliteStore(tmp_path / "kpis.sqlite")
    loaded = catalogue(tmp_path / "catalogue")
    store.write_exits([Exits(topic="csf.events.usage", partition=1, received=3, ignored=3, clock=float(NOW))])

    async def ask(client: TestClient) -> tuple[str, Any]:
        async with client.get("/api/v1/stream") as response:
            await until(response, "csfs")
            return await asyncio.wait_for(event(response), 15)

    name, body = served(lambda: SqliteStore(tmp_path / "kpis.sqlite"), loaded, ask)
    assert name == "clock"
    assert body["clock"] == "2026-10-20T12:00:00+02:00"
    assert body["exits"]["ignored"] == 3
    store.close()


def test_open_streams_do_not_hold_up_the_end_of_the_server(tmp_path) -> None:
    loaded = catalogue(tmp_path / "catalogue")
    store = SqliteStore(tmp_path / "kpis.sqlite")

    async def run() -> float:
        app = web.Application()
        setup(app, lambda: store, loaded, ConsoleInfo())
        server = TestServer(app)
        client = TestClient(server)
        await client.start_server()
        response = await client.get("/api/v1/stream")
        await until(response, "csfs")
        started = time.monotonic()
        await server.close()
        took = time.monotonic() - started
        response.close()
        await client.close()
        return took

    assert asyncio.run(run()) < 5
