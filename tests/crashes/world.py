"""The two agents on a broker and a store in memory that die before or after any one effect.

An effect is what outlives a process: one record acknowledged by the broker, one committed offset, one write of the
store. To die after one effect is to die before the next, so that dying before each one and after the last is all.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import faust
from faust.types import TP

from agents.config import WorkerConfig
from agents.context import Context
from agents.fence import Pulse
from agents.ingest import IngestAgent
from agents.reach import refuse_holes
from agents.rollup import RollupAgent
from agents.tables import StateTable
from agents.topics import changelog_topic
from agents.transport import Batch
from pipeline.events.families import EVENT_TOPICS
from pipeline.topics import DEAD_LETTERS, KPIS, PARTIALS
from pipeline.values import WINDOWS, CsfStatus, Exits, Happening, KpiRevision, KpiValue
from tests.properties.histories import catalogue, plan

Place = tuple[str, int]
Record = tuple[int, int, bytes]  # offset, arrival ms, value

ZONE = "Europe/Zurich"
_app = faust.App("crash-points", broker="kafka://127.0.0.1:1", value_serializer="raw")
_pulse = Pulse(3600.0)


class Died(BaseException):
    """The process is gone; nothing it was about to do happens."""


class Effects:
    """Counts effects and ends the process instead of the one at which it is to die."""

    def __init__(self, die_at: int | None = None) -> None:
        self.names: list[str] = []
        self._die_at = die_at

    def happen(self, name: str, work: Callable[[], Any]) -> Any:
        """Let an effect happen, or the process die before it.

        Raises:
            Died: here, and at whatever else is under way when the process dies.
        """
        if self._die_at is not None and len(self.names) >= self._die_at:
            raise Died
        self.names.append(name)
        return work()


class _OneRecord:
    """A producer's batch that holds a single record, so that a process can die between any two."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None]] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes | None) -> object | None:
        del timestamp
        if self.records:
            return None
        self.records.append((key, value))
        return self

    def record_count(self) -> int:
        return len(self.records)


