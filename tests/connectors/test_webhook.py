"""The webhook receiver: limits, rotation of secrets, what is remembered, what is told of coverage."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from types import SimpleNamespace

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agents.guard import outside_guards
from connectors.webhook import inbox as inboxes
from connectors.webhook import server as servers
from connectors.webhook.inbox import Busy, Delivery, Inbox
from connectors.webhook.load import load_receiver
from connectors.webhook.parcel import Parcel
from connectors.webhook.remembered import Remembered
from pipeline.errors import ConfigError, ServiceUnavailable
from tests.connectors.hooks import NOW, Receiving, receive
from tests.connectors.pulling import Memory

SECRET, BEFORE = "the-secret-of-this-source", "the-secret-before-that-one"
DOOR = {
    "name": "door", "title": "Door", "what": "openings of a door as checks", "setup": ["knock at {address}"], "limits": ["none"],
    "signature": {"kind": "hmac", "header": "X-Door"},
    "told": [
        {
            "name": "openings", "what": "openings", "id": ["id"],
            "mapping": {"service": "door", "events": [{"type": "uptime.checked", "time": "at", "data": {"up": {"column": "open", "as": "bool"}}}]},
        }
    ],
}  # fmt: skip
OPEN = {"id": 1, "door": "front", "open": True, "at": "2026-11-26T11:00:00Z"}


@pytest.fixture
def door(tmp_path, monkeypatch):
    """Return what sets up a receiver of a form that is nothing but YAML."""
    monkeypatch.setenv("DOOR", SECRET)
    monkeypatch.setenv("DOOR_BEFORE", BEFORE)

    def make(sink=None, form=None, more=None, **entry):
        (tmp_path / "door.yaml").write_text(yaml.safe_dump({**DOOR, **(form or {})}))
        return Receiving(
            tmp_path,
            {"name": "front", "form": "door.yaml", "secrets": [{"env": "DOOR"}], **entry},
            sink,
            **(more or {}),
        )

    return make


# -- a form of one's own -------------------------------------------------------------------------------------------------


def test_a_new_form_is_yaml_only(door):
    receiving = door(services={"front": "entrance"}, team="it")
    status, answer, _ = receive(receiving, lambda r: r.post([OPEN, {**OPEN, "id": 2, "open": False}], SECRET))
    assert (status, answer) == (202, {"result": "accepted", "events": 2})
    assert [(e["subject"], e["csfteam"], e["data"]["up"]) for e in receiving.sink.events] == [
        ("entrance", "it", True),
        ("entrance", "it", False),
    ]


def test_a_secret_is_changed_without_a_gap(door):
    receiving = door(secrets=[{"env": "DOOR"}, {"env": "DOOR_BEFORE"}])

    async def work(r):
        return [
            (await r.post({**OPEN, "id": n}, secret))[0]
            for n, secret in enumerate([BEFORE, SECRET, "neither-of-both-secrets"])
        ]

    assert receive(receiving, work) == [202, 202, 401]


def test_a_record_that_is_no_event_is_a_dead_letter_and_said(door):
    receiving = door()
    status, answer, _ = receive(receiving, lambda r: r.post([OPEN, {"id": 2}], SECRET))
    assert (status, answer["events"], len(answer["refused"])) == (202, 1, 1)
    (letter,) = receiving.sink.letters
    assert (letter["reason"], json.loads(letter["raw"])) == ("unmappable-row", {"id": 2})


# -- limits --------------------------------------------------------------------------------------------------------------


def test_what_is_too_large_packed_or_for_nobody_is_turned_away(door):
    receiving = door()

    async def work(r):
        large = (await r.post(None, SECRET, raw=b"x" * (servers.MAX_BODY + 1)))[0]
        packed = (await r.post(OPEN, SECRET, headers={"Content-Encoding": "gzip"}))[0]
        nobody = (await r.client.post("/hooks/back", data=b"{}")).status
        asked = (await r.client.get("/hooks/front")).status
        health = await (await r.client.get("/healthz")).json()
        return large, packed, nobody, asked, health

    assert receive(receiving, work) == (413, 415, 404, 405, {"status": "ok"})
    assert (
        receiving.counted("deliveries_total", outcome="too_large")
        == receiving.counted("deliveries_total", outcome="packed")
        == 1
    )


def test_a_body_that_drips_is_turned_away(door, monkeypatch):
    monkeypatch.setattr(servers, "_BODY_S", 0.05)
    receiving = door()

    async def work(r):
        async def drip():
            yield b"{"
            await asyncio.sleep(5)

        return (await r.client.post("/hooks/front", data=drip())).status

    assert receive(receiving, work) == 408


def test_one_address_asks_so_often_and_a_proxy_says_whose_it_is(door):
    receiving = door()
    now = 100.0

    async def asked(behind_proxy, *who):
        layers = outside_guards(requests_s=0.2, behind_proxy=behind_proxy, clock=lambda: now)
        app = web.Application(middlewares=layers)
        app.router.add_post("/hooks/{name}", receiving.server._receive)
        async with TestClient(TestServer(app)) as client:
            return [
                (await client.post("/hooks/front", data=b"{}", headers={"X-Forwarded-For": each})).status
                for each in who
            ]

    assert asyncio.run(asked(False, "9.9.9.9", "1.1.1.1", "2.2.2.2")) == [401, 401, 429]
    assert asyncio.run(asked(True, "1.1.1.1", "7, 2.2.2.2", "8, 2.2.2.2", "9, 2.2.2.2", "1.1.1.1")) == [
        401,
        401,
        401,
        429,
        401,
    ]
    receiving.inbox.close()


class Stuck(Memory):
    """Brokers that do not answer until they are let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def flush(self):
        self.go.wait(30)
        super().flush()


