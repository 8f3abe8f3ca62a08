"""Merged panes: what is kept and brought up to date equals, to the bit, what merging everything again gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pipeline.aggregate.distinct import EXACT_LIMIT, same
from pipeline.catalogue import model
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.bases import Base
from pipeline.engine.facts import Facts
from pipeline.engine.merging import Merging
from pipeline.engine.plan import Plan, build_plan
from pipeline.time.panes import DAY, HOUR, MINUTE, Pane

SERVICES = {f"s{i}": f"t{i % 3}" for i in range(9)}
NOW = 1_795_672_800 // 86_400 * 86_400
PANES: list[Pane] = [(MINUTE, NOW), (MINUTE, NOW + 60), (HOUR, NOW), (DAY, NOW)]
SOURCES = ["usage|0", "usage|1"]


def plan_of() -> Plan:
    named = {s: model.Service(id=s, name=s, team=t) for s, t in SERVICES.items()}
    return build_plan(msgspec.structs.replace(load_catalogue(), services=named))


PLAN = plan_of()
#: state kind → contribution that a random generator draws
DRAWN: dict[str, Callable[[random.Random], Any]] = {
    "sums": lambda rng: (1, rng.randrange(-5, 100), 1),
    "sketch": lambda rng: [(rng.randrange(8), rng.randrange(1, 4))],
    "multiset": lambda rng: [(rng.randrange(8), 1)],
    "distinct": lambda rng: rng.getrandbits(64) if rng.random() < 0.5 else rng.randrange(20),
    "groups": lambda rng: (f"m{rng.randrange(6)}", rng.randrange(50), rng.randrange(50)),
    "peak": lambda rng: (NOW + 3_600 * rng.randrange(3), rng.randrange(60), 1, rng.random() < 0.1, rng.randrange(5)),
}
BASES = {kind: next(b for b in PLAN.bases.values() if b.spec.state == kind) for kind in DRAWN}


def alike(kind: str, state: Any, other: Any) -> bool:
    """Return whether two states are the same; distinct counts are kept in several forms."""
    if kind == "distinct" and state is not None and other is not None:
        return same(state, other)
    return bool(state is other or state == other)


class World:
    """Facts, and beside them the states that sources said, merged afresh at every question."""

    def __init__(self, seed: int, kind: str) -> None:
        self.rng, self.facts, self.base = random.Random(seed), Facts(PLAN), BASES[kind]
        self.said: dict[tuple[str, str, Pane], Any] = {}
        self.position = 0

    def say(self, *, back: bool) -> None:
        """Let a source say more of a cell, or something unlike what it said before."""
        rng, aggregator = self.rng, self.base.aggregator
        source, service, pane = rng.choice(SOURCES), rng.choice(list(SERVICES)), rng.choice(PANES)
        state = None if back else self.said.get((source, service, pane))
        for _ in range(rng.randrange(1, 4)):
            state = aggregator.add(state, DRAWN[self.base.spec.state](rng), 1)
        self.said[(source, service, pane)] = aggregator.unpack(aggregator.pack(state))
        self.position += 1
        raw = msgspec.msgpack.encode(aggregator.pack(state))
        self.facts.put((*pane, service), SERVICES[service], source, self.position, {self.base.key: raw})

    def expected(self, scope: str, panes: list[Pane]) -> Any:
        state = None
        for (_, service, pane), said in self.said.items():
            if pane in panes and scope in {"org", f"team:{SERVICES[service]}", f"service:{service}"}:
                state = self.base.aggregator.merge(state, said)
        return state

    def check(self) -> None:
        scopes = ["org", *(f"team:t{i}" for i in range(3)), *(f"service:{s}" for s in SERVICES)]
        for scope in self.rng.sample(scopes, 5):
            for pane in self.rng.sample(PANES, 2):
                self.is_as_expected(self.facts.at(self.base, scope, pane), scope, [pane])
            self.is_as_expected(self.facts.span(self.base, scope, PANES[:2]), scope, PANES[:2])

    def is_as_expected(self, state: Any, scope: str, panes: list[Pane]) -> None:
        expected = self.expected(scope, panes)
        assert alike(self.base.spec.state, state, expected), (scope, panes, state, expected)


@pytest.mark.parametrize("kind", sorted(DRAWN))
@pytest.mark.parametrize("seed", range(4))
def test_whatever_changes_in_whatever_order_is_as_merged_afresh(kind: str, seed: int) -> None:
    world = World(seed, kind)
    for _ in range(150):
        for _ in range(world.rng.choice([1, 2, 12])):
            world.say(back=world.rng.random() < 0.2)
        world.check()


def test_a_state_set_to_another_for_a_while_is_merged_as_such_and_then_as_before() -> None:
    world = World(1, "sums")
    for _ in range(60):
        world.say(back=False)
    world.check()
    (source, service, pane), said = next(iter(world.said.items()))
    before = world.facts.at(world.base, "org", pane)
    was = world.facts.swap((*pane, service), world.base.key, None, source)
    without = world.facts.at(world.base, "org", pane)
    assert before == world.base.aggregator.merge(without, said)
    world.facts.swap((*pane, service), world.base.key, was, source)
    assert world.facts.at(world.base, "org", pane) == before


def test_distinct_counts_that_outgrow_their_sets_are_as_merged_afresh() -> None:
    world = World(3, "distinct")
    for _ in range(3):
        for source, service in (("usage|0", "s0"), ("usage|1", "s0"), ("usage|0", "s4")):
            state = world.said.get((source, service, PANES[0]))
            for _ in range(EXACT_LIMIT // 2 + 50):
                state = world.base.aggregator.add(state, world.rng.getrandbits(64), 1)
            packed = world.base.aggregator.pack(state)
            world.said[(source, service, PANES[0])] = world.base.aggregator.unpack(packed)
            world.position += 1
            raw = msgspec.msgpack.encode(packed)
            cell = (*PANES[0], service)
            world.facts.put(cell, SERVICES[service], source, world.position, {world.base.key: raw})
            for scope in ("org", "team:t0", "team:t1"):
                world.is_as_expected(world.facts.at(world.base, scope, PANES[0]), scope, [PANES[0]])


def test_what_did_not_change_is_not_merged_again() -> None:
    world = World(5, "sketch")
    for _ in range(200):
        world.say(back=False)
    world.facts.at(world.base, "org", PANES[0])
    merged: list[str] = []
    whole = Merging._of_service

    def counted(self: Merging, base: Base, service: str, pane: Pane, *entries: Any) -> Any:
        merged.append(service)
        return whole(self, base, service, pane, *entries)

    state = world.said[("usage|0", "s1", PANES[0])]
    raw = msgspec.msgpack.encode(world.base.aggregator.pack(world.base.aggregator.add(dict(state), [(3, 1)], 1)))
    world.facts.put((*PANES[0], "s1"), "t1", "usage|0", 10**6, {world.base.key: raw})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Merging, "_of_service", counted)
        world.facts.at(world.base, "org", PANES[0])
    assert merged == ["s1"]
