"""csf-pulse as a contender: ``contender.py BOOTSTRAP TOPIC OUT N PARTITIONS GROUP``.

A whole worker (Faust, deduplication, state flushed to its changelog before the fetch is acknowledged, partials, rollup,
SQLite store, console) reads the workload's topic in place of ``csf.events.usage``. Its answer is what rollup
holds a (service, minute) when everything is acknowledged and written. The workload's events lie weeks back: minutes are kept
for as long as that here, as they would have been for two hours while it was live.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: How long minutes are kept here, seconds: the workload lies weeks back, and its answer is by minutes.
MINUTES_KEPT_S = 10 * 365 * 86_400


def cpu() -> float:
    """Return the CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Marks:
    """When the first event came, when half were done, when all: what the bench reads beside the answer."""

    def __init__(self, out: Path, n: int) -> None:
        self._out, self._half, self._seen = out, n // 2, 0
        self._kept: dict[str, float] = {}

    def mark(self, name: str) -> None:
        self._kept.setdefault("t_" + name, time.time())
        self._kept.setdefault("cpu_" + name, cpu())

    def batch(self, size: int) -> None:
        self.mark("first")
        self._seen += size
        if self._seen >= self._half:
            self.mark("half")

    def save(self) -> None:
        self.mark("done")
        Path(f"{self._out}.meta").write_text(json.dumps(self._kept))


def answer(rollups: list[Any]) -> list[dict[str, Any]]:
    """Return the rows of every (service, minute) that rollup holds."""
    from pipeline.aggregate.distinct import cardinality
    from pipeline.aggregate.quantiles import bucket_value, sketch_quantile
    from pipeline.engine.merging import merged
    from pipeline.time.panes import MINUTE

    rows = []
    for rollup in rollups:
        cells = rollup.heard.facts._cells
        bases = {kpi: mine["main"] for kpi, mine in rollup.heard.plan.roles.items()}
        for cell in sorted(c for c in cells if c[0] == MINUTE):
            said, (_, start, service) = cells.whole(cell), cell
            at = {kpi: merged(base, said[base.key]) for kpi, base in bases.items() if base.key in said}
            count, total, _ = at["duration"]
            rows.append(
                {
                    "service": service, "minute": f"{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M}", "count": count,
                    "errors": at["errors"][1], "sum": total // 1_000_000, "max": bucket_value(max(at["duration_p95"])),
                    "p95": sketch_quantile(at["duration_p95"], 0.95), "users": cardinality(at["users"]),
                }
            )  # fmt: skip
    return rows


async def nobody_ticks(_ctx: Any) -> None:
    """Write nothing into the workload's topic: others read it after this one."""
    await asyncio.Event().wait()


async def work(config: Any, n: int, marks: Marks, out: Path) -> int:
    """Run a worker until everything is acknowledged and written, then save its answer."""
    from agents.app import Worker
    from agents.context import SOURCE_TOPICS
    from agents.fence import Pulse
    from agents.membership import Membership

    pulse = Pulse(config.session_timeout_s)
    worker = Worker(config, pulse, None, Membership(None, config.group))

    async def done() -> None:
        while True:
            await asyncio.sleep(0.05)
            taken = sum(at for tp, at in worker.ctx.acked.items() if tp.topic == SOURCE_TOPICS[TOPIC_AT])
            if taken >= n and (await worker.ctx.progress(fresh=True)).caught_up:
                break
        rows = answer([p.engine for p in worker.rollup._partitions.all()])
        out.write_text("".join(json.dumps(row) + "\n" for row in rows))
        marks.save()
        worker.ctx.ended.set()

    watching = asyncio.create_task(done())
    code = await worker.run()
    await watching
    pulse.close()
    return code


TOPIC_AT = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("out", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("partitions", type=int)
    parser.add_argument("group", help="a new one for each run")
    parser.add_argument("--profile", help="write a cProfile here")
    a = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)

    from pipeline.time import panes

    panes.KEEP[panes.MINUTE] = MINUTES_KEPT_S
    # the workload's topic stands for that of page views: named before anything reads the names
    from pipeline.events import families

    own = families.event_topic
    families.event_topic = lambda family: a.topic if family == "usage" else own(family)
    families.EVENT_TOPICS = tuple(map(families.event_topic, families.FAMILIES))
    global TOPIC_AT
    TOPIC_AT = families.FAMILIES.index("usage")

    from agents import ticker
    from agents.app import _collect_rarely
    from agents.config import WorkerConfig
    from agents.engines import Engines
    from agents.topics import ensure_topics, topic_specs
    from benchmarks.peer.catalogue import peer_catalogue
    from pipeline.engine.ingest import IngestPartition
    from pipeline.stores.sqlite import SqliteStore

    marks = Marks(a.out, a.n)
    ticker.run = nobody_ticks

    class Ingest(IngestPartition):
        """Ingest that says when the first events came and when half were done."""

        def fold(self, records: Sequence[tuple[int, int, bytes]]) -> None:
            if self.topic == a.topic:
                marks.batch(len(records))
            super().fold(records)

    with tempfile.TemporaryDirectory(prefix="csf-peer-") as folder:
        ensure_topics(a.bootstrap, topic_specs(group=a.group, partitions=a.partitions))
        config = WorkerConfig(
            bootstrap=a.bootstrap, catalogue=peer_catalogue(), group=a.group, partitions=a.partitions, http_port=0,
            store_factory=lambda: SqliteStore(Path(folder) / "kpis.db"), tick_s=3600, close_months=False,
            engines=Engines(ingest=Ingest),
        )  # fmt: skip
        _collect_rarely()
        if a.profile:
            import cProfile

            profile = cProfile.Profile()
            profile.enable()
        code = asyncio.run(work(config, a.n, marks, a.out))
        if a.profile:
            profile.disable()
            profile.dump_stats(a.profile)
    sys.exit(code)


if __name__ == "__main__":
    main()
