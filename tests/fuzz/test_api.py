"""Questions to the console's API: parameters, paths, headers."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from agents.console.rows import ROW_PARAMETERS, parse_range
from agents.console.selection import SELECTION_PARAMETERS, BadParameterError, require_known, select
from agents.guard import Rates, guards
from pipeline.stores.sqlite import SqliteStore
from pipeline.time.calendar import Calendar
from pipeline.values import WINDOWS
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, SEED, fuzz
from tests.properties.histories import catalogue
from tests.stores import samples

GOOD = {
    "scope": ("org", "team:web", "service:shop"), "period": ("month", "day", "hour"), "window": tuple(WINDOWS),
    "month": ("2026-10",), "day": ("2026-10-05",), "from": ("2026-09", "2026-10-01T00:00:00Z"), "to": ("2026-10", "2026-10-05T13"),
    "csf": ("reliability", "security"), "kpi": ("mttr", "csat,nps"), "last": ("1h",),
}  # fmt: skip


def parameters(rng: random.Random) -> dict[str, str]:
    given = {}
    for name in rng.sample(sorted(GOOD), rng.randint(1, 4)):
        value = rng.choice(GOOD[name])
        key = mutate.text(name, rng) if rng.random() < 0.05 else name
        given[key] = mutate.text(value, rng) if rng.random() < 0.6 else value
    return given


def test_parameters() -> None:
    made, calendar = catalogue("Europe/Zurich"), Calendar("Europe/Zurich")
    scopes = ["org", "team:web", "service:shop"]

    def check(given: dict[str, str]) -> None:
        try:
            require_known(given, (*SELECTION_PARAMETERS, *ROW_PARAMETERS))
            select(given, scopes, calendar)
        except BadParameterError as e:
            short(e)
        try:
            parse_range(given, made, scopes, calendar, 1_793_500_000.0)
        except BadParameterError as e:
            short(e)

    def short(error: Exception) -> None:
        assert 0 < len(str(error)) < 3000

    fuzz(parameters, check)


PATHS = (
    "",
    "info",
    "csfs",
    "csfs/reliability",
    "kpis",
    "series",
    "scopes",
    "services",
    "catalogue",
    "exits",
    "health",
    "stream/x",
)


@pytest.mark.timeout(3000)
def test_whole_requests(tmp_path: Path) -> None:
    """Whatever is asked, the answer is 200 or says what was wrong; never a fault, and always with the headers."""
    store = SqliteStore(tmp_path / "kpis.db")
    store.write_values(
        [samples.period_value(start=1_790_805_600, end=1_793_487_600, scope=s) for s in ("org", "service:shop")]
    )
    store.close()

    def address(rng: random.Random) -> str:
        path = "/api/v1/" + rng.choice(PATHS)
        if rng.random() < 0.2:
            path = "/" + mutate.text(path, rng).lstrip("/")
        query = "&".join(
            f"{quote(k, errors='surrogatepass')}={quote(v, errors='surrogatepass') if rng.random() < 0.9 else quote_from_bytes(rng.randbytes(5))}"
            for k, v in parameters(rng).items()
        )
        return quote(path, safe="/%", errors="surrogatepass") + "?" + query

    async def run() -> None:
        app = web.Application(middlewares=guards(host="127.0.0.1", rates=Rates(requests_s=1e9, requests_burst=1e9)))
        setup(app, lambda: SqliteStore(tmp_path / "kpis.db"), catalogue("Europe/Zurich"), ConsoleInfo())
        async with TestClient(TestServer(app)) as client:
            for number in range(max(300, INPUTS // 10)):
                rng = random.Random(f"{SEED}/{number}")
                asked = address(rng)
                url = URL(f"http://127.0.0.1:{client.port}{asked}", encoded=True)
                headers = {"If-None-Match": "".join(c for c in mutate.text('"abc"', rng) if 32 <= ord(c) < 127)}
                async with client.session.get(url, headers=headers, allow_redirects=False) as r:
                    body = await r.read()
                    assert r.status in {200, 304, 400, 404, 429}, (asked, r.status, body[:300])
                    assert "default-src" in r.headers["Content-Security-Policy"], asked

    asyncio.run(run())