class Broker:
    """What the broker keeps: topics, and the offsets of the group."""

    def __init__(self) -> None:
        self.log: dict[Place, list[tuple[bytes, bytes | None]]] = defaultdict(list)
        self.committed: dict[Place, int] = defaultdict(int)
        self.effects = Effects()

    def create_batch(self) -> _OneRecord:
        """Return an empty batch."""
        return _OneRecord()

    async def send_batch(self, batch: _OneRecord, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Append a batch; the future has its offset."""
        log = self.log[(topic, partition)]

        def append() -> int:
            log.extend(batch.records)
            return len(log) - 1

        # the feed of live values is told anew by every worker: no promise rests on it
        offset = append() if topic == KPIS else self.effects.happen(f"{topic}/{partition}", append)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result(SimpleNamespace(offset=offset))
        return done


class _Consumer:
    """What a worker asks of its consumer before it begins."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def committed_offsets(self, partitions: set[TP]) -> dict[TP, int]:
        return {tp: self._broker.committed[tp] for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        return {tp: len(self._broker.log[tp]) for tp in partitions}


class MemoryStore:
    """What the store keeps: the last write of a key, as the port wants it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.values: dict[tuple[str, str, str, int], KpiValue] = {}
        self.statuses: dict[tuple[str, str, str, int], CsfStatus] = {}
        self.revisions: dict[tuple[str, str, int, int], KpiRevision] = {}
        self.exits: dict[Place, Exits] = {}
        self.happenings: dict[tuple[str, ...], Happening] = {}

    def write_values(self, values: list[KpiValue]) -> None:
        """Keep values."""
        found = {(v.kpi, v.scope, v.period, 0 if v.period in WINDOWS else v.start): v for v in values}
        self._broker.effects.happen("store values", lambda: self.values.update(found))

    def write_statuses(self, statuses: list[CsfStatus]) -> None:
        """Keep statuses."""
        found = {(s.csf, s.scope, s.period, 0 if s.period in WINDOWS else s.start): s for s in statuses}
        self._broker.effects.happen("store statuses", lambda: self.statuses.update(found))

    def write_revisions(self, revisions: list[KpiRevision]) -> None:
        """Keep revisions."""
        found = {(r.kpi, r.scope, r.start, r.revision): r for r in revisions}
        self._broker.effects.happen("store revisions", lambda: self.revisions.update(found))

    def write_exits(self, exits: list[Exits]) -> None:
        """Keep exits."""
        found = {(e.topic, e.partition): e for e in exits}
        self._broker.effects.happen("store exits", lambda: self.exits.update(found))

    def write_happenings(self, happenings: list[Happening]) -> None:
        """Keep happenings, without those that are gone."""
        self._broker.effects.happen("store happenings", lambda: self._happened(happenings))

    def _happened(self, happenings: list[Happening]) -> None:
        for found in happenings:
            if found.gone:
                self.happenings.pop(found.identity, None)
            else:
                self.happenings[found.identity] = found

    def close(self) -> None:
        """Keep everything."""


class _Here(Executor):
    """Runs work at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as e:
            done.set_exception(e)
        return done


class Worker:
    """One life of a worker: the real agents and state table, recovered from what the broker keeps."""

    def __init__(self, broker: Broker, store: MemoryStore, partitions: int) -> None:
        self.broker, self.partitions = broker, partitions
        config = WorkerConfig(
            bootstrap="127.0.0.1:1", catalogue=catalogue(ZONE), store_factory=lambda: store, partitions=partitions  # type: ignore[arg-type]
        )  # fmt: skip
        app = SimpleNamespace(
            producer=SimpleNamespace(_ensure_producer=lambda: broker), consumer=_Consumer(broker), consumer_generation_id=1
        )  # fmt: skip
        table = StateTable(_app, group="csf", partitions=partitions, pulse=_pulse, timed=lambda _s: None)
        table.app = app
        for number in range(partitions):
            place = (changelog_topic("csf"), number)
            if broker.log[place]:
                records = [(o, k, v) for o, (k, v) in enumerate(broker.log[place])]
                batch = Batch(*place, records[-1][0], 0, records, None)
                table.recover([SimpleNamespace(message=SimpleNamespace(partition=number, value=batch))])
        table.recovery_completed(set(range(partitions)))
        self.context = Context(config, plan(ZONE), app, table, _pulse)
        self.ingest, self.rollup = IngestAgent(self.context, None), RollupAgent(self.context)
        # how much is flushed at once is a matter of turns here, not of time
        self.ingest.live_s = self.ingest.behind_s = self.rollup.live_s = self.rollup.behind_s = math.inf
        self.rollup._store._thread = _Here()  # type: ignore[assignment]

    def _event(self, place: Place, records: list[Record]) -> Any:
        topic, partition = place
        batch = Batch(topic, partition, records[-1][0], records[-1][1], records, None)
        message = SimpleNamespace(
            topic=topic, partition=partition, value=batch, offset=batch.offset, tp=TP(topic, partition), generation_id=1
        )

        def ack() -> None:
            def commit() -> None:
                self.broker.committed[place] = batch.offset + 1

            self.broker.effects.happen(f"commit {topic}/{partition}", commit)

        return SimpleNamespace(message=message, ack=ack)

    async def live(self, events: dict[Place, list[Record]], step: int, rounds: int = 1_000) -> None:
        """Take what is not yet acknowledged, a few messages a partition at a time, until nothing is left.

        In every other round more seems to wait, so that a flush is of two rounds.
        """
        nothing: asyncio.Queue[Any] = asyncio.Queue()
        more: asyncio.Queue[Any] = asyncio.Queue()
        more.put_nowait("a batch")
        await refuse_holes(self.context, [TP(*place) for place in self.broker.committed])
        await self.context.table.begin()
        at = dict(self.broker.committed)
        for turn in range(rounds):
            busy, waiting = False, nothing if turn % 2 else more
            for place in sorted(events):
                left = events[place][at.get(place, 0) : at.get(place, 0) + step]
                if left:
                    busy = True
                    at[place] = left[-1][0] + 1
                    await self.ingest._take(self._event(place, left))
            await self.ingest._taken(waiting)
            for number in range(self.partitions):
                place = (PARTIALS, number)
                log = self.broker.log[place]
                left = [(o, 0, v or b"") for o, (_, v) in enumerate(log)][at.get(place, 0) :]
                if left:
                    busy = True
                    at[place] = left[-1][0] + 1
                    await self.rollup._take(self._event(place, left))
            await self.rollup._taken(waiting)
            for number in range(self.partitions):
                await self.rollup._turn(self.rollup.partition(number))
            if not busy and waiting is nothing and not self.rollup._pending():
                return
        raise AssertionError("it does not come to an end")


class World:
    """Event logs, a broker, a store, and workers that follow each other.

    Args:
        events: the event topics' logs.
        partitions: of every topic.
        step: messages of a batch.
    """

    def __init__(self, events: dict[Place, list[Record]], partitions: int, step: int) -> None:
        assert {topic for topic, _ in events} <= set(EVENT_TOPICS)
        self.events, self.partitions, self.step = events, partitions, step
        self.broker = Broker()
        self.store = MemoryStore(self.broker)

    def run(self, *deaths: int) -> World:
        """Live through the history: each of ``deaths`` ends one worker before its effect of that number.

        The last worker lives to the end; ``broker.effects`` are its own then.
        """
        for die_at in (*deaths, None):
            self.broker.effects = Effects(die_at)
            with suppress(Died):
                worker = Worker(self.broker, self.store, self.partitions)
                asyncio.run(worker.live(self.events, self.step))
        return self

    def run_until_death(self, die_at: int) -> World:
        """Live until the worker dies before its effect of that number."""
        self.broker.effects = Effects(die_at)
        with suppress(Died):
            asyncio.run(Worker(self.broker, self.store, self.partitions).live(self.events, self.step))
        return self

    def dead_letters(self) -> dict[bytes, bytes]:
        """Return dead letters by key, as a reader that knows keys has them."""
        return {k: v for (topic, _), log in self.broker.log.items() if topic == DEAD_LETTERS for k, v in log if v}