def test_a_sender_is_told_to_come_again_before_it_gives_up_and_nothing_counts_twice(door, monkeypatch):
    monkeypatch.setattr(servers, "_ACK_S", 0.05)
    sink = Stuck()
    receiving = door(sink)

    async def work(r):
        status, answer, headers = await r.post(OPEN, SECRET)
        r.sink.go.set()
        while (then := (await r.post(OPEN, SECRET))[0]) == 503:
            pass
        return status, answer, headers["Retry-After"], then

    status, answer, wait, then = receive(receiving, work)
    assert (status, wait) == (503, "5")
    assert "have not acknowledged" in answer["error"]
    assert then in {200, 202}
    assert len({e["id"] for e in sink.events}) == 1


def test_what_waits_for_the_brokers_is_bounded(door, monkeypatch):
    monkeypatch.setattr(inboxes, "MOST_WAITING", 3)
    sink = Stuck()
    box = Inbox(sink, Remembered(None), lambda _text: None)
    made = [Delivery("s", bytes([n]), 10, Parcel()) for n in range(5)]
    for each in made[:3]:
        box.put(each)
    with pytest.raises(Busy):
        box.put(made[3])
    sink.go.set()
    box.close()
    assert [d.acknowledged.done() for d in made] == [True, True, True, False, False]
    with pytest.raises(Busy):
        box.put(made[4])  # closed


def test_a_fault_while_sending_is_no_acknowledgement(door):
    class Broken(Memory):
        def add(self, *_):
            raise ZeroDivisionError

    receiving = door(Broken())
    status, *_ = receive(receiving, lambda r: r.post(OPEN, SECRET))
    assert status == 500
    assert receiving.said == ["a fault of the receiver: ZeroDivisionError: "]
    assert not receiving.remembered._held


def test_a_fault_tells_the_log_no_address_that_holds_a_secret(caplog):
    async def broken(_request):
        raise ZeroDivisionError

    async def main():
        app = web.Application(middlewares=outside_guards(requests_s=10))
        app.router.add_post("/hooks/{name}/{secret}", broken)
        async with TestClient(TestServer(app)) as client:
            return (await client.post(f"/hooks/front/{SECRET}")).status

    assert asyncio.run(main()) == 500
    assert "/hooks/{name}/{secret}" in caplog.text
    assert SECRET not in caplog.text


# -- what is remembered --------------------------------------------------------------------------------------------------


