"""A worker dies before every single effect there is and after it, and twice in a row; in the end nobody can tell.

An effect is a record of a flush (``csf-state-changelog``), a record produced (``csf.partials``, ``csf.dead-letters``), an offset
committed, or a write of the store (values, statuses, revisions, exits). To die after one is to die before the next. A run of the
suite tries before and after one effect of each kind and every twelfth of all; CSF_CRASH_EVERY=1, as in ``make chaos``, all of them.
"""

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


def kind(effect: str) -> str:
    """Return an effect's name without its partition."""
    return effect.rpartition("/")[0] or effect


def points() -> list[int]:
    """Return the effects to die before: some of all, and before and after one of each kind."""
    names = undisturbed().broker.effects.names
    offset = Random(os.environ.get("CSF_SEED", "1")).randrange(EVERY)
    of_kinds = {kind(name): number for number, name in enumerate(names)}.values()
    return sorted({*range(offset, len(names) + 1, EVERY), *of_kinds, *(number + 1 for number in of_kinds)})


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
        "happenings": store.happenings,
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
    flushes, produces = {"csf-state-changelog"}, {"csf.partials", "csf.dead-letters", "csf.alert-inputs"}
    commits = {f"commit {topic}" for topic, _ in world.events} | {"commit csf.partials"}
    writes = {"store values", "store statuses", "store revisions", "store exits", "store happenings"}
    assert {kind(name) for name in world.broker.effects.names} == flushes | produces | commits | writes
    assert [(h.id, h.end - h.start) for h in world.store.happenings.values() if h.end] == [("INC1", 90 * 60)]
    assert {v.state for v in world.store.values.values()} == {"live", "to_date", "closed", "restated"}


@pytest.mark.parametrize("shard", range(SHARDS))
def test_it_does_not_matter_before_which_effect_a_worker_dies(shard: int) -> None:
    for point in points()[shard::SHARDS]:
        check(World(history(), PARTITIONS, STEP).run(point), point)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nor_when_the_next_worker_dies_too(shard: int) -> None:
    count = len(undisturbed().broker.effects.names)
    rng = Random(f"{os.environ.get('CSF_SEED', '1')}/{shard}")
    for _ in range(max(1, count // EVERY // SHARDS)):
        deaths = rng.randrange(count), rng.randrange(60), rng.randrange(60)
        check(World(history(), PARTITIONS, STEP).run(*deaths), *deaths)
