"""How connectors are doing: what is read from Kafka's records, the API, and the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from agents.console.connectors import Connectors, connectors_document
from agents.console.info import ConsoleInfo
from agents.sources import Known
from pipeline.errors import ServiceUnavailable
from pipeline.evaluate.sources import Judged, in_order, judged
from pipeline.sources import StreamState
from pipeline.stores.sqlite import SqliteStore
from pipeline.time.calendar import Calendar
from tests.console.browser import tab
from tests.console.conftest import NOW, Sample, served
from tests.console.test_console_browser import HOSTILE, application

DAY = 86_400.0


def record(state: StreamState) -> tuple[bytes, bytes]:
    return state.key.encode(), msgspec.json.encode(state)


def stream(name: str, **told: Any) -> StreamState:
    usual = {"told_at": NOW - 10, "started_at": NOW - DAY, "poll_s": 60.0, "asked_at": NOW - 11, "success_at": NOW - 10}
    return StreamState(source="servicenow/prod", stream=name, title="ServiceNow", **{**usual, **told})


def polled(source: str, to: str, **more: Any) -> bytes:
    data = {"source": source, "from": "2026-10-20T09:00:00Z", "to": to, "types": ["page.viewed"], **more}
    return msgspec.json.encode({"specversion": "1.0", "id": to, "type": "source.polled", "data": data})


def test_records_of_states_are_taken_and_cursors_passed_over() -> None:
    known = Known()
    known.cursor(*record(stream("incidents", events=5)))
    known.cursor(*record(stream("incidents", events=9)))
    known.cursor(*record(stream("changes")))
    known.cursor(b"servicenow/prod/incidents", b'{"until": "2026-10-20T10:00:00Z"}')
    known.cursor(b"state|broken", b"{")
    known.cursor(record(stream("changes"))[0], None)
    (found,) = known.judged([], NOW)
    assert (found.stream.name, found.stream.events) == ("servicenow/prod/incidents", 9)


def test_who_only_says_what_it_covers_is_heard_and_an_import_is_nobody_to_wait_for() -> None:
    known = Known()
    # 12:00 in Berlin is 10:00 UTC
    known.control(polled("access-log/shop", "2026-10-20T09:59:00Z"), NOW - 60)
    known.control(polled("access-log/shop", "2026-10-20T10:00:00Z", truncated=3, complete=False), NOW)
    known.control(polled("orders.csv", "2026-10-20T09:50:00Z"), NOW - 60)
    known.control(polled("history", "2026-09-01T00:00:00Z"), NOW - 60)
    known.control(polled("history", "2026-09-02T00:00:00Z"), NOW)
    known.control(b'{"type": "clock.ticked", "data": {}}', NOW)
    known.control(b'{"type": "source.polled", "data": {"source": 5}}', NOW)
    (found,) = known.judged([], NOW)
    assert (found.stream.name, found.state, found.why) == (
        "access-log/shop",
        "fine",
        "its last word left something out",
    )
    assert (found.stream.truncated, found.stream.until) == (3, NOW)
    # one that tells of itself is not listed twice
    known.cursor(*record(StreamState(source="access-log/shop", stream="", told_at=NOW, started_at=NOW, poll_s=60.0)))
    (found,) = known.judged([], NOW)
    assert found.stream.started_at == NOW


def states() -> list[Judged]:
    return in_order(
        [
            judged(stream("incidents", events=12_345, requests=321, until=NOW - 30.0), NOW),
            judged(stream("surveys", failures=3, error="https://acme.example: answers 403", error_at=NOW - 60.0), NOW),
            judged(stream("changes", told_at=NOW - 3 * DAY, success_at=NOW - 3 * DAY, until=NOW - 3 * DAY), NOW),
            judged(stream("security", waits_until=NOW + 600.0, waits=4, waited_s=1200.0), NOW),
            judged(stream("tasks", told_at=0.0, started_at=0.0, asked_at=None, success_at=None), NOW),
            judged(
                stream("requests", truncated=40, truncated_at=NOW - 7200.0, refused=2, unmapped={HOSTILE: 7}), NOW
            ),
        ]
    )  # fmt: skip


def test_the_api_gives_every_stream_silent_ones_first() -> None:
    found = connectors_document(states(), Calendar("Europe/Berlin"), NOW)
    assert found["counts"] == {"silent": 1, "failing": 1, "waiting": 1, "never_asked": 1, "fine": 2}
    by_stream = {s["stream"]: s for s in found["streams"]}
    assert list(by_stream) == ["changes", "surveys", "security", "tasks", "incidents", "requests"]
    silent = by_stream["changes"]
    assert silent["why"] == "its connector has said nothing for 3 days: it does not run"
    assert (silent["success_at"], silent["success_age_s"], silent["behind"]) == (
        "2026-10-17T12:00:00+02:00",
        3 * DAY,
        True,
    )
    assert by_stream["surveys"]["error"] == "https://acme.example: answers 403"
    assert by_stream["security"]["waits_until"] == "2026-10-20T12:10:00+02:00"
    assert by_stream["security"]["rate_limit_wait_s"] == 1200.0
    assert by_stream["incidents"]["lag_s"] == 30.0
    assert (by_stream["tasks"]["requests"], by_stream["tasks"]["success_at"]) == (None, None)
    assert by_stream["requests"]["truncated_at"] == "2026-10-20T10:00:00+02:00"
    assert by_stream["requests"]["unmapped"] == [{"id": HOSTILE, "records": 7}]


def test_the_console_serves_them_where_it_knows_and_says_when_nobody_answers(sample: Sample) -> None:
    def away() -> list[Judged]:
        raise ServiceUnavailable("Kafka at broker:9092 does not tell how connectors are")

    async def ask(client: TestClient) -> Any:
        answer = await client.get("/api/v1/connectors")
        info = await client.get("/api/v1/info")
        return answer.status, await answer.json(), (await info.json())["connectors"]

    def asked(info: ConsoleInfo) -> Any:
        return served(lambda: SqliteStore(sample.path), sample.catalogue, ask, info)

    status, found, offered = asked(ConsoleInfo(sources=states))
    assert (status, offered, len(found["streams"])) == (200, True, 6)
    assert "clock_age_s" in found
    status, found, offered = asked(ConsoleInfo(sources=away))
    assert (status, found) == (503, {"error": "Kafka at broker:9092 does not tell how connectors are"})
    assert asked(ConsoleInfo())[0] == 404
    assert asked(ConsoleInfo())[2] is False


def test_viewers_share_an_answer_for_two_seconds() -> None:
    asked: list[float] = []
    now = 0.0

    def sources() -> list[Judged]:
        asked.append(now)
        return []

    async def look() -> None:
        nonlocal now
        connectors = Connectors(sources, clock=lambda: now)
        await asyncio.gather(*(connectors.now() for _ in range(10)))
        now = 1.9
        await connectors.now()
        assert len(asked) == 1
        now = 2.1
        await connectors.now()
        await connectors.close()

    asyncio.run(look())
    assert asked == [0.0, 2.1]


_SHOWN = """new Promise(done => {
  const look = () => document.querySelector(".connector-table, main section") ? requestAnimationFrame(() => done(true)) : setTimeout(look, 20)
  look()
})"""


def looked(sample: Sample, folder: Path, sources: Any, width: int, script: str) -> tuple[Any, list[str]]:
    """Return what a script finds on the page in a real browser, and the complaints."""

    async def look() -> tuple[Any, list[str]]:
        runner = web.AppRunner(application(sample.path, sample.catalogue, info=ConsoleInfo(sources=sources)))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with tab(folder) as page:
                await page.open(f"http://127.0.0.1:{runner.addresses[0][1]}/connectors", width)
                await page.ask(_SHOWN)
                return await page.ask(script), page.complaints
        finally:
            await runner.cleanup()

    return asyncio.run(look())


@pytest.mark.services
@pytest.mark.parametrize("width", [1600, 390])
def test_the_page_names_every_stream_and_why_it_needs_somebody(sample: Sample, tmp_path: Path, width: int) -> None:
    script = """(() => ({
      rows: [...document.querySelectorAll(".connector-table tbody th")].map(h => h.textContent),
      text: document.querySelector("main").textContent, title: document.title,
      heads: document.querySelectorAll(".connector-table thead th[scope=col]").length,
      across: document.documentElement.scrollWidth, current: document.querySelector("[aria-current]").textContent,
      chosen: document.getElementById("scope-label").hidden}))()"""
    found, complaints = looked(sample, tmp_path, states, width, script)
    assert not complaints
    assert found["across"] <= width
    assert (found["heads"], found["current"], found["chosen"]) == (8, "Connectors", True)
    assert found["title"] == "Connectors · Nordwind Trading"
    assert found["rows"][0] == "servicenow/prod / changesServiceNow"
    for said in (
        "Its connector has said nothing for 3 days: it does not run.", "3 polls failed in a row.", "answers 403", "12,345",
        "It is asked again at 2026-10-20 12:10:00.", "40 hidden by a limit", f"{HOSTILE} (7)",
    ):  # fmt: skip
        assert said in found["text"], said


@pytest.mark.services
def test_a_page_without_connectors_says_how_to_begin_and_ages_are_said_as_elsewhere(
    sample: Sample, tmp_path: Path
) -> None:
    script = """import("/static/format.js").then(f => ({text: document.querySelector("main").textContent,
      lengths: [0, 45, 89.4, 90, 5399, 5400, 172800, 5270400, 16788309, 63158400].map(f.length)}))"""
    found, complaints = looked(sample, tmp_path, list, 1280, script)
    assert not complaints
    assert "No connector has said anything yet, and none is configured. csf connector list shows" in found["text"]
    assert found["lengths"] == [
        "0 s", "45 s", "89 s", "2 min", "90 min", "2 h", "2 days", "2 months", "6 months", "2 years",
    ]  # fmt: skip
