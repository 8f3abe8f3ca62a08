"""One world for all tests of the simulator, told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from connectors.simulator.truth import truth
from connectors.simulator.world import World
from pipeline.events.envelope import Envelope
from pipeline.events.families import event_topic
from pipeline.events.validate import decode_data, decode_envelope

SEED = 7
#: 24 November 2026, 14:40:20 in Amsterdam
ANCHOR = 1_795_527_620


@dataclass
class Told:
    """One decoded event."""

    at: int
    family: str
    key: str
    event: Envelope
    data: Any
    size: int


@pytest.fixture(scope="session")
def world() -> World:
    return World(SEED, ANCHOR)


@pytest.fixture(scope="session")
def told(world: World) -> list[Told]:
    """All of history, decoded by the rules of the pipeline as if it arrived when it happened."""
    found = []
    for at, _, _, family, key, raw in world.events(world.start, ANCHOR):
        event = decode_envelope(raw)
        data, at_ms = decode_data(event, event_topic(family), at * 1000)
        assert at_ms == at * 1000
        found.append(Told(at, family, key, event, data, len(raw)))
    return found


@pytest.fixture(scope="session")
def figures(world: World) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(truth(world)))
