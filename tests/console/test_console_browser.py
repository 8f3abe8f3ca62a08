"""The page in a real browser (Chromium): what a viewer gets to see."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from agents.console.web import load_pages
from agents.guard import guards
from pipeline.catalogue.loader import load_catalogue
from pipeline.catalogue.model import Catalogue
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import Exits, KpiValue
from tests.console.browser import OPTIONS, chromium
from tests.console.conftest import Sample

pytestmark = pytest.mark.services

HOSTILE = "<img src=x onerror=document.title='owned'>"
_OPTIONS = (
    *OPTIONS,
    "--virtual-time-budget=8000",
    "--window-size=1440,1000",
    "--enable-logging=stderr",
    "--log-level=0",
)


def dom(path: Path, loaded: Catalogue, address: str, profile: Path) -> str:
    """Return the document of a page as it is after its scripts have run, without a word of complaint."""
    found, said = visit(path, loaded, address, profile)
    assert not complaints(said), complaints(said)
    return found


def complaints(said: str) -> list[str]:
    """Return what the browser's console says: refused by the policy, failed, wrong."""
    return [line for line in said.splitlines() if ":CONSOLE" in line]


def application(
    path: Path, loaded: Catalogue, *, token: str | None = None, extra: str = "", info: ConsoleInfo | None = None, typing: str = "",
) -> web.Application:  # fmt: skip
    """Return the console over a store; see ``visit``."""
    app = web.Application(middlewares=guards(host="127.0.0.1", token=token))
    if typing:  # before the page's own files are mounted: the first route wins

        async def main_and_typing(_request: web.Request) -> web.Response:
            text = load_pages()["main.js"].body.decode() + typing
            return web.Response(text=text, content_type="text/javascript")

        app.add_routes([web.get("/static/main.js", main_and_typing)])
    setup(app, lambda: SqliteStore(path), loaded, info or ConsoleInfo(demo=True))

    async def spoilt(_request: web.Request) -> web.Response:
        body = load_pages()["index.html"].body.decode().replace("</body>", extra + "</body>")
        return web.Response(text=body, content_type="text/html")

    app.add_routes([web.get("/spoilt", spoilt)])
    return app


def visit(
    path: Path, loaded: Catalogue, address: str, profile: Path, *, token: str | None = None, extra: str = "",
    info: ConsoleInfo | None = None, typing: str = "",
) -> tuple[str, str]:  # fmt: skip
    """Return a page's document and what the browser logged.

    Args:
        path: the store.
        loaded: the catalogue.
        address: what is visited.
        profile: where the browser keeps its own.
        token: what the server asks for.
        extra: markup added to the page, to see that the policy is in force.
        info: what the console is told; by default that it is a demonstration.
        typing: a script that is served with the page's own, in a viewer's place.
    """

    async def run() -> tuple[str, str]:
        app = application(path, loaded, token=token, extra=extra, info=info, typing=typing)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        browser = await asyncio.create_subprocess_exec(
            chromium(), *_OPTIONS, f"--user-data-dir={profile}", "--dump-dom", f"http://127.0.0.1:{port}{address}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(browser.communicate(), 90)
        finally:
            if browser.returncode is None:
                browser.kill()
            await runner.cleanup()
        return out.decode(), err.decode(errors="replace")

    return asyncio.run(run())


def test_the_policy_is_in_force_and_what_it_refuses_is_seen(sample: Sample, tmp_path: Path) -> None:
    for extra, word in (
        ("<script>document.title='owned'</script>", "script"),
        ("<p style='color:red'>", "style"),
        ("<img src='http://127.0.0.1:1/x.png'>", "img"),
        ("<p><img src=/static/none onerror=\"document.title='owned'\">", "script"),
    ):
        found, said = visit(sample.path, sample.catalogue, "/spoilt?nostream=1", tmp_path, extra=extra)
        refused = [line for line in complaints(said) if "Content Security Policy" in line]
        assert refused, said[-2000:]
        assert any(word in line for line in refused)
        assert "<title>owned" not in found


def test_the_token_in_the_address_opens_the_page_and_is_gone(sample: Sample, tmp_path: Path) -> None:
    token = "a-token-that-nobody-guesses"
    found, said = visit(sample.path, sample.catalogue, f"/?nostream=1&token={token}", tmp_path, token=token)
    assert found.count("<article") == 8
    assert not complaints(said)
    assert token not in found
    found, _ = visit(sample.path, sample.catalogue, "/?nostream=1", tmp_path / "other", token=token)
    assert "<article" not in found


def test_the_overview_has_eight_tiles(sample: Sample, tmp_path: Path) -> None:
    found = dom(sample.path, sample.catalogue, "/?nostream=1", tmp_path)
    assert found.count("<article") == 8
    assert all(csf.name in found for csf in sample.catalogue.csfs.values())
    assert "Nordwind Trading, Oct 2026" in found
    assert '<option value="window=1h">' in found


def test_the_page_of_a_csf_has_a_row_a_kpi_and_the_definition_on_demand(sample: Sample, tmp_path: Path) -> None:
    found = dom(sample.path, sample.catalogue, "/csf/reliability?nostream=1&kpi=mttr", tmp_path)
    kpis = [k for k in sample.catalogue.kpis.values() if k.csf == "reliability"]
    assert found.count('class="open"') == len(kpis)
    assert sample.catalogue.kpis["mttr"].definition in found
    assert found.count('aria-expanded="true"') == 1


def test_the_pipeline_page_shows_every_partition(sample: Sample, tmp_path: Path) -> None:
    found = dom(sample.path, sample.catalogue, "/pipeline", tmp_path)
    assert "csf.events.usage / 1" in found
    assert "in = out" in found


def test_hostile_names_are_text_not_markup(tmp_path: Path) -> None:
    folder = tmp_path / "catalogue"
    folder.mkdir()
    (folder / "organisation.yaml").write_text(yaml.safe_dump({"name": HOSTILE}))
    (folder / "services.yaml").write_text(yaml.safe_dump([{"id": "erp", "name": HOSTILE, "team": "data"}]))
    loaded = load_catalogue(folder)
    store = SqliteStore(tmp_path / "kpis.sqlite")
    for scope in ("org", "service:erp", f"service:{HOSTILE}"):
        store.write_values(
            [
                KpiValue(
                    csf="reliability",
                    kpi="mttr",
                    scope=scope,
                    period="month",
                    start=1_790_812_800,
                    end=1_793_491_200,
                    value=5.0,
                    unit=HOSTILE,
                    count=3,
                    status="red",
                    score=0.0,
                    reason=HOSTILE,
                )
            ]
        )
    store.write_exits([Exits(topic=HOSTILE, partition=0, received=1, ignored=1, reasons={f"ignored:{HOSTILE}": 1})])
    store.close()
    for address in ("/?nostream=1", "/csf/reliability?nostream=1", "/pipeline"):
        found = dom(tmp_path / "kpis.sqlite", loaded, address, tmp_path / "profile")
        assert "&lt;img src=x" in found
        assert "<img" not in found
        assert "<title>owned" not in found
