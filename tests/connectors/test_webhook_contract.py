"""The contract of every form of webhook, run on the cases in its folder.

A case is ``config.yaml`` (a hook), ``deliveries.yaml`` (the time, the bodies that are sent, signed by the test) and what must come of them:
``expected.jsonl`` and ``expected.err`` (what is told, and why records are no events). ``CSF_WRITE_CASES=1`` writes these two anew, to be reviewed.
"""

from __future__ import annotations

import base64
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from connectors.webhook.form import Hmac
from connectors.webhook.load import load_form, shipped_forms
from connectors.webhook.parcel import Unpacker
from pipeline.errors import ConfigError, InvalidEvent
from pipeline.events.families import TYPES, event_topic
from pipeline.events.validate import decode_data, decode_envelope
from tests.connectors.hooks import Receiving, receive, signed
from tests.connectors.pulling import Memory

CASES = sorted(path.parent for form in shipped_forms().values() for path in form.parent.glob("testcases/*/config.yaml"))
WRITE = bool(os.environ.get("CSF_WRITE_CASES"))
SECRET = "whsec_" + base64.b64encode(b"s3cret-marker-of-this-source").decode()
OTHER = "whsec_" + base64.b64encode(b"an0ther-marker-of-this-source").decode()


class Case:
    """One case, and what receives it."""

    def __init__(self, folder: Path, tmp_path: Path) -> None:
        self.folder, self.tmp_path = folder, tmp_path
        document = yaml.safe_load((folder / "deliveries.yaml").read_text())
        self.now = datetime.fromisoformat(document["now"])
        self.bodies: list[Any] = document["deliveries"]
        self.entry: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())

    def receiving(self, sink: Memory | None = None, **more: Any) -> Receiving:
        return Receiving(self.tmp_path, {**self.entry, **more}, sink, self.now)

    @property
    def telling(self) -> Any:
        """A body of which events come."""
        unpacker = Unpacker(self.receiving().hook, lambda: int(self.now.timestamp() * 1000))
        return next(body for body in self.bodies if unpacker.open(json.dumps(body).encode()).events)

    def expected(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "expected.jsonl").read_text().splitlines()]


@pytest.fixture(params=CASES, ids=lambda p: f"{p.parent.parent.name}-{p.name}")
def case(request, tmp_path, monkeypatch):
    made = Case(request.param, tmp_path)
    for i, said in enumerate(made.entry["secrets"]):
        monkeypatch.setenv(said["env"], SECRET if i == 0 else OTHER)
    return made


async def all_of(receiving: Receiving, bodies: list[Any]) -> list[tuple[int, dict[str, Any], dict[str, str]]]:
    return [await receiving.post(body, SECRET) for body in bodies]


def test_it_makes_the_expected_events(case):
    receiving = case.receiving()
    answers = receive(receiving, lambda r: all_of(r, case.bodies))
    assert {status for status, _, _ in answers} <= {200, 202}
    told = "".join(f"{line}\n" for line in [*receiving.said, *(letter["detail"] for letter in receiving.sink.letters)])
    err = case.folder / "expected.err"
    if WRITE:
        (case.folder / "expected.jsonl").write_text("".join(json.dumps(e) + "\n" for e in receiving.sink.events))
        err.unlink(missing_ok=True)
        if told:
            err.write_text(told)
    assert receiving.sink.events == case.expected()
    assert told == (err.read_text() if err.exists() else "")
    now_ms = int(case.now.timestamp() * 1000)
    for event in receiving.sink.events:
        try:
            decode_data(decode_envelope(json.dumps(event).encode()), event_topic(TYPES[event["type"]][0]), now_ms)
        except InvalidEvent as e:
            pytest.fail(f"{event['id']}: {e}")
    assert receiving.counted("events_total") == len(case.expected())
    assert receiving.counted("refused_records_total") == len(receiving.sink.letters)


def test_what_is_sent_again_is_known_also_after_a_restart(case):
    sink = Memory()
    receive(case.receiving(sink), lambda r: all_of(r, case.bodies))
    before = len(sink.stored)
    again = case.receiving(sink)
    assert {status for status, _, _ in receive(again, lambda r: all_of(r, case.bodies))} == {200}
    assert len(sink.stored) == before
    assert again.counted("deliveries_total", outcome="known") > 0


def test_what_is_forgotten_and_sent_again_has_the_same_ids(case):
    ids = []
    for _ in range(2):
        receiving = case.receiving()
        receive(receiving, lambda r: all_of(r, case.bodies))
        ids.append([e["id"] for e in receiving.sink.events])
        (case.tmp_path / "webhooks.sqlite").unlink()
    assert ids[0] == ids[1]


