"""Running connectors in tests: a sink in memory in place of the brokers, and a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.engine.config import Connector, find_entry
from connectors.engine.delivery import Surroundings
from connectors.engine.peer import Peer
from connectors.engine.read import StreamReader
from connectors.engine.run import Runner, asked, client_of, reader_of
from connectors.engine.stats import Stats
from connectors.opening import prepare_any
from pipeline.errors import ServiceUnavailable
from pipeline.events.envelope import OutEvent, encode

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


class Memory:
    """A sink in memory: what is not flushed is not stored, as with brokers. ``away``: so many flushes fail."""

    def __init__(self) -> None:
        self.stored: list[dict[str, Any]] = []
        self.keys: list[tuple[str, str]] = []
        self.letters: list[dict[str, Any]] = []
        self.cursors: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []
        self.away = 0
        self._waiting: list[Any] = []

    def add(self, topic: str, key: str, raw: bytes, source: str = "") -> bool:
        self._waiting.append(("event", topic, key, json.loads(raw)))
        return True

    def send(self, topic: str, event: OutEvent, key: str | None = None) -> bool:
        return self.add(topic, key or "", encode(event))

    def bury(self, topic: str, reason: str, detail: str, raw: bytes, **more: object) -> None:
        self._waiting.append(("letter", {"reason": reason, "detail": detail, "raw": raw, **more}))

    def keep(self, cursor: str, value: dict[str, Any] | None) -> None:
        self._waiting.append(("cursor", cursor, value))

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self.away:
            self.away -= 1
            raise ServiceUnavailable("the brokers are away")
        for kind, *what in waiting:
            self.order.append("turn" if kind == "cursor" and what[0].endswith("|turn") else kind)
            if kind == "event":
                self.keys.append((what[0], what[1]))
                self.stored.append(what[2])
            elif kind == "letter":
                self.letters.append(what[0])
            elif what[1] is None:
                self.cursors.pop(what[0], None)
            else:
                self.cursors[what[0]] = what[1]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [e for e in self.stored if e["type"] != "source.polled"]

    @property
    def polled(self) -> list[dict[str, Any]]:
        return [e["data"] for e in self.stored if e["type"] == "source.polled"]


#: clients of the benches and runners of the test that runs
_OPEN: list[Peer] = []


@pytest.fixture(autouse=True)
def benches_cleared() -> Iterator[None]:
    """Close what the benches of a test opened."""
    yield
    while _OPEN:
        _OPEN.pop().close()


def closed_later(runner: Runner) -> Runner:
    """Let a runner's client be closed at the end of the test."""
    _OPEN.append(runner.client)
    return runner


class Bench:
    """A connector on a bench: polled stream by stream, with what its cursors say kept in memory."""

    def __init__(self, connector: Connector, sink: Memory | None = None, now: datetime = NOW) -> None:
        self.connector, self.sink, self.now = connector, sink or Memory(), now
        self.said: list[str] = []
        self.waits: list[float] = []
        self.stats = Stats(connector.source)
        self.client = client_of(connector, self.stats, self.waits.append)
        _OPEN.append(self.client)
        self.readers: dict[str, StreamReader] = {}

    def poll(self, *, anew: bool = False, since: datetime | None = None) -> list[dict[str, Any]]:
        """Poll every stream once; return the events it brought. ``anew``: as after a restart."""
        before = len(self.sink.stored)
        if anew:
            self.readers.clear()
        around = Surroundings(self.client, self.sink, self.stats, lambda: self.now, lambda: None, self.said.append)
        for reading in self.connector.readings:
            if reading.name not in self.readers:
                given = asked(self.connector, self.client)
                self.readers[reading.name] = reader_of(self.connector, reading, around, self.sink.cursors, since, given)
            self.readers[reading.name].poll()
        return [e for e in self.sink.stored[before:] if e["type"] != "source.polled"]

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def counted(self, name: str) -> float:
        return sum(
            s.value for m in self.stats.registry.collect() for s in m.samples if s.name == f"csf_connector_{name}"
        )


def google_account() -> str:
    """Return a key file as Google gives it for a service account."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps({
        "type": "service_account", "client_email": "pulse@acme.example", "private_key_id": "k1", "private_key": key.decode(),
        "token_uri": "https://token.acme.example/",
    })  # fmt: skip


def on_bench(folder: Path, declaration: dict[str, Any] | str, **entry: Any) -> Bench:
    """Write a declaration and a configuration, and put the connector on a bench."""
    named = declaration
    if not isinstance(declaration, str):
        (folder / "desk.yaml").write_text(yaml.safe_dump(declaration))
        named = "desk.yaml"
    config = folder / "connectors.yaml"
    config.write_text(yaml.safe_dump([{"name": "ours", "connector": named, **entry}]))
    return Bench(prepare_any(find_entry(config, "ours"), config))
