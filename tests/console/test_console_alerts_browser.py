"""The page Alerts in a real browser: what fires, who has it in hand, channels that take nothing; silencing and taking on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents.console.info import ConsoleInfo
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import AlertNote
from tests.alerts.installed import Installed
from tests.alerts.samples import DELAY, catalogue
from tests.console.test_console_browser import complaints, visit
from tests.console.test_console_managers import script

pytestmark = pytest.mark.services


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = Installed(folder / "kpis.db", catalogue(DELAY))
        self.installed.fires(int(time.time()) - 120)

    def look(self, address: str, typing: str = "") -> str:
        info = ConsoleInfo(order=self.installed.order)
        found, said = visit(
            self.installed.path, self.installed.catalogue, address, self.folder / "profile", info=info, typing=typing
        )
        assert not complaints(said), complaints(said)
        return found

    def orders(self) -> list[tuple[str, str, str]]:
        return [(n.kind, n.who, n.why) for n in self.installed.world.notes.values() if n.who]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    # the browser's clock runs ahead of the server's, which would share its answers for half a second
    monkeypatch.setattr("agents.console.source.FRESH_S", 0.0)
    return Desk(tmp_path)


def test_an_alert_is_taken_on_from_the_page(desk: Desk) -> None:
    steps = """
  (await until(() => document.querySelector('a[aria-label^="Take on"]'))).click();
  const form = await until(() => document.querySelector("form.entry"));
  type(form, "who", "Ana");
  form.requestSubmit();
"""
    found = desk.look("/alerts", script(steps))
    assert desk.orders() == [("acknowledged", "Ana", "")]
    assert "taken on by Ana" in found, "the page shows it then"


def test_the_page_keeps_to_the_scope_chosen_and_says_how_many_fire_elsewhere(desk: Desk) -> None:
    found = desk.look("/alerts?scope=service:mail")
    assert "Firing, Mail (0)" in found
    assert "Nothing fires in Mail; one alert fires elsewhere" in found
    assert 'href="/alerts"' in found, "all of them are one step away"
    assert "Changes of the last 45 days, Mail" in found
    assert "at=service%3Amail" in found, "a silence begun here is of this scope"
    found = desk.look("/alerts?scope=team:web")
    assert "Firing, web (1)" in found
    assert "elsewhere" not in found


def test_a_silence_is_ordered_listed_and_ended(desk: Desk) -> None:
    steps = """
  const form = await until(() => document.querySelector("form.entry"));
  type(form, "reason", "moving <b>house</b>"); type(form, "who", "Ana");
  form.requestSubmit();
"""
    found = desk.look("/alerts?do=silence&rule=delay_high&at=service%3Ashop", script(steps))
    assert "rule delay_high; scope service:shop" in found
    assert "moving &lt;b&gt;house&lt;/b&gt;" in found
    assert "silenced by Ana" in found
    steps = """
  (await until(() => document.querySelector('a[aria-label^="End the silence"]'))).click();
  const form = await until(() => document.querySelector("form.entry"));
  type(form, "reason", "done"); type(form, "who", "Ben");
  form.requestSubmit();
"""
    found = desk.look("/alerts", script(steps))
    assert desk.orders() == [("silenced", "Ana", "moving <b>house</b>"), ("lifted", "Ben", "done")]
    assert "silenced by" not in found


def test_what_is_refused_is_told_in_the_form(desk: Desk) -> None:
    steps = """
  const form = await until(() => document.querySelector("form.entry"));
  type(form, "rule", "delay_hihg"); type(form, "reason", "x"); type(form, "who", "Ana");
  form.requestSubmit();
"""
    found = desk.look("/alerts?do=silence", script(steps))
    assert "did you mean 'delay_high'?" in found
    assert desk.orders() == []


def test_a_channel_that_takes_nothing_stands_at_the_top(desk: Desk) -> None:
    store = SqliteStore(desk.installed.path)
    why = "channel 'mail' answers with 503"
    store.write_alert_notes(
        [AlertNote(at=int(time.time()), slot=1, kind="down", channel="mail", why=why, about="3 waiting")]
    )
    store.close()
    found = desk.look("/alerts")
    assert "mail: nobody is told by this channel now" in found
    assert f"{why}; 3 waiting" in found
