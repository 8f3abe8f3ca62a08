"""Cuts, crashes and replays at any point leave no trace in the numbers."""

import random
from datetime import timedelta
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.catalogue.model import CSF_IDS
from pipeline.engine.plan import build_plan
from tests.core.bench_world import NOW, D, H, World, catalogue, check, incident, polled, view
from tests.properties.harness import Cluster


def history(seed: int) -> list[Any]:
    """Return actions that write a small, tangled history."""
    rng = random.Random(seed)
    actions: list[Any] = []
    for i in range(60):
        at = NOW - timedelta(minutes=rng.randint(1, 4000))
        arrival = at + timedelta(minutes=rng.choice([0, 0, 0, 5, 200]))
        kind = rng.choice(["view", "view", "incident", "check", "survey", "sync", "maintenance"])
        actions.append((arrival, kind, at, i, rng.random()))
    return sorted(actions, key=lambda a: a[0])


def write(world: World, action: Any) -> None:
    arrival, kind, at, i, r = action
    subject = "shop" if r < 0.6 else "portal"
    if kind == "view":
        view(world, f"u{i % 4}", at, arrival=arrival, subject="shop", ident=f"v{i % 50}")
    elif kind == "incident":
        opened = NOW - timedelta(minutes=4000 + i % 5)
        state = "resolved" if r < 0.5 else "in_progress"
        resolved = {"resolved_at": at} if state == "resolved" else {}
        incident(
            world, f"I{i % 5}", opened, at, state, subject=subject, arrival=arrival, reopen_count=i % 2, **resolved
        )
    elif kind == "check":
        check(world, at, r < 0.8, check=f"c{i % 2}", interval_s=600)
    elif kind == "survey":
        data = {"kind": "csat", "score": 1 + int(r * 4.99), "respondent": f"r{i % 3}"}
        world.event("survey.answered", at, data, arrival=arrival)
    elif kind == "sync":
        data = {"from": "a", "to": "b", "changed_at": at.isoformat(), "available_at": at.isoformat()}
        world.event("record.synced", at, data, arrival=arrival)
    else:
        data = {"id": f"m{i % 2}", "starts_at": (at + H).isoformat(), "ends_at": (at + 2 * H).isoformat()}
        world.event("maintenance.scheduled", at, data, arrival=arrival)


def figures(world: World) -> dict[Any, Any]:
    return {k: (v.value, v.count, v.coverage, v.status) for k, v in world.values.items() if v.value is not None}


def build(seed: int) -> World:
    world = World()
    for action in history(seed):
        write(world, action)
    polled(world, NOW - 30 * H, NOW, ["page.viewed", "incident.updated"])
    world.tick()
    return world


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 10_000), data=st.data())
def test_cuts_crashes_and_replays_change_no_number(seed: int, data: st.DataObject) -> None:
    straight = build(seed).run()
    tangled = build(seed)
    for at in sorted(tangled.log):
        end = len(tangled.log[at])
        for _ in range(data.draw(st.integers(0, 3))):
            tangled.step(
                at, data.draw(st.integers(1, end)), flush=data.draw(st.booleans()), tell=data.draw(st.booleans())
            )
            if data.draw(st.booleans()):
                tangled.engines.pop(at, None)  # killed after the flush
            if data.draw(st.booleans()):
                tangled.evaluate()
            if data.draw(st.booleans()):
                tangled.crash_rollup()
    tangled.run()
    assert figures(tangled) == figures(straight)
    assert {k: (e.received, e.reasons) for k, e in tangled.exits.items()} == {
        k: (e.received, e.reasons) for k, e in straight.exits.items()
    }


def test_a_recovered_partition_speaks_only_of_its_own_csfs() -> None:
    """Two CSFs read the same visitors, each in a partition of its own: neither may be judged from what the other one holds."""
    world, cluster = World(), Cluster(build_plan(catalogue()), rollups=2)
    for number, arrival in enumerate((NOW - timedelta(minutes=1), NOW + timedelta(minutes=1))):
        view(world, f"u{number}", arrival, arrival=arrival)
    (place, messages), *_ = world.log.items()
    for _offset, arrival_ms, value in messages:
        cluster.put(place, arrival_ms, value)
        cluster.fetch(place, len(cluster.log[place]))
        for number in range(2):  # what the second hour brought is flushed, and not worked out
            cluster.consume(number, evaluate=len(cluster.log[place]) == 1)
    for number in range(2):
        spoken = cluster.rollup(number).evaluate(10**6)
        own = {csf for index, csf in enumerate(CSF_IDS) if index % 2 == number}
        assert {v.csf for v in spoken.values} | {s.csf for s in spoken.statuses} <= own
        assert spoken.statuses


def test_what_a_first_poll_says_of_the_past_is_told_though_a_worker_dies_while_the_store_is_away() -> None:
    w = World()
    opened = NOW - 35 * D
    incident(w, "I1", opened, opened, "new")
    w.tick()
    w.run()
    assert w.month("backlog", "2026-10").coverage is None
    polled(w, NOW - D, NOW, ["incident.updated"])
    said = ("csf.events.control", 0)
    w.step(said, len(w.log[said]))
    while w.rollup.pending:
        w.rollup.evaluate(500)  # worked out, and never written
    w.keep_rollup()
    w.crash_rollup()
    w.evaluate()
    assert w.month("backlog", "2026-10").coverage == 0.0
