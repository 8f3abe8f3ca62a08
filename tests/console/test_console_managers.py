"""The pages for managers in a real browser: reading the report, opening and changing programmes, commenting."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from agents.console.info import ConsoleInfo
from agents.console.reports import Built
from cli.report_child import console_links
from pipeline.report.register import Entry
from pipeline.stores.register_sqlite import SqliteRegister
from reports.html import render
from reports.issues import encode
from tests.console.browser import tab
from tests.console.conftest import Sample
from tests.console.test_console_browser import HOSTILE, application, complaints, visit
from tests.report import sample as reports
from tests.stores.entries import entry

pytestmark = pytest.mark.services


#: resolves when the page has been drawn from what the server told
_SETTLED = """new Promise(done => {
  const look = () => document.querySelector("main > *:not(.loading)") ? requestAnimationFrame(() => done(true)) : setTimeout(look, 20)
  look()
})"""


class Source:
    """Gives the report that was written by hand."""

    def __init__(self) -> None:
        report = reports.report()
        self.built_ = Built(report.month, encode(report), render(report, console_links(report)).encode())

    async def built(self, month: str | None, scope: str) -> Built:
        return self.built_

    async def issue(self, number: int) -> Built:
        return self.built_

    async def rendered(self, document: bytes, form: str) -> bytes:
        return document

    async def issues(self) -> Sequence[dict[str, Any]]:
        return [
            {"number": 7, "at": "2026-11-03T08:00:00+01:00", "by": HOSTILE, "month": "2026-10", "scope": "org",
             "scope_name": HOSTILE, "state": "closed", "revision": 1}
        ]  # fmt: skip


class Desk:
    def __init__(self, sample: Sample, folder: Path) -> None:
        self.sample, self.folder = sample, folder
        self.register = SqliteRegister(folder / "register.db")

    def look(self, address: str, typing: str = "", token: str | None = None) -> str:
        info = ConsoleInfo(
            register=lambda: SqliteRegister(self.folder / "register.db"), reports=Source(), token=token is not None
        )
        found, said = visit(
            self.sample.path, self.sample.catalogue, address, self.folder / "profile", info=info, typing=typing,
            token=token,
        )  # fmt: skip
        assert not complaints(said), complaints(said)
        return found

    def entries(self) -> list[Entry]:
        return self.register.entries()


@pytest.fixture
def desk(sample: Sample, tmp_path: Path):
    made = Desk(sample, tmp_path)
    yield made
    made.register.close()


def script(steps: str) -> str:
    """Return a script that waits for a form, fills it in and sends it, as a viewer does."""
    return f"""
;(async () => {{
  const until = async (found) => {{ for (;;) {{ const it = found(); if (it) return it; await new Promise((r) => setTimeout(r, 20)); }} }};
  const type = (form, name, value) => {{ const c = form.elements[name]; if (c.type === "checkbox") c.checked = value; else c.value = value; c.dispatchEvent(new Event("change")); }};
  {steps}
}})();
"""


def test_navigation_leads_to_report_and_improvement_where_there_are_any(desk: Desk, sample: Sample) -> None:
    found = desk.look("/?nostream=1")
    assert '<a href="/report?nostream=1" data-nav="" data-page="report">Report</a>' in found
    assert '<a href="/sips?nostream=1" data-nav="" data-page="sips">Improvement</a>' in found
    found, _ = visit(sample.path, sample.catalogue, "/?nostream=1", desk.folder / "other")
    assert 'data-page="report" hidden=""' in found


def test_the_report_is_shown_in_its_frame_with_its_forms_concerns_and_issues(desk: Desk) -> None:
    found = desk.look("/report")
    assert "<iframe" in found
    assert 'style="height:' in found, "the frame has not grown to its document"
    for form in ("pdf", "md", "csv", "json"):
        assert f"format={form}" in found
    assert "Act on it" in found
    assert "/sips?" in found
    assert "open=1" in found
    assert 'href="/report?issue=7"' in found
    # a concern for which a programme is open leads there, not to another one
    assert 'In hand: <a href="/sips/SIP-0001"' in found


def test_a_programme_is_opened_from_a_prefilled_form(desk: Desk) -> None:
    steps = """
  const form = await until(() => document.querySelector("form.entry"));
  type(form, "goal", "0,5"); type(form, "owner", "Service desk"); type(form, "who", "Ada"); type(form, "due", "2199-12-31");
  type(form, "actions", "Rota\\n\\nRunbooks\\n");
  form.requestSubmit();
"""
    found = desk.look("/sips?open=1&kpi=mttr&title=Resolve%20sooner&why=Because", script(steps))
    (made,) = desk.entries()
    assert (made.who, made.via, made.why) == ("Ada", "console", "Because")
    assert (made.changes["title"], made.changes["goal"], made.changes["due"]) == ("Resolve sooner", 0.5, "2199-12-31")
    assert f"/ {made.subject}" in found, "its own page is shown then"
    assert "Runbooks" in found


def test_what_is_refused_is_told_in_the_form_and_what_was_typed_stays(desk: Desk) -> None:
    steps = """
  const form = await until(() => document.querySelector("form.entry"));
  type(form, "title", "Resolve sooner"); type(form, "goal", "100000"); type(form, "owner", "Desk"); type(form, "who", "Ada");
  form.requestSubmit();
  await until(() => !form.querySelector(".complaint").hidden);
  document.body.dataset.kept = form.elements.title.value;
