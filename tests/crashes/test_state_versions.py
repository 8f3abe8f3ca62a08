"""State of an older format is brought up once and for all; state of a newer program is refused in one sentence."""

from __future__ import annotations

import asyncio
import struct
from types import SimpleNamespace
from typing import Any

import pytest

from agents.changelog import StateError, claim_record
from agents.tables import StateTable
from agents.topics import changelog_topic
from agents.transport import Batch
from pipeline.engine.state import VERSION, Chunks
from pipeline.errors import StateRefused, StateTooNew, StateTooOld
from tests.crashes.history import PARTITIONS, history
from tests.crashes.test_crash_points import STEP, check, outcome, undisturbed
from tests.crashes.world import Broker, Worker, World, _app, _pulse

INCIDENT = "csf.events.incident"
LOG = (changelog_topic("csf"), 0)


def lived(points: int) -> World:
    """Return a world whose worker died after so many effects."""
    return World(history(), PARTITIONS, STEP).run_until_death(points)


def as_version_1(broker: Broker) -> None:
    """Turn what was flushed into what programs wrote before versions were: no version, no record of definitions."""
    for number in range(PARTITIONS):
        log = broker.log[(changelog_topic("csf"), number)]
        kept = [(k, v) for k, v in log if not k.endswith((b"|bases", b"|defs"))]
        log[:] = [(k, v[:24] if v is not None and k[:2] == b"c|" else v) for k, v in kept]


def versions(broker: Broker) -> set[int]:
    """Return the versions of each topic's last commit."""
    last = {}
    for number in range(PARTITIONS):
        last |= {(number, k): v for k, v in broker.log[(changelog_topic("csf"), number)] if k[:2] == b"c|"}
    return {1 if len(v or b"") == 24 else struct.unpack(">QQqH", v or b"")[3] for v in last.values()}


def test_state_of_version_1_goes_on_to_the_same_numbers() -> None:
    points = len(undisturbed().broker.effects.names)
    world = lived(points * 2 // 3)
    as_version_1(world.broker)
    assert versions(world.broker) == {1}
    world.run()
    found, wanted = outcome(world), outcome(undisturbed())
    for what, held in wanted.items():
        assert {k: v for k, v in held.items() if found[what].get(k) != v} == {}
    assert VERSION in versions(world.broker)


def test_a_death_while_state_is_brought_up_changes_nothing() -> None:
    points = len(undisturbed().broker.effects.names)
    for more in range(0, 40, 4):
        world = lived(points // 2)
        as_version_1(world.broker)
        world.run(more)
        assert outcome(world) == outcome(undisturbed()), more
    check(World(history(), PARTITIONS, STEP).run())


def table(broker: Broker, version: int, steps: Any) -> StateTable:
    """Return a table of a program with this version, recovered."""
    made = StateTable(
        _app, group="csf", partitions=1, pulse=_pulse, timed=lambda _s: None, version=version, steps=steps
    )  # fmt: skip
    made.app = SimpleNamespace(producer=SimpleNamespace(_ensure_producer=lambda: broker))
    if broker.log[LOG]:
        records = [(o, k, v) for o, (k, v) in enumerate(broker.log[LOG])]
        batch = Batch(*LOG, records[-1][0], 0, records, None)
        made.recover([SimpleNamespace(message=SimpleNamespace(partition=0, value=batch))])
    made.recovery_completed({0})
    return made


def flush(made: StateTable, chunks: dict[bytes, bytes], position: int) -> None:
    """Flush chunks of the incident topic."""
    asyncio.run(made.flush(INCIDENT, 0, list(chunks.items()), position, made.epoch))


def test_a_migration_is_applied_once_and_again_only_where_its_result_was_not_flushed() -> None:
    called: list[str] = []

    def renamed(kind: str, chunks: Chunks) -> Chunks:
        called.append(kind)
        return {k.replace(b"old", b"new"): v for k, v in chunks.items()}

    broker = Broker()
    old = table(broker, 1, {})
    assert old.recovered(INCIDENT, 0) == (-1, [])
    flush(old, {b"old-a": b"1", b"old-b": b"2", b"c": b"3"}, 7)
    wanted = (7, {b"new-a": b"1", b"new-b": b"2", b"c": b"3"})
    for _ in range(2):  # the first of them dies before it flushes
        made = table(broker, 2, {1: renamed})
        position, chunks = made.recovered(INCIDENT, 0)
        assert (position, dict(chunks)) == wanted
    assert called == ["ingest", "ingest"]
    flush(made, {b"c": b"4"}, 8)
    again = table(broker, 2, {1: renamed})
    position, chunks = again.recovered(INCIDENT, 0)
    assert (position, dict(chunks)) == (8, {b"new-a": b"1", b"new-b": b"2", b"c": b"4"})
    assert called == ["ingest", "ingest"]


def test_a_downgrade_and_a_gap_are_one_sentence() -> None:
    broker = Broker()
    flush(table(broker, 3, {}), {b"a": b"1"}, 1)
    with pytest.raises(StateTooNew, match=r"^the state in Kafka was written by a newer csf-pulse \(format 3, this one"):
        table(broker, 2, {}).recovered(INCIDENT, 0)
    with pytest.raises(StateTooOld, match="format 3 and no way leads from 4 to 5: install the csf-pulse that wrote it"):
        table(broker, 5, {3: lambda _kind, chunks: chunks}).recovered(INCIDENT, 0)


def test_no_worker_begins_while_a_replay_holds_the_state() -> None:
    world = lived(len(undisturbed().broker.effects.names) // 2)
    for number in range(PARTITIONS):
        world.broker.log[(changelog_topic("csf"), number)].append(claim_record(9, hold=True))
    worker = Worker(world.broker, world.store, PARTITIONS)
    with pytest.raises(StateError, match="csf replay is about to replace the state: this worker ends"):
        worker.rollup.partition(0)
    table = worker.context.table
    with pytest.raises(StateError, match="csf replay"):
        asyncio.run(table.flush("csf.closing", 0, [(b"month", b"2026-10-01")], 0, table.epoch))
    for number in range(PARTITIONS):
        world.broker.log[(changelog_topic("csf"), number)].append(claim_record(9))
    world.run()
    assert outcome(world) == outcome(undisturbed())


def test_a_worker_refuses_newer_state() -> None:
    world = lived(len(undisturbed().broker.effects.names) // 2)
    for number in range(PARTITIONS):
        log = world.broker.log[(changelog_topic("csf"), number)]
        log[:] = [(k, (v[:24] + b"\xff\xff") if v is not None and k[:2] == b"c|" else v) for k, v in log]
    worker = Worker(world.broker, world.store, PARTITIONS)
    with pytest.raises(StateRefused, match="newer csf-pulse"):
        worker.rollup.partition(0)
