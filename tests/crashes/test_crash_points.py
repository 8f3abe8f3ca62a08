"""A worker dies before every single effect there is, and twice in a row; in the end nobody can tell."""

from __future__ import annotations

import os
from functools import lru_cache
from random import Random
from typing import Any

import pytest

from tests.crashes.history import PARTITIONS, history
from tests.crashes.world import ZONE, World
from tests.oracle.oracle import Oracle
from tests.properties.compare import differences
from tests.properties.histories import catalogue

#: Messages of a batch.
STEP = 2
#: Every point is tried by ``make chaos``; one in so many otherwise, others at every run of the suite's seed.
EVERY = int(os.environ.get("CSF_CRASH_EVERY", "12"))
SHARDS = 4


@lru_cache
def undisturbed() -> World:
    """Return the world in which nobody dies."""
    return World(history(), PARTITIONS, STEP).run()


def outcome(world: World) -> dict[str, Any]:
    """Return all that users see. A value that is unknown and tells nothing is the same as none."""
    store = world.store
    values = {k: v for k, v in store.values.items() if v.value is not None or v.coverage is not None or v.revision}
    return {
        "values": values,
        "statuses": store.statuses,
        "revisions": store.revisions,
        "exits": store.exits,
        "dead letters": world.dead_letters(),
    }


def check(world: World, *deaths: int) -> None:
    """Compare a world in which workers died with the one in which none did."""
    found, wanted = outcome(world), outcome(undisturbed())
    for what, held in wanted.items():
        wrong = [k for k in held.keys() | found[what].keys() if held.get(k) != found[what].get(k)]
        assert not wrong, (what, deaths, sorted(map(str, wrong))[:5], [found[what].get(k) for k in wrong[:2]])


def test_without_a_death_every_number_is_the_oracles() -> None:
    world = undisturbed()
    log = [(*place, *record) for place, records in world.events.items() for record in records]
    assert differences(world.store, Oracle(catalogue(ZONE), log)) == []  # type: ignore[arg-type]
    names = set(world.broker.effects.names)
    assert {"store values", "store statuses", "store revisions", "store exits", "csf.dead-letters/0"} <= names
    assert any(name.startswith("commit csf.partials") for name in names)
    assert {v.state for v in world.store.values.values()} == {"live", "to_date", "closed", "restated"}


@pytest.mark.parametrize("shard", range(SHARDS))
def test_it_does_not_matter_before_which_effect_a_worker_dies(shard: int) -> None:
    points = len(undisturbed().broker.effects.names)
    offset = Random(os.environ.get("CSF_SEED", "1")).randrange(EVERY)
    for point in list(range(offset, points + 1, EVERY))[shard::SHARDS]:
        check(World(history(), PARTITIONS, STEP).run(point), point)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nor_when_the_next_worker_dies_too(shard: int) -> None:
    points = len(undisturbed().broker.effects.names)
    rng = Random(f"{os.environ.get('CSF_SEED', '1')}/{shard}")
    for _ in range(max(1, points // EVERY // SHARDS)):
        deaths = rng.randrange(points), rng.randrange(60), rng.randrange(60)
        check(World(history(), PARTITIONS, STEP).run(*deaths), *deaths)
