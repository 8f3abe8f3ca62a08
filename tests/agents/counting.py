"""A worker with engines that only count, for tests of what lies around the engines.

An event is ``{"id": int, "n": int}``. Ingest keeps the sum of n and the set of ids (in chunks by id), says both to
rollup; rollup keeps the newest statement a source partition and writes one value a partition.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agents.config import WorkerConfig
from agents.engines import Engines
from pipeline.catalogue.alerts import Channel, Route
from pipeline.catalogue.model import CSF_IDS, Catalogue, Csf, Organisation
from pipeline.engine.output import IngestOutput
from pipeline.engine.plan import Plan, build_plan
from pipeline.engine.telling import RollupOutput
from pipeline.errors import CsfError, StoreRejected, StoreUnavailable
from pipeline.stores.sqlite import SqliteStore
from pipeline.values import Exits, KpiValue

CHUNKS = 64


def catalogue(alerts=None) -> Catalogue:
    if alerts is not None:
        from tests.alerts.samples import DELAY, ODD
        from tests.alerts.samples import catalogue as with_rules

        channels = {name: Channel(id=name, **how) for name, how in alerts["channels"].items()}
        route = Route(id="all", channels=list(channels), group_wait="0s", group_interval="0s", repeat="0s")
        return msgspec.structs.replace(with_rules(DELAY, ODD, routes=(route,)), channels=channels)
    csfs = {i: Csf(id=i, name=i, statement=i) for i in CSF_IDS}
    return Catalogue(organisation=Organisation(), csfs=csfs, kpis={}, services={}, targets=[], goals={})


@dataclass
class Counting:
    plan: Plan
    topic: str
    partition: int
    position: int = -1
    total: int = 0
    events: int = 0
    ids: dict[int, set[int]] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    doubled: int = 0
    #: what was flushed before a crash may not have been said: it is said again, as the real engine's outbox does
    unsaid: bool = False

    changed_cells = 0

    def restore(self, position, chunks):
        self.position = position
        self.unsaid = position >= 0
        for key, value in chunks:
            if key == b"sum":
                self.total, self.events, self.doubled = msgspec.msgpack.decode(value)
            else:
                self.ids[int(key)] = set(msgspec.msgpack.decode(value))

    def fold(self, records):
        for offset, _arrival, value in records:
            if offset <= self.position:
                continue
            event = json.loads(value)
            if event.get("type") == "clock.ticked":
                self.position = offset
                continue
            if event.get("poison"):
                raise ZeroDivisionError("poison")
            bucket = event["id"] % CHUNKS
            seen = self.ids.setdefault(bucket, set())
            self.doubled += event["id"] in seen
            seen.add(event["id"])
            self.dirty.add(bucket)
            self.total += event["n"]
            self.events += 1
            self.position = offset

    def take(self):
        chunks = [(str(b).encode(), msgspec.msgpack.encode(sorted(self.ids[b]))) for b in sorted(self.dirty)]
        chunks.append((b"sum", msgspec.msgpack.encode([self.total, self.events, self.doubled])))
        changed, self.dirty, self.unsaid = bool(self.dirty) or self.unsaid, set(), False
        said = [self.topic, self.partition, self.total, self.events, self.doubled, sum(map(len, self.ids.values()))]
        partials = [(CSF_IDS[0], f"{self.topic}|{self.partition}".encode(), msgspec.msgpack.encode(said))]
        exits = Exits(topic=self.topic, partition=self.partition, received=self.events, kpi=self.events)
        return IngestOutput(dead_letters=[], chunks=chunks, partials=partials if changed else [], exits=exits)


@dataclass
class Newest:
    plan: Plan
    partition: int
    position: int = -1
    said: dict[str, list[int]] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    unsaved: set[str] = field(default_factory=set)

    clock = 0.0
    csfs = frozenset()
    changed_cells = 0

    def maintenance(self):
        return {}

    @property
    def pending(self):
        return len(self.dirty)

    def restore(self, position, chunks):
        self.position = position
        self.said = {key.decode(): msgspec.msgpack.decode(value) for key, value in chunks}

    def fold(self, records):
        for offset, _arrival, value in records:
            topic, partition, *numbers = msgspec.msgpack.decode(value)
            key = f"{topic}-{partition}"
            if key not in self.said or numbers[1] >= self.said[key][1]:
                self.said[key] = numbers
                self.unsaved.add(key)
            self.dirty.add(key)
            self.position = max(self.position, offset)

    def take_chunks(self):
        chunks = [(k.encode(), msgspec.msgpack.encode(self.said[k])) for k in sorted(self.unsaved)]
        self.unsaved = set()
        return chunks

    def mark(self):
        return 0

    def settled(self, mark):
        return not self.dirty

    def evaluate(self, limit, *, urgent_only=False):
        out = RollupOutput()
        for key in sorted(self.dirty):
            total, events, doubled, ids = self.said[key]
            out.values.append(
                KpiValue(
                    csf=CSF_IDS[0], kpi="sum", scope=f"service:{key}", period="month", start=0, end=2_678_400,
                    value=float(total), unit="1", numerator=float(ids), denominator=float(doubled), count=events,
                )
            )  # fmt: skip
        self.dirty = set()
        return out


class Moody:
    """A store that is away, hangs or refuses while a file of that name exists."""

    def __init__(self, store, directory):
        self._store, self._directory = store, Path(directory)

    def __getattr__(self, name):
        if name.startswith("write"):
            if (self._directory / "away").exists():
                raise StoreUnavailable("the store is away", retry_after_s=0.1)
            if (self._directory / "refuse").exists():
                raise StoreRejected("no such bucket")
            while (self._directory / "hang").exists():
                time.sleep(0.1)
        return getattr(self._store, name)


def config(bootstrap, directory, alerts=None, **settings):
    path = Path(directory) / "kpis.db"
    for name in ("archive_dir", "data_dir"):
        if settings.get(name):
            settings[name] = Path(settings[name])
    return WorkerConfig(
        bootstrap=bootstrap,
        catalogue=catalogue(alerts),
        store_factory=lambda: Moody(SqliteStore(path), directory),
        engines=Engines(plan=build_plan, ingest=Counting, rollup=Newest),
        **{"http_port": 0, "partitions": 2, "tick_s": 1.0, "close_months": False, "session_timeout_s": 6.0} | settings,
    )


def faults(directory, worker):
    """Let something in this process stop without a word once a file of its name exists."""
    import asyncio

    app = worker.ctx.app

    def hang(*_):
        time.sleep(10**6)

    async def never(*_args, **_named):
        await asyncio.Event().wait()

    async def nothing(*_args, **_named):
        return {}

    def loop_blocked():
        hang()

    def consumer_hung():
        app.consumer._thread.thread_loop.call_soon_threadsafe(hang)

    def consumer_dead():
        loop = app.consumer._thread.thread_loop
        loop.call_soon_threadsafe(loop.stop)

    def producer_silent():
        app.producer._ensure_producer().send_batch = never

    def fetcher_stuck():
        app.consumer._getmany = nothing

    def agent_dead():
        for task in asyncio.all_tasks():
            frame = getattr(task.get_coro(), "cr_frame", None)
            if "csf.ingest" in repr(task) or (frame and frame.f_locals.get("self") is worker.ingest):
                task.cancel()
        worker.ingest._batch = never

    def commits_lost():
        async def refused(*_args, **_named):
            return False

        app.consumer._commit = refused

    def rebalance_endless():
        worker.ctx.table.prepare = never

    async def watch():
        while True:
            for name in [n for n in known if (Path(directory) / n).exists()]:
                (Path(directory) / name).unlink()
                known[name]()
            await asyncio.sleep(0.1)

    known = {
        f.__name__: f
        for f in (
            loop_blocked, consumer_hung, consumer_dead, producer_silent, fetcher_stuck, agent_dead, commits_lost,
            rebalance_endless,
        )
    }  # fmt: skip
    worker._spawn("faults", watch())


def main():
    import logging

    from agents import app
    from agents.app import run_worker

    logging.basicConfig(level=os.environ.get("LOG", "INFO"), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    bootstrap, directory, settings = sys.argv[1:4]
    run = app.Worker.run

    async def with_faults(worker):
        faults(directory, worker)
        return await run(worker)

    app.Worker.run = with_faults
    try:
        return run_worker(config(bootstrap, directory, **json.loads(settings)))
    except CsfError as e:
        print(e)
        return 2


if __name__ == "__main__":
    sys.exit(main())
