"""State that older programs wrote still restores, and goes on to the same numbers as if it had never stopped."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest

from pipeline.engine.rollup import RollupPartition
from pipeline.engine.state import VERSION, upgrade
from tests.core.bench_world import World
from tests.core.golden.history import HALF, PARTITIONS, figures, history, write

GOLDEN = sorted((Path(__file__).parent / "golden").glob("state-*.json"))


def unpacked(version: int, kind: str, chunks: dict[str, str]) -> dict[bytes, bytes]:
    return upgrade(kind, version, {key.encode(): b64decode(value) for key, value in chunks.items()})


def recovered(path: Path) -> World:
    """Return a world that goes on from kept state."""
    kept, version = json.loads(path.read_text()), int(path.stem.rpartition("-")[2])
    world = World(partitions=PARTITIONS)
    for action in history()[:HALF]:
        write(world, action)
    for topic, partition, position, chunks in kept["ingest"]:
        world.saved[(topic, partition)] = position
        world.chunks[(topic, partition)] = unpacked(version, "ingest", chunks)
    position, chunks = kept["rollup"]
    world.partials, world.rollup_chunks = position + 1, unpacked(version, "rollup", chunks)
    world.rollup = RollupPartition(world.plan, 0)
    world.rollup.restore(position, world.rollup_chunks.items())
    return world


def straight(actions: int) -> World:
    world = World(partitions=PARTITIONS)
    for action in history()[:actions]:
        write(world, action)
    return world.run()


def test_every_version_has_its_state() -> None:
    assert [p.name for p in GOLDEN] == [f"state-{n}.json" for n in range(1, VERSION + 1)]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_kept_state_says_what_it_said(path: Path) -> None:
    world = recovered(path)
    world.run()
    found, wanted = figures(world), figures(straight(HALF))
    running = {k for k in wanted if k[2] == "month" or k[2].endswith(("m", "h", "d"))}
    assert running <= found.keys()
    assert {k: found[k] for k in found} == {k: wanted[k] for k in found}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_kept_state_goes_on_to_the_same_numbers(path: Path) -> None:
    world = recovered(path)
    for action in history()[HALF:]:
        write(world, action)
    world.run()
    found, wanted = figures(world), figures(straight(2 * HALF))
    assert {k: v for k, v in found.items() if wanted.get(k) != v} == {}
    assert wanted.keys() - found.keys() == {k for k in wanted.keys() - found.keys() if k[2] in {"hour", "day"}}