"""
    found = desk.look("/sips?open=1&kpi=mttr", script(steps))
    assert "is not below the baseline" in found
    assert 'data-kept="Resolve sooner"' in found
    assert desk.entries() == []


def test_a_programme_is_changed_and_closed(desk: Desk) -> None:
    desk.register.append(entry())
    steps = """
  const form = await until(() => document.querySelector("form[aria-label='Change the programme']"));
  type(form, "action-1", true); type(form, "add", "Training"); type(form, "status", "on_hold"); type(form, "who", "Grace");
  form.requestSubmit();
  await until(() => document.querySelector(".trail b")?.textContent === "Grace");
  const end = await until(() => document.querySelector("form[aria-label='Close the programme']"));
  type(end, "why", "Reached"); type(end, "who", "Ada");
  end.requestSubmit();
  await until(() => document.querySelectorAll(".trail b").length === 3);
"""
    found = desk.look("/sips/SIP-K7Q2F", script(steps))
    _, changed, closed = desk.entries()
    assert (changed.who, changed.changes["status"], changed.changes["action:a1:done"]) == ("Grace", "on_hold", True)
    assert (closed.kind, closed.who, closed.why) == ("sip.closed", "Ada", "Reached")
    assert "Open it again" in found


def test_a_comment_is_entered(desk: Desk) -> None:
    steps = """
  const form = await until(() => document.querySelector("form[aria-label='Comment on a CSF']"));
  type(form, "csf", "security"); type(form, "text", "We know."); type(form, "who", "Ada");
  form.requestSubmit();
"""
    desk.look("/report", script(steps))
    (made,) = desk.entries()
    assert (made.kind, made.who, made.changes["text"]) == ("comment.set", "Ada", "We know.")
    assert made.subject == "comment:2026-10:org:security"


def test_a_comment_is_withdrawn(desk: Desk) -> None:
    subject = "comment:2026-10:org:reliability"
    desk.register.append(entry(kind="comment.set", subject=subject, changes={"text": "Seen"}))
    steps = """
  const form = await until(() => document.querySelector("form[aria-label='Withdraw the comment on Reliability']"));
  form.closest("details").open = true;
  type(form, "why", "Overtaken"); type(form, "who", "Grace");
  form.requestSubmit();
"""
    desk.look("/report", script(steps))
    withdrawn = desk.entries()[-1]
    assert (withdrawn.kind, withdrawn.subject) == ("comment.withdrawn", subject)
    assert (withdrawn.who, withdrawn.via, withdrawn.why) == ("Grace", "console", "Overtaken")


@pytest.mark.parametrize("address", ["/", "/report", "/sips", "/alerts", "/connectors", "/pipeline"])
def test_nothing_has_to_be_scrolled_sideways_on_a_phone(desk: Desk, address: str) -> None:
    async def look() -> tuple[int, int]:
        info = ConsoleInfo(register=lambda: SqliteRegister(desk.folder / "register.db"), reports=Source())
        runner = web.AppRunner(application(desk.sample.path, desk.sample.catalogue, info=info))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with tab(desk.folder / "profile") as page:
                await page.open(f"http://127.0.0.1:{runner.addresses[0][1]}{address}?nostream=1", 390)
                await page.ask(_SETTLED)
                return await page.ask("document.documentElement.scrollWidth"), await page.ask("innerWidth")
        finally:
            await runner.cleanup()

    assert asyncio.run(look()) == (390, 390)


_BAR = """({height: document.querySelector(".bar").offsetHeight, wide: document.documentElement.scrollWidth,
  line: document.querySelector("#org").offsetHeight, title: document.querySelector("#org").title})"""


@pytest.mark.parametrize("width", [1440, 1280, 390])
def test_a_long_name_of_the_organisation_takes_one_line_and_is_told_whole(desk: Desk, width: int) -> None:
    long = "Regional Association of Municipal Water, Energy and Waste Utilities of the Upper Valley (in liquidation)"

    async def look(name: str) -> dict[str, Any]:
        organisation = msgspec.structs.replace(desk.sample.catalogue.organisation, name=name)
        info = ConsoleInfo(register=lambda: SqliteRegister(desk.folder / "register.db"), reports=Source())
        catalogue = msgspec.structs.replace(desk.sample.catalogue, organisation=organisation)
        runner = web.AppRunner(application(desk.sample.path, catalogue, info=info))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with tab(desk.folder / name) as page:
                await page.open(f"http://127.0.0.1:{runner.addresses[0][1]}/?nostream=1", width)
                await page.ask(_SETTLED)
                return dict(await page.ask(_BAR))
        finally:
            await runner.cleanup()

    short, named = asyncio.run(look("Acme")), asyncio.run(look(long))
    assert named["line"] == short["line"], "one line"
    assert named["wide"] == width
    assert named["title"] == long
    if width == 1440:  # where all finds room beside it
        assert named["height"] == short["height"]


def test_with_a_token_the_cookie_lets_a_viewer_enter(desk: Desk) -> None:
    steps = """
  const form = await until(() => document.querySelector("form[aria-label='Close the programme']"));
  type(form, "why", "Reached"); type(form, "who", "");
  form.requestSubmit();
"""
    desk.register.append(entry())
    token = "a-token-that-nobody-guesses"
    desk.look(f"/sips/SIP-K7Q2F?token={token}", script(steps), token)
    assert (desk.entries()[-1].who, desk.entries()[-1].via) == ("token", "console with token")


@pytest.mark.parametrize("address", ["/sips", "/sips/SIP-K7Q2F", "/report"])
def test_hostile_texts_are_text_not_markup(desk: Desk, address: str) -> None:
    changes = {**entry().changes, "title": HOSTILE, "owner": HOSTILE, "action:a1:text": HOSTILE}
    desk.register.append(msgspec.structs.replace(entry(), changes=changes, who=HOSTILE, why=HOSTILE))
    found = desk.look(address)
    assert "&lt;img src=x" in found
    assert "<img" not in found
    assert "<title>owned" not in found
