"""A KPI's changed definition is never silently wrong: refused without a new version, marked without a replay."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from pipeline.catalogue import model as m
from pipeline.engine.definitions import digest
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import Plan, build_plan
from pipeline.engine.rollup import FLOOR_KEY, RollupPartition
from pipeline.errors import DefinitionChanged
from tests.core.bench_world import NOW, World, catalogue, incident, kpi, polled

H, D = timedelta(hours=1), timedelta(days=1)
STOPPED = NOW - 4 * D


def changed(kpi_id: str = "incidents", **changes: Any) -> Plan:
    """Return a plan in which one KPI is another."""
    held = catalogue()
    kpis = {**held.kpis, kpi_id: msgspec.structs.replace(held.kpis[kpi_id], **changes)}
    return build_plan(msgspec.structs.replace(held, kpis=kpis))


URGENT = m.Count(events=["incident.updated"], at="opened_at", where="priority == 1")


def restart(world: World, plan: Plan) -> World:
    """Let the world go on with another catalogue, from its durable state alone."""
    world.plan, world.engines = plan, {}
    position, world.rollup = world.rollup.position, RollupPartition(plan, 0)
    world.rollup.restore(position, world.rollup_chunks.items())
    return world


def lived(partitions: int = 1, *, incidents: bool = True) -> World:
    """Return a world in which incidents were opened in October and in November, until it stopped."""
    world = World(partitions=partitions)
    for day in range(40) if incidents else ():
        opened = STOPPED - day * D - H
        incident(world, f"I{day}", opened, opened, "new", priority=1 + day % 2)
    if not incidents:
        world.event("request.measured", STOPPED, {"status": 200})
    polled(world, STOPPED - 60 * D, STOPPED, ["incident.updated"])
    world.tick(STOPPED)
    for partition in range(partitions):
        for topic in ("incident", "control"):
            world.raw(f"csf.events.{topic}", tick_message(STOPPED), STOPPED, partition=partition)
    return world.run()


def tick_message(at: datetime) -> bytes:
    """Return a tick as the ticker writes it into every partition."""
    data = {"partition": 0, "time": at.isoformat()}
    event = {"specversion": "1.0", "id": f"t{at}", "source": "csf/ticker", "type": "clock.ticked", "subject": ""}
    return msgspec.json.encode({**event, "time": at.isoformat(), "data": data})


def go_on(world: World, at: datetime = NOW) -> World:
    """Let three urgent incidents come after the restart, and the clock reach an instant in every partition."""
    for i in range(3):
        incident(world, f"N{i}", at - H, at - H, "new", priority=1)
    polled(world, STOPPED, at, ["incident.updated"])
    for partition in range(world.partitions):
        for topic in ("incident", "control"):
            world.raw(f"csf.events.{topic}", tick_message(at), at, partition=partition)
    return world.run()


def test_a_change_without_a_new_version_is_refused() -> None:
    with pytest.raises(DefinitionChanged, match=r"KPI 'incidents' .* version 1 .* raise it to 2 and run csf replay"):
        restart(lived(), changed(measure=URGENT))
    with pytest.raises(DefinitionChanged, match="its version is 0: raise it to 2"):
        restart(lived(), changed(version=0))
    with pytest.raises(DefinitionChanged, match="zone"):
        restart(lived(), build_plan(catalogue("Asia/Tokyo")))


def test_what_is_no_definition_may_change() -> None:
    restart(lived(), changed(target=5.0, weight=3.0, name="Other", definition="Said otherwise."))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_new_version_without_a_replay_says_nothing_of_before_and_marks_the_rest(partitions: int) -> None:
    world = go_on(restart(lived(partitions), changed(measure=URGENT, version=2)))
    before = world.month("incidents", "2026-10")
    assert (before.value, before.definition_version) == (20, 1), "the old definition's value stays"
    month = world.month("incidents")
    begun, elapsed = (STOPPED - datetime(2026, 11, 1, tzinfo=UTC)) / D, (NOW - datetime(2026, 11, 1, tzinfo=UTC)) / D
    assert (month.value, month.definition_version) == (3, 2)
    assert month.coverage == pytest.approx(1 - begun / elapsed)
    assert month.reason.startswith("version 2 of this KPI is computed from 2026-11-20 10:00 UTC on; csf replay")
    today = world.values[("incidents", "org", "day", int(NOW.timestamp()) // 86_400 * 86_400)]
    assert (today.value, today.coverage, today.reason) == (3, 1.0, "")
    other = world.month("backlog")
    assert (other.value, other.coverage, other.reason) == (43, 1.0, "")


def test_a_stock_is_unknown_until_it_was_replayed() -> None:
    stock = m.Stock(events=["incident.updated"], where="priority == 1", enter="opened_at", leave="closed_at")
    world = go_on(restart(lived(), changed("backlog", measure=stock, version=2)))
    month = world.month("backlog")
    assert (month.value, month.status) == (None, "unknown")
    assert "csf replay" in month.reason


def test_the_mark_survives_further_restarts_and_crashes() -> None:
    plan = changed(measure=URGENT, version=2)
    world = restart(lived(2), plan)
    world = go_on(restart(world, plan), NOW - D)
    wanted = go_on(restart(world, plan)).month("incidents")
    assert (wanted.value, wanted.definition_version) == (3, 2)
    assert 0 < (wanted.coverage or 0) < 1
    world.crash_rollup()
    world.evaluate()
    assert world.month("incidents") == wanted


def test_until_every_partition_has_spoken_nothing_is_called_whole() -> None:
    world = restart(lived(3), changed(measure=URGENT, version=2))
    world.raw("csf.events.incident", tick_message(NOW), NOW, partition=0)
    world.raw("csf.events.control", tick_message(NOW), NOW, partition=0)
    world.run()
    assert ("incidents", "org", "month", world.plan.calendar.parse_month("2026-11")) in world.values
    assert world.month("incidents").reason


def test_a_new_kpi_over_events_that_never_came_is_whole() -> None:
    held = catalogue()
    kpis = {**held.kpis, "urgent": kpi("urgent", "reliability", URGENT)}
    world = restart(lived(incidents=False), build_plan(msgspec.structs.replace(held, kpis=kpis)))
    for day in range(40):  # a history is imported only now
        incident(world, f"I{day}", STOPPED - day * D - H, STOPPED - day * D - H, "new", priority=1, arrival=STOPPED + H)
    world = go_on(world)
    assert (world.month("urgent", "2026-10").value, world.month("urgent", "2026-10").reason) == (20, "")
    assert (world.month("urgent").value, world.month("urgent").reason) == (20 + 3, "")


def test_a_kpi_that_reads_what_another_csf_already_had_is_told_all_of_it() -> None:
    held = catalogue()
    measure = held.kpis["incidents"].measure
    kpis = {**held.kpis, "also": kpi("also", "integration", measure)}
    world = go_on(restart(lived(), build_plan(msgspec.structs.replace(held, kpis=kpis))))
    for month in ("2026-10", "2026-11"):
        assert world.month("also", month).value == world.month("incidents", month).value


def test_a_new_version_over_the_same_facts_is_whole() -> None:
    world = restart(lived(), changed("incidents", version=2))
    month = go_on(world).month("incidents")
    assert (month.value, month.coverage, month.reason, month.definition_version) == (20 + 3, 1.0, "", 2)


def test_what_an_older_generation_said_changes_nothing_but_is_evaluated() -> None:
    world = lived()
    old = World()
    incident(old, "I0", STOPPED - H, STOPPED - H, "new")
    old.tick(STOPPED)
    for at in sorted(old.log):
        old.step(at, len(old.log[at]))
    said = old.unacknowledged
    world.rollup_chunks[FLOOR_KEY] = msgspec.msgpack.encode(1_000_000)
    position, world.rollup = world.rollup.position, RollupPartition(world.plan, 0)
    world.rollup.restore(position, world.rollup_chunks.items())
    world.evaluate()
    wanted = world.month("incidents")
    del world.values[("incidents", "org", "month", wanted.start)]
    world.rollup.fold(said)
    world.evaluate()
    assert world.month("incidents") == wanted
    assert (wanted.value, wanted.count) == (20, 20)


def test_a_fresh_partition_says_nothing_of_bases() -> None:
    engine = IngestPartition(build_plan(catalogue()), "csf.events.incident", 0)
    assert [kind for kind, _ in engine.take().chunks] == [b"bases"]
    assert engine.take().chunks == []


@pytest.mark.parametrize(
    "change", [lambda x: x, lambda x: msgspec.structs.replace(x, where="a"), lambda _: m.Sum(events=["e"], value="b")]
)
def test_a_digest_is_of_the_measure_alone(change: Callable[[Any], Any]) -> None:
    first = kpi("a", "reliability", m.Count(events=["e"]))
    other = kpi("b", "security", change(first.measure), "down", target=3.0)
    assert (digest(first) == digest(other)) == (first.measure == other.measure)