def test_who_does_not_know_the_secret_is_refused_and_told_no_secret(case):
    receiving = case.receiving()

    async def work(r):
        body = json.dumps(case.telling).encode()
        bare = await r.client.post(f"/hooks/{r.hook.name}", data=body)
        foreign = "whsec_" + base64.b64encode(b"n0t-a-secret-of-this-source").decode()
        status, answer, _ = await r.post(case.telling, foreign)
        return bare.status, await bare.text(), status, answer

    bare, text, status, answer = receive(receiving, work)
    assert (bare, status) == (401, 401)
    shown = f"{text}{answer}{receiving.said}"
    assert SECRET not in shown
    assert base64.b64decode(SECRET.removeprefix("whsec_")).decode() not in shown
    assert not receiving.sink.stored
    assert not receiving.sink.letters
    assert receiving.counted("deliveries_total", outcome="unsigned") == 2


def test_a_body_that_was_changed_on_the_way_is_refused(case):
    receiving = case.receiving()
    if not isinstance(receiving.hook.form.signature, Hmac):
        assert receiving.hook.form.limits  # which say that it is not signed
        return

    async def work(r):
        body = json.dumps(case.telling).encode()
        headers, _ = signed(r.hook.form.signature, SECRET, body, r.now.timestamp())
        return (await r.client.post(f"/hooks/{r.hook.name}", data=body + b" ", headers=headers)).status

    assert receive(receiving, work) == 401
    assert not receiving.sink.stored


def test_a_timestamp_outside_its_window_is_refused(case):
    receiving = case.receiving()
    signature = receiving.hook.form.signature
    if not (isinstance(signature, Hmac) and signature.timestamp):
        return  # nothing says when it was sent; what was sent before is known by its body

    async def work(r):
        found = []
        for off in (-301, 301, -299, 299):
            found.append((await r.post(case.telling, SECRET, at=r.now.timestamp() + off))[0])
        return found

    assert receive(receiving, work) == [401, 401, 202, 200]


def test_while_the_brokers_are_away_senders_are_told_to_come_again(case):
    sink = Memory()
    sink.away = 1
    receiving = case.receiving(sink)

    async def work(r):
        return await r.post(case.telling, SECRET), await r.post(case.telling, SECRET)

    (status, answer, headers), (then, *_) = receive(receiving, work)
    assert (status, headers["Retry-After"], then) == (503, "5", 202)
    assert "send it again" in answer["error"]
    first = receiving.sink.events
    assert first
    assert len({e["id"] for e in first}) == len(first)


def test_a_malformed_body_is_refused_in_a_sentence(case):
    receiving = case.receiving()

    async def work(r):
        return [await r.post(None, SECRET, raw=raw) for raw in (b'{"event": [{', b"\xff\xfe", b"7", b'["x"]', b"")]

    answers = receive(receiving, work)
    assert {status for status, *_ in answers} <= {400, 202}
    assert all(answer.get("error") or answer["refused"] for _, answer, _ in answers)
    assert not receiving.sink.events


def test_every_option_changes_something(case):
    options = case.receiving().hook.form.options
    assert set(case.entry.get("options", {})) == set(options)
    for name, option in options.items():
        other: Any = ["other"] if option.many else "other"
        assert shape(case.receiving(options={**case.entry["options"], name: other})) != shape(case.receiving()), name


def shape(receiving: Receiving) -> bytes:
    return msgspec.json.encode([[told, r.stream, r.mapping] for told, r in receiving.hook.readings])


def test_a_wrong_configuration_is_told(case):
    with pytest.raises(ConfigError, match="options: there is no option 'addres'"):
        case.receiving(options={"addres": "x"})
    with pytest.raises(ConfigError, match=r"secrets\[0\]: name where the secret is"):
        case.receiving(secrets=["written-into-the-file"])
    with pytest.raises(ConfigError, match="secrets: name one"):
        case.receiving(secrets=[])
    with pytest.raises(ConfigError, match=r"unknown key 'hooks\[0\].secret'; did you mean 'secrets'"):
        case.receiving(secret="x")


@pytest.mark.parametrize("name", shipped_forms())
def test_a_folder_is_whole(name):
    form = load_form(name)
    folder = shipped_forms()[name].parent
    assert form.name == name
    assert any(case.parent.parent == folder for case in CASES)
    assert form.setup
    assert form.limits
    assert any("{address}" in step for step in form.setup)
