"""What is kept worked out: as much as is asked again, however long the history is that was told."""

from __future__ import annotations

import random
import tracemalloc
from array import array
from bisect import insort
from datetime import timedelta

import msgspec
import pytest

from pipeline.engine.plan import build_plan
from pipeline.engine.prefixes import KEPT, STRIDE, Prefixes
from pipeline.engine.starts import Starts
from tests.core.bench_world import NOW, World, catalogue

DAY_S = 86_400
KPIS = ("availability", "outages", "backlog")
ENGINE = [
    tracemalloc.Filter(True, f"*/pipeline/engine/{name}.py") for name in ("facts", "uptime", "prefixes", "telling")
]


@pytest.mark.parametrize("seed", range(5))
def test_results_are_those_of_folding_all_days_again_in_any_order_of_asking(seed: int) -> None:
    rng = random.Random(seed)
    said = {d * DAY_S: rng.randrange(100) for d in rng.sample(range(1_000), 400)}
    days, sums = array("q", sorted(said)), Prefixes(0)
    for _ in range(600):
        asked = rng.choice((rng.randrange(-10, 1_010), 1_000 - rng.randrange(40))) * DAY_S
        assert sums.before(days, asked, lambda total, day: total + said[day]) == sum(
            n for d, n in said.items() if d < asked
        )
        if rng.random() < 0.2:
            changed = rng.randrange(1_000) * DAY_S
            if changed not in said:
                insort(days, changed)
            said[changed] = rng.randrange(100)
            sums.forget(changed)
        assert len(sums) <= KEPT + len(said) // STRIDE


def test_a_month_of_the_past_is_worked_out_from_a_milestone_and_what_is_asked_all_the_time_stays() -> None:
    days, added = array("q", range(1_000)), []

    def add(count: int, day: int) -> int:
        added.append(day)
        return count + 1

    counts = Prefixes(0)
    assert counts.before(days, 1_000, add) == 1_000
    for most in (2 * (31 + STRIDE), 0, 0):
        added.clear()
        for day in (*range(500, 531), *range(969, 1_001)):
            assert counts.before(days, day, add) == day
        assert len(added) <= most, "from a milestone, and then not again"


def test_starts_are_known_once_each_and_in_order() -> None:
    starts: Starts[str] = Starts()
    for start in (30, 10, 20, 10, 40, 30):
        starts.add("shop", start)
    assert list(starts.of("shop")) == [10, 20, 30, 40]
    assert [starts.holds("shop", s) for s in (5, 10, 25, 40, 50)] == [False, True, False, True, False]
    assert (starts.of("mail"), starts.holds("mail", 10)) == ((), False)


def kept_after(world: World, first: int, days: int) -> int:
    """Let days of checks and of an incident come, each told before the next; return the bytes of what is kept worked out."""
    for n in range(first, first + days):
        at = NOW + timedelta(days=n)
        world.event("uptime.checked", at, {"up": n % 3 > 0, "check": "a", "interval_s": 3_600})
        world.event("uptime.checked", at, {"up": True, "check": "b", "interval_s": 3_600})
        stamp = at.isoformat()
        data = {"number": f"I{n}", "state": "closed", "opened_at": stamp, "updated_at": stamp, "closed_at": stamp}
        world.event("incident.updated", at, data)
        world.tick(at + timedelta(hours=1))
        world.run()
        world.values.clear()
        world.statuses.clear()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ENGINE).traces)


def test_what_is_kept_worked_out_does_not_grow_with_the_days_told() -> None:
    few = catalogue()
    world = World(build_plan(msgspec.structs.replace(few, kpis={k: few.kpis[k] for k in KPIS})))
    tracemalloc.start()
    try:
        before = kept_after(world, 0, KEPT + 8)
        after = kept_after(world, KEPT + 8, 2 * STRIDE)
    finally:
        tracemalloc.stop()
    assert (after - before) / (2 * STRIDE) < 400, f"{before} -> {after} bytes"
