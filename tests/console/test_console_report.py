"""The report on the page: built once for all who ask, under a policy of its own, never holding up what is live."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agents.console.info import ConsoleInfo
from agents.console.reports import Built
from agents.console.routes import setup
from agents.guard import guards
from pipeline.errors import ConfigError, ServiceUnavailable
from pipeline.stores.register_sqlite import SqliteRegister
from pipeline.stores.sqlite import SqliteStore
from tests.console.conftest import Sample

STYLE = "body { color: #123 }"
PAGE = f"<!doctype html><title>r</title><style>{STYLE}</style><p>Report</p>".encode()


class Source:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.running = self.most = 0
        self.gate: asyncio.Event | None = None

    async def built(self, month: str | None, scope: str) -> Built:
        self.asked.append((month, scope))
        self.running += 1
        self.most = max(self.most, self.running)
        if self.gate is not None:
            await self.gate.wait()
        self.running -= 1
        if scope == "team:none":
            raise ConfigError("--scope team:none: there is no such team")
        if scope == "team:broken":
            raise ServiceUnavailable("the report could not be built: it broke")
        return Built(month or "2026-09", f'{{"asked": {len(self.asked)}}}'.encode(), PAGE)

    async def issue(self, number: int) -> Built:
        if number != 3:
            raise ConfigError(f"there is no issue {number}")
        return Built("2026-08", b'{"issue": 3}', PAGE)

    async def rendered(self, document: bytes, form: str) -> bytes:
        return form.encode() + b" of " + document

    async def issues(self) -> Sequence[dict[str, Any]]:
        return [{"number": 3, "month": "2026-08"}]


Ask = Callable[[TestClient], Awaitable[Any]]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def run(sample: Sample, source: Source, tmp_path) -> Callable[[Ask], Any]:
    def run_(ask: Ask) -> Any:
        async def inside() -> Any:
            app = web.Application(middlewares=guards(host="127.0.0.1"))
            info = ConsoleInfo(reports=source, register=lambda: SqliteRegister(tmp_path / "register.db"))
            setup(app, lambda: SqliteStore(sample.path), sample.catalogue, info)
            async with TestClient(TestServer(app)) as client:
                return await ask(client)

        return asyncio.run(inside())

    return run_


async def got(client: TestClient, query: str, status: int = 200) -> tuple[bytes, Any]:
    async with client.get(f"/api/v1/report{query}") as answer:
        body = await answer.read()
        assert answer.status == status, body
        return body, answer.headers.copy()


def test_equal_questions_share_one_report_in_all_its_forms(run, source: Source) -> None:
    async def ask(client: TestClient) -> None:
        bodies = await asyncio.gather(*(got(client, "?month=2026-09&scope=org") for _ in range(20)))
        assert {body for body, _ in bodies} == {b'{"asked": 1}'}
        assert (await got(client, "?month=2026-09&scope=org&format=html"))[0] == PAGE
        assert (await got(client, "?month=2026-09&format=csv"))[0] == b'csv of {"asked": 1}'

    run(ask)
    assert source.asked == [("2026-09", "org")]


def test_one_report_is_built_at_a_time(run, source: Source) -> None:
    async def ask(client: TestClient) -> None:
        scopes = ["org", "team:commerce", "team:data", "service:erp"]
        await asyncio.gather(*(got(client, f"?scope={scope}") for scope in scopes))

    run(ask)
    assert len(source.asked) == 4
    assert source.most == 1


def test_an_entry_into_the_register_shows_at_once(run, source: Source) -> None:
    async def ask(client: TestClient) -> None:
        await got(client, "?month=2026-09")
        body = {"csf": "reliability", "month": "2026-09", "text": "Seen", "who": "Ada"}
        async with client.post("/api/v1/comments", json=body, headers={"Sec-Fetch-Site": "same-origin"}) as answer:
            assert answer.status == 201
        assert (await got(client, "?month=2026-09"))[0] == b'{"asked": 2}'

    run(ask)


def test_the_page_of_a_report_runs_no_script_and_has_its_own_style_by_hash(run) -> None:
    async def ask(client: TestClient) -> None:
        _, headers = await got(client, "?format=html")
        policy = headers["Content-Security-Policy"]
        hashed = b64encode(sha256(STYLE.encode()).digest()).decode()
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{hashed}';")
        assert "frame-ancestors 'self'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["X-Content-Type-Options"] == "nosniff"
        _, headers = await got(client, "?format=json")
        assert headers["X-Frame-Options"] == "DENY"

    run(ask)


def test_forms_are_downloads_named_after_the_report(run) -> None:
    async def ask(client: TestClient) -> None:
        for form, kind in (
            ("pdf", "application/pdf"),
            ("md", "text/markdown; charset=utf-8"),
            ("csv", "text/csv; charset=utf-8"),
        ):
            _, headers = await got(client, f"?scope=team:a%22%0d%0ab&month=2026-09&format={form}")
            assert headers["Content-Type"] == kind
            assert headers["Content-Disposition"] == f'attachment; filename="report-2026-09-team-a-b.{form}"'

    run(ask)


def test_issued_reports_are_listed_and_shown(run) -> None:
    async def ask(client: TestClient) -> None:
        async with client.get("/api/v1/reports") as answer:
            assert await answer.json() == {"issues": [{"number": 3, "month": "2026-08"}]}
        assert (await got(client, "?issue=3"))[0] == b'{"issue": 3}'
        assert b"there is no issue 4" in (await got(client, "?issue=4", 400))[0]
        for query in ("?issue=x", "?issue=3&scope=org", "?issue=-1", "?format=exe", "?mouth=2026-09"):
            body, _ = await got(client, query, 400)
            assert b"allowed: " in body

    run(ask)


def test_what_cannot_be_reported_is_told_and_asked_again(run, source: Source) -> None:
    async def ask(client: TestClient) -> None:
        assert b"there is no such team" in (await got(client, "?scope=team:none", 400))[0]
        assert b"it broke" in (await got(client, "?scope=team:broken", 503))[0]
        await got(client, "?scope=team:broken", 503)

    run(ask)
    assert source.asked.count((None, "team:broken")) == 2


def test_a_viewer_that_leaves_ends_nobody_elses_report(run, source: Source) -> None:
    async def ask(client: TestClient) -> None:
        source.gate = asyncio.Event()
        leaving = asyncio.create_task(got(client, "?month=2026-09"))
        staying = asyncio.create_task(got(client, "?month=2026-09"))
        while not source.asked:
            await asyncio.sleep(0)
        leaving.cancel()
        source.gate.set()
        assert (await staying)[0] == b'{"asked": 1}'

    run(ask)


def test_the_live_page_answers_while_a_report_is_being_built(run, source: Source) -> None:
    async def ask(client: TestClient) -> float:
        source.gate = asyncio.Event()
        building = asyncio.create_task(got(client, "?month=2026-09"))
        while not source.asked:
            await asyncio.sleep(0)
        began = time.monotonic()
        async with client.get("/api/v1/csfs") as answer:
            assert answer.status == 200
        took = time.monotonic() - began
        assert not building.done()
        source.gate.set()
        await building
        return took

    assert run(ask) < 5.0
