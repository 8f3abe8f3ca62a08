"""The input: five weeks of a simulated organisation, made difficult by a seed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from connectors.simulator.world import World
from pipeline.events.families import event_topic

DAYS = 35
#: What the parser, the validator and the engine must each turn away.
BROKEN = (
    b"{", b"", b"[[]]", b"\xff\xfe{}", b"null", b'{"id":1}', b'{"specversion":"1.0","id":"n","source":"s","type":"page.viewed"}',
    b'{"specversion":"1.0","id":"y","source":"s","type":"page.viewed","time":"2200-01-01T00:00:00Z","data":{"user":"u"}}',
    b'{"specversion":"1.0","id":"z","source":"s","type":"survey.answered","time":"2026-01-01T00:00:00Z","data":{"kind":"csat","score":NaN}}',
    b'{"specversion":"1.0","id":"t","source":"s","type":"no.such","time":"2026-01-01T00:00:00Z","data":{}}',
)  # fmt: skip


@dataclass(frozen=True)
class Letter:
    """One thing to send.

    Attributes:
        kind: ``event``, ``broken`` (sent as a message of its own), or ``close`` (the key is a month to close).
    """

    topic: str
    key: str
    raw: bytes
    kind: str = "event"


def letters(seed: int, count: int, zone: str, now: int) -> list[Letter]:
    """Return about ``count`` events with duplicates, disorder, corrections, late ones after a month's close, broken ones.

    Args:
        seed: the same seed and time give the same letters.
        count: how many events are kept of the simulated organisation's.
        zone: the zone in which months are closed.
        now: when the five weeks end, epoch seconds, a whole hour.
    """
    rng = Random(seed)
    world = World(seed, now, 2)
    told = list(world.events(now - DAYS * 86_400, now))
    kept = [item for item in told if rng.random() < count / len(told)]
    today = datetime.fromtimestamp(now, ZoneInfo(zone))
    closed = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    start_of_month = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    punctual: list[tuple[float, Letter]] = []
    for at, _, _, family, key, raw in kept:
        topic = event_topic(family)
        letter = Letter(topic, key, raw)
        # what happened comes out of order, by up to two hours; a hundredth of it so late that its month is closed
        place = at + rng.random() * 7_200 if rng.random() > 0.01 else now + rng.random() * 3_600
        punctual.append((place, letter))
        if rng.random() < 0.03:
            punctual.append((place + rng.random() * 40_000, letter))
        if family == "incident" and rng.random() < 0.1:
            punctual.append((now + rng.random() * 3_600, Letter(topic, key, _corrected(raw, rng))))
        if rng.random() < 0.004:
            punctual.append((place, Letter(topic, key, rng.choice(BROKEN), "broken")))
    punctual.append((start_of_month + 6 * 3600, Letter("", closed, b"", "close")))
    return [letter for _, letter in sorted(punctual, key=lambda one: one[0])]


def _corrected(raw: bytes, rng: Random) -> bytes:
    """Return a later update of an incident that says otherwise, also of one whose month is closed by then."""
    event = json.loads(raw)
    data = event["data"]
    updated = datetime.fromisoformat(data["updated_at"]) + timedelta(minutes=rng.randrange(1, 600))
    data |= {"updated_at": updated.isoformat(), "priority": rng.randint(1, 5), "made_sla": rng.random() < 0.5}
    return json.dumps(event | {"id": f"{event['id']}-corrected"}).encode()


def save(path: Path, found: list[Letter]) -> None:
    """Write letters for the feeder."""
    with path.open("w") as f:
        for letter in found:
            f.write(json.dumps([letter.topic, letter.key, b64encode(letter.raw).decode(), letter.kind]) + "\n")


def load(path: Path) -> list[Letter]:
    """Read what ``save`` wrote."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [Letter(topic, key, b64decode(raw), kind) for topic, key, raw, kind in rows]
