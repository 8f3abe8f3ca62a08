"""Forms and configurations of webhooks that people write, and bodies that senders send."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import msgspec
import pytest
import yaml

from connectors.webhook.load import load_receiver, shipped_forms
from connectors.webhook.parcel import NotReadable, Unpacker
from connectors.webhook.signature import Unproven, prove
from pipeline.errors import ConfigError, InvalidEvent
from pipeline.events.validate import decode_data, decode_envelope
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.written import as_yaml, one_sentence, write

SECRET = "whsec_" + base64.b64encode(b"a-secret-of-many-bytes").decode()
CASES = [p for form in shipped_forms().values() for p in sorted(form.parent.glob("testcases/*/deliveries.yaml"))]
NOW_MS = 1_795_694_400_000


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PD_SECRET", "PD_SECRET_BEFORE", "GH_SECRET", "SP_SECRET", "AM_SECRET", "TF_SECRET", "CE_SECRET"):
        monkeypatch.setenv(name, SECRET)
    return tmp_path_factory.mktemp("fuzz")


def check_receiver(path: Path) -> None:
    try:
        load_receiver(path)
    except ConfigError as e:
        one_sentence(e)


def test_forms(folder: Path) -> None:
    entry = {"name": "ours", "form": "ours.yaml", "secrets": [{"env": "PD_SECRET"}]}
    config = write(folder / "webhooks.yaml", yaml.safe_dump({"hooks": [entry]}))
    documents = [yaml.safe_load(p.read_text()) for p in shipped_forms().values()]

    def check(text: str) -> None:
        write(folder / "ours.yaml", text)
        check_receiver(config)

    fuzz(lambda rng: as_yaml(mutate.mutated(mutate.one_of(documents, rng), rng), rng), check, INPUTS // 20)


def test_configurations(folder: Path) -> None:
    hooks = [yaml.safe_load((p.parent / "config.yaml").read_text()) for p in CASES]
    document = {"listen": "127.0.0.1:8787", "behind_proxy": True, "requests_s": 5, "hooks": hooks}

    def check(text: str) -> None:
        check_receiver(write(folder / "webhooks.yaml", text))

    fuzz(lambda rng: as_yaml(mutate.mutated(document, rng), rng), check, INPUTS // 20)


@pytest.mark.parametrize("deliveries", CASES, ids=lambda p: p.parent.parent.parent.name)
def test_bodies(deliveries: Path, folder: Path) -> None:
    """Whatever a sender sends, it is an event, a dead letter, nothing, or refused; and what proves it is no fault of ours."""
    entry = yaml.safe_load((deliveries.parent / "config.yaml").read_text())
    (hook,) = load_receiver(write(folder / "webhooks.yaml", yaml.safe_dump({"hooks": [entry]}))).hooks
    bodies = yaml.safe_load(deliveries.read_text())["deliveries"]
    unpacker = Unpacker(hook, lambda: NOW_MS)

    def make(rng: random.Random) -> bytes:
        raw = mutate.json_bytes(mutate.mutated(mutate.one_of(bodies, rng), rng), rng)
        return mutate.data(raw, rng) if rng.random() < 0.1 else raw

    def check(body: bytes) -> None:
        with pytest.raises(Unproven):
            prove(
                hook.form.signature,
                hook.keys,
                {"X-Hub-Signature-256": body.decode(errors="surrogateescape")},
                "",
                body,
                0,
            )
        try:
            parcel = unpacker.open(body)
        except NotReadable as e:
            one_sentence(e)
            return
        for letter in parcel.letters:
            assert letter.detail
        for event in parcel.events:
            msgspec.json.decode(event.raw)
            try:
                decode_data(decode_envelope(event.raw), event.topic, NOW_MS)
            except InvalidEvent as e:
                assert not hook.form.cloudevents
                one_sentence(e)

    fuzz(make, check, INPUTS // 10)


def test_half_a_character_in_a_field_that_no_type_has(folder: Path) -> None:
    """Found by ``test_bodies``: the name of an unknown field is not looked at until the whole event is read."""
    config = next(p.parent / "config.yaml" for p in CASES if p.parent.parent.parent.name == "cloudevents")
    (hook,) = load_receiver(
        write(folder / "webhooks.yaml", yaml.safe_dump({"hooks": [yaml.safe_load(config.read_text())]}))
    ).hooks
    unpacker = Unpacker(hook, lambda: NOW_MS)
    event = msgspec.json.encode(
        {
            "specversion": "1.0", "id": "1", "source": "urn:acme:decisions", "type": "incident.updated", "subject": "shop",
            "time": "2026-11-26T09:29:12Z", "halfX": 1,
            "data": {"number": "7", "state": "new", "opened_at": "2026-11-26T09:00:00Z", "updated_at": "2026-11-26T09:00:00Z"},
        }
    )  # fmt: skip
    odd = event.replace(b"halfX", b"half\xf4")
    with pytest.raises(NotReadable, match="not valid JSON"):
        unpacker.open(odd)
    parcel = unpacker.open(b"[" + event + b"," + odd + b"]")
    assert len(parcel.events) == 1
    assert [letter.reason for letter in parcel.letters] == ["malformed-json"]
