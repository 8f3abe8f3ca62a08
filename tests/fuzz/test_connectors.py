"""Declarations and configurations that people write, and answers that sources give."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import yaml

from connectors.engine import client as clients
from connectors.engine.client import Client
from connectors.engine.config import Connector, load_entries, prepare
from connectors.engine.delivery import Surroundings
from connectors.engine.load import shipped
from connectors.engine.read import StreamReader
from connectors.engine.run import reader_of
from connectors.engine.stats import Stats
from pipeline.errors import ConfigError, InvalidEvent, ServiceUnavailable, SourceRefused
from pipeline.events.validate import decode_data, decode_envelope
from tests.connectors.desk import DECLARATION
from tests.connectors.pulling import Memory
from tests.fuzz import mutate
from tests.fuzz.run import INPUTS, fuzz
from tests.fuzz.written import as_yaml, one_sentence, parse_quickly, write

ENTRY: dict[str, Any] = {
    "name": "ours", "connector": "desk.yaml", "options": {"address": "https://desk.example.org"}, "auth": {"token": {"env": "DESK_TOKEN"}},
    "services": {"svc-1": "shop"}, "since": "2026-11-01", "values": {"tickets": {"state": {"odd": "new"}}}, "team": "it", "poll_s": 5,
}  # fmt: skip
_MOST_WAITS = 50
CASES = [p for folder in shipped().values() for p in sorted(folder.parent.glob("testcases/*/exchange.yaml"))]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")
    monkeypatch.setattr(clients, "_ATTEMPTS", 1)
    parse_quickly(monkeypatch)
    return tmp_path_factory.mktemp("fuzz")


def check_prepared(path: Path) -> None:
    try:
        for entry in load_entries(path):
            prepare(entry, path)
    except ConfigError as e:
        one_sentence(e)


def test_declarations(folder: Path) -> None:
    config = write(folder / "connectors.yaml", yaml.safe_dump([ENTRY]))
    documents = [DECLARATION, *(yaml.safe_load(p.read_text()) for p in shipped().values())]

    def make(rng: random.Random) -> str:
        return as_yaml(mutate.mutated(mutate.one_of(documents, rng), rng), rng)

    def check(text: str) -> None:
        write(folder / "desk.yaml", text)
        check_prepared(config)

    fuzz(make, check, INPUTS // 4)


def test_configurations(folder: Path) -> None:
    write(folder / "desk.yaml", yaml.safe_dump(DECLARATION))

    def make(rng: random.Random) -> str:
        return as_yaml(mutate.mutated([ENTRY], rng), rng)

    fuzz(make, lambda text: check_prepared(write(folder / "connectors.yaml", text)), INPUTS // 4)


def case(exchange: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Connector, list[Any]]:
    (entry,) = yaml.safe_load(
        (exchange.parent / "config.yaml").read_text().replace("{address}", "https://x.example.org")
    )
    for value in entry.get("auth", {}).values():
        if isinstance(value, dict):
            monkeypatch.setenv(value["env"], "s3cret-value")
    path = write(folder / "connectors.yaml", yaml.safe_dump([entry]))
    for beside in exchange.parent.glob("*.csv"):
        shutil.copy(beside, folder)
    says = [each["says"] for each in yaml.safe_load(exchange.read_text())["exchange"]]
    bodies = [
        each["text"].encode() if "text" in each else json.loads(json.dumps(each["body"], default=str))
        for each in says
        if "text" in each or "body" in each
    ]
    return prepare(load_entries(path)[0], path), bodies


def damaged(body: Any, rng: random.Random) -> bytes:
    """Return a body as a source might send it that is not well: bytes of another form, or JSON."""
    return mutate.data(body, rng) if isinstance(body, bytes) else mutate.json_bytes(mutate.mutated(body, rng), rng)


@pytest.mark.parametrize("exchange", CASES, ids=lambda p: p.parent.name)
def test_answers(exchange: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a source answers, only errors of ours come out, and only events that are events or dead letters."""
    connector, bodies = case(exchange, folder, monkeypatch)
    now = datetime(2026, 11, 6, 12, tzinfo=UTC)

    def make(rng: random.Random) -> list[bytes]:
        answers = [damaged(mutate.one_of(bodies, rng), rng) for _ in range(6)]
        return [mutate.data(raw, rng) if rng.random() < 0.1 else raw for raw in answers]

    def check(answers: list[bytes]) -> None:
        given = itertools.chain(answers, itertools.repeat(b"{}"))
        sink, asked = (
            Memory(),
            Client(connector.base, None, clients.Manners(attempts=1), connector.secrets, Stats("x"), patience()),
        )
        asked._http = httpx2.Client(
            transport=httpx2.MockTransport(lambda _request: httpx2.Response(200, content=next(given)))
        )
        around = Surroundings(asked, sink, Stats("x"), lambda: now, lambda: None, lambda _text: None)
        for reading in connector.readings:
            try:
                reader: StreamReader = reader_of(
                    connector, reading, around, {}, datetime(2026, 11, 6, tzinfo=UTC), {"zone": "UTC"}
                )
                reader.poll()
            except (ConfigError, ServiceUnavailable, SourceRefused) as e:
                one_sentence(e)
        sink.flush()
        for event, (topic, _) in zip(sink.stored, sink.keys, strict=True):
            try:
                decode_data(decode_envelope(msgspec.json.encode(event)), topic, int(now.timestamp() * 1000))
            except InvalidEvent as e:
                one_sentence(e)

    fuzz(make, check, INPUTS // 20)


def patience() -> Callable[[float], None]:
    """Return what waits for nothing, and not for ever: an export may never come."""
    waits = itertools.count()

    def wait(_seconds: float) -> None:
        if next(waits) >= _MOST_WAITS:
            raise ServiceUnavailable("the test has waited often enough")

    return wait
