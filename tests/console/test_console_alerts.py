"""Orders about alerts by HTTP: silences, their end, taking on; what may order, from where, and what is kept of it."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agents.console.info import ConsoleInfo
from agents.console.routes import setup
from agents.guard import MAX_BODY, guards
from pipeline.alerts import inputs as i
from pipeline.catalogue.alerts import Match
from pipeline.errors import ServiceUnavailable
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import AlertNote
from tests.alerts.installed import Installed
from tests.alerts.samples import ALL, DELAY, catalogue

TOKEN = "a-token-that-nobody-guesses"
SAME = {"Sec-Fetch-Site": "same-origin"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&=cmd()"
SILENCE = {"reason": "moving house", "length": "2h", "rules": ["delay_high"], "who": "Ana"}
PATHS = ["alerts/silences", "alerts/silences/ab12/lift", "alerts/acknowledgements"]


class Server:
    def __init__(self, installed: Installed) -> None:
        self.installed = installed
        self.order = installed.order

    def call(self, method: str, path: str, status: int, *, token: str | None = None, orders: bool = True, headers: dict[str, str] = SAME, **sent: Any) -> Any:  # fmt: skip
        async def run() -> Any:
            app = web.Application(middlewares=guards(host="127.0.0.1", token=token), client_max_size=MAX_BODY)
            info = ConsoleInfo(order=self.order if orders else None, token=token is not None)
            setup(app, lambda: SqliteStore(self.installed.path), self.installed.catalogue, info)
            async with (
                TestClient(TestServer(app)) as client,
                client.request(method, f"/api/v1/{path}", headers=headers, **sent) as answer,
            ):
                found = await answer.json() if answer.content_type == "application/json" else None
                assert answer.status == status, found
                return found

        return asyncio.run(run())

    def post(self, path: str, body: Any, status: int, **more: Any) -> Any:
        return self.call("POST", path, status, json=body, **more)

    def get(self, scope: str = "") -> Any:
        return self.call("GET", f"alerts?scope={scope}" if scope else "alerts", 200)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(Installed(tmp_path / "kpis.db", catalogue(DELAY)))


def test_a_silence_is_listed_with_who_why_and_until_and_ends_when_it_is_lifted(server: Server) -> None:
    server.installed.fires(int(time.time()) - 120)
    made = server.post("alerts/silences", SILENCE, 202)
    found = server.get()
    (silence,) = found["silences"]
    assert (silence["id"], silence["matches"], silence["by"], silence["via"], silence["why"], silence["until"]) == (
        made["silence"], "rule delay_high", "Ana", "console", "moving house", made["until"],
    )  # fmt: skip
    assert [a["silenced_by"] for a in found["firing"]] == ["Ana"]
    assert "delay_high" in server.installed.world.engine.desk.silences[made["silence"]].match.rule
    server.post(f"alerts/silences/{made['silence']}/lift", {"reason": "done", "who": "Ben"}, 202)
    found = server.get()
    assert (found["silences"], [a["silenced_by"] for a in found["firing"]]) == ([], [None])
    notes = [n for n in server.installed.world.notes.values() if n.kind in {"silenced", "lifted"}]
    assert [(n.kind, n.who, n.via, n.why) for n in notes] == [
        ("silenced", "Ana", "console", "moving house"), ("lifted", "Ben", "console", "done"),
    ]  # fmt: skip


def test_what_holds_a_raise_back_is_shown_until_it_is_told(tmp_path: Path) -> None:
    route = msgspec.structs.replace(ALL, match=Match(tier=[1]), repeat="0s")
    server = Server(Installed(tmp_path / "kpis.db", catalogue(DELAY, routes=(route,))))
    installed, now = server.installed, int(time.time())
    installed.world.say(i.MaintenanceTold(service="shop", windows=[(now - 600, now + 600)]))
    installed.world.tell("delay", 200, now - 120, scope="service:mail")
    installed.fires(now - 120)
    shop, mail = sorted(server.get()["firing"], key=lambda a: a["scope"], reverse=True)
    assert (shop["held_back_by"], shop["routed"]) == ("planned maintenance", True)
    assert datetime.fromisoformat(shop["held_back_until"]).timestamp() == now + 600
    assert (mail["held_back_by"], mail["held_back_until"], mail["routed"]) == (None, None, False)
    installed.world.say(i.MaintenanceTold(service="shop", windows=[]))
    installed.world.advance(now)
    installed.write()
    assert {a["held_back_by"] for a in server.get()["firing"]} == {None}
    assert [n.kind for n in installed.world.notes.values()] == ["held", "freed", "delivered"]


def test_the_end_of_a_silence_is_shown_with_what_it_silences(server: Server) -> None:
    server.installed.fires(int(time.time()) - 120)
    made = server.post("alerts/silences", SILENCE, 202)
    assert [a["silenced_until"] for a in server.get()["firing"]] == [made["until"]]


def test_a_scope_has_its_own_alerts_a_team_those_of_its_services_too(server: Server) -> None:
    server.installed.fires(int(time.time()) - 120)
    for scope, fires in (("org", 1), ("service:shop", 1), ("team:web", 1), ("service:mail", 0), ("team:work", 0)):
        found = server.get(scope)
        assert found["scope"]["scope"] == scope
        assert [a["scope"] for a in found["firing"]] == ["service:shop"] * fires, scope
        assert found["elsewhere"] == 1 - fires
        assert {c["scope"] for c in found["changes"]} == {"service:shop"} & {a["scope"] for a in found["firing"]}
    assert "scope 'service:shp' is unknown" in server.call("GET", "alerts?scope=service:shp", 400)["error"]


def test_an_alert_that_is_taken_on_says_by_whom(server: Server) -> None:
    server.installed.fires(int(time.time()) - 120)
    server.post("alerts/acknowledgements", {"rule": "delay_high", "scope": "service:shop", "who": "Ana"}, 202)
    assert [a["taken_on_by"] for a in server.get()["firing"]] == ["Ana"]


def test_channels_that_take_nothing_are_told_with_the_reason_until_they_deliver(server: Server) -> None:
    assert [c["state"] for c in server.get()["channels"]] == ["unused"]
    now = int(time.time())
    note = AlertNote(
        at=now - 60, slot=1, kind="down", channel="mail", why="channel 'mail' answers with 503", about="3 waiting"
    )
    store = SqliteStore(server.installed.path)
    store.write_alert_notes([note])
    (channel,) = server.get()["channels"]
    assert (channel["state"], channel["why"], channel["waiting"]) == ("down", note.why, "3 waiting")
    store.write_alert_notes([AlertNote(at=now, slot=2, kind="delivered", channel="mail")])
    store.close()
    assert [c["state"] for c in server.get()["channels"]] == ["ok"]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("alerts/silences", {**SILENCE, "rules": []}, "a silence of everything is none"),
        ("alerts/silences", {**SILENCE, "rules": ["delay_hihg"]}, "there is no rule 'delay_hihg' (did you mean 'delay_high'?)"),
        ("alerts/silences", {**SILENCE, "scopes": ["planet:x"]}, "scope: 'planet:x' is none"),
        ("alerts/silences", {**SILENCE, "length": "400d"}, "is no length of a silence"),
        ("alerts/silences", {**SILENCE, "reason": " "}, "reason: is missing"),
        ("alerts/silences", {**SILENCE, "who": ""}, "who: is missing"),
        ("alerts/silences", {**SILENCE, "more": 1}, "the body is not as docs/api.md says"),
        ("alerts/silences/ab12/lift", {"who": "Ana"}, "silence 'ab12': does not run"),
        ("alerts/acknowledgements", {"rule": "delay_high", "scope": "service:shop", "who": "A"}, "does not fire"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_in_a_sentence(server: Server, path: str, body: Any, sentence: str) -> None:
    assert sentence in server.post(path, body, 400)["error"]
    assert server.installed.world.log == []


@pytest.mark.parametrize("path", PATHS)
def test_no_other_site_orders_anything(server: Server, path: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {}):
        assert "another site" in server.post(path, SILENCE, 403, headers=headers)["error"]
    form = {"data": b"reason=x", "headers": {**SAME, "Content-Type": "application/x-www-form-urlencoded"}}
    assert "send JSON" in server.call("POST", path, 415, **form)["error"]
    assert server.installed.world.log == []


def test_with_a_token_only_its_holders_order_and_are_told_apart(server: Server) -> None:
    server.post("alerts/silences", SILENCE, 401, token=TOKEN)
    server.post(
        "alerts/silences", {**SILENCE, "who": ""}, 202, token=TOKEN, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert [(n.who, n.via) for n in server.installed.world.notes.values()] == [("token", "console with token")]


def test_hostile_text_comes_back_as_text(server: Server) -> None:
    server.post("alerts/silences", {**SILENCE, "reason": HOSTILE, "who": HOSTILE}, 202)
    (silence,) = server.get()["silences"]
    assert (silence["why"], silence["by"]) == (HOSTILE, HOSTILE)


def test_brokers_that_are_away_are_told(server: Server) -> None:
    async def away(_order: object) -> None:
        raise ServiceUnavailable("Kafka did not take records")

    server.order = away
    assert "Kafka did not take" in server.post("alerts/silences", SILENCE, 503)["error"]


def test_where_no_orders_are_taken_there_are_no_routes(server: Server) -> None:
    server.post("alerts/silences", SILENCE, 405, orders=False)
    assert server.call("GET", "info", 200, orders=False)["orders"] is False
