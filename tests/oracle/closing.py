"""What a month was when it was closed: the oracle over what lies below every partition's barrier."""

from __future__ import annotations

import json
from collections import defaultdict

from pipeline.catalogue.model import Catalogue
from tests.oracle.oracle import Oracle
from tests.oracle.reading import Message

Place = tuple[str, int]


def barriers(messages: list[Message]) -> dict[str, dict[Place, int]]:
    """Return the first barrier's offset in every partition, by month, of the months that all of them closed."""
    found: dict[str, dict[Place, int]] = defaultdict(dict)
    need: dict[str, int] = defaultdict(int)
    for topic, partition, offset, _arrival, raw in sorted(messages, key=lambda m: m[:3]):
        if b'"month.closed"' not in raw:
            continue
        event = json.loads(raw)
        data = event["data"]
        if event["type"] == "month.closed" and data.get("offsets") is None:
            found[data["month"]].setdefault((topic, partition), offset)
            need[data["month"]] = max(need[data["month"]], data["barriers"])
    return {month: places for month, places in found.items() if len(places) >= need[month]}


def as_closed(catalogue: Catalogue, messages: list[Message], month: str, now_ms: int) -> Oracle:
    """Return the oracle of a month's revision 1."""
    places = barriers(messages)[month]
    below = [m for m in messages if (m[0], m[1]) not in places or m[2] < places[(m[0], m[1])]]
    return Oracle(catalogue, below, now_ms)