def test_the_newest_deliveries_of_each_sender_are_remembered(tmp_path):
    path = tmp_path / "webhooks.sqlite"
    held = Remembered(path, limit=3)
    held.add(("a", bytes([n])) for n in range(5))
    held.add([("b", b"x"), ("a", bytes([4]))])
    held.close()
    again = Remembered(path, limit=3)
    assert [again.knows("a", bytes([n])) for n in range(5)] == [False, False, True, True, True]
    assert again.knows("b", b"x")
    assert not again.knows("a", b"x")
    assert len(again) == 4
    again.add([("a", b"new")])
    again.close()
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM delivered").fetchone() == (4,)


def test_a_file_that_is_none_is_told(tmp_path):
    (tmp_path / "webhooks.sqlite").write_text("this is no database, though long enough to be taken for one" * 50)
    with pytest.raises(ConfigError, match="cannot remember deliveries"):
        Remembered(tmp_path / "webhooks.sqlite")


# -- coverage ------------------------------------------------------------------------------------------------------------


def polled_after(receiving, work):
    """Return what is told of coverage after each of some steps, ten seconds apart."""

    async def main(r):
        for step in work:
            r.now = NOW.replace(second=r.now.second + 10)
            await step(r)
            r.server.say_listened()

    receive(receiving, main)
    return [(p["from"][17:19], p["to"][17:19], p["services"], p["types"]) for p in receiving.sink.polled]


async def nothing(_r):
    return


async def opening(r):
    await r.post({**OPEN, "id": r.now.second}, SECRET)


def test_the_time_in_which_it_listened_is_covered(door):
    assert polled_after(door(services={"front": "entrance"}), [nothing, opening]) == [
        ("00", "10", ["entrance"], ["uptime.checked"]), ("10", "20", ["entrance"], ["uptime.checked"]),
    ]  # fmt: skip


def test_a_service_that_nobody_named_is_covered_once_it_was_heard_of(door):
    assert [p[:3] for p in polled_after(door(), [nothing, opening, nothing])] == [
        ("10", "20", ["front"]),
        ("20", "30", ["front"]),
    ]


class Picky(Memory):
    """Brokers that do not take one check."""

    def flush(self):
        if any(what[3]["type"] == "uptime.checked" for what in self._waiting) and self.picky:
            self.away = 1
        super().flush()


def test_time_in_which_a_delivery_was_turned_away_is_not_covered(door):
    sink = Picky()
    sink.picky = False

    async def away(r):
        sink.picky = True
        await opening(r)
        sink.picky = False

    told = polled_after(door(sink, services={"front": "x"}), [nothing, away, opening])
    assert [p[:2] for p in told] == [("00", "10"), ("20", "30")]


def test_a_configuration_that_is_wrong_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("DOOR", SECRET)
    hook = {"name": "front", "form": "github", "secrets": [{"env": "DOOR"}]}

    def wrong(**document):
        (tmp_path / "webhooks.yaml").write_text(yaml.safe_dump({"hooks": [hook], **document}))
        with pytest.raises(ConfigError) as caught:
            load_receiver(tmp_path / "webhooks.yaml")
        return str(caught.value).removeprefix(f"{tmp_path / 'webhooks.yaml'}: ")

    assert wrong(listen="8787") == "listen: '8787' must be host:port, for example 127.0.0.1:8787"
    assert wrong(hooks=[]) == "hooks: name at least one sender"
    assert wrong(requests_s=0) == "requests_s must be greater than 0"
    assert wrong(hooks=[{**hook, "form": "gihub"}]).startswith("there is no form 'gihub'; did you mean 'github'?")
    assert wrong(hooks=[{**hook, "name": "a/b"}]) == "a/b: name: must be of a-z, 0-9 and '-': it is part of an address"
    assert wrong(hooks=[hook, hook]) == "the hook 'front' is there twice; remove or rename one"
    assert "values: there is no 'x'" in wrong(hooks=[{**hook, "values": {"x": {}}}])


def test_the_brokers_refusal_is_told_to_each_sender():
    sink = SimpleNamespace(
        add=lambda *_: True, flush=lambda: (_ for _ in ()).throw(ServiceUnavailable("away")), bury=None, send=None
    )
    said = []
    box = Inbox(sink, Remembered(None), said.append)
    made = Delivery("s", b"1", 1, Parcel())
    box.put(made)
    with pytest.raises(ServiceUnavailable):
        made.acknowledged.result(10)
    box.close()
    assert said == ["away; senders are told to come again"]
