"""The engine, fed the world's batches, gives the world's truth: every figure of every scope."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from connectors.simulator import catalogue_dir
from connectors.simulator.telling import Batches, tell_history
from connectors.simulator.truth import truth
from connectors.simulator.world import World
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import build_plan
from tests.core.bench_world import World as Engine
from tests.simulator.conftest import ANCHOR, SEED

SKETCHED = {"peak_response_time", "sync_latency", "sync_latency_p95"}


class Log:
    """A sink that is the log of an in-memory engine."""

    def __init__(self, engine: Engine, now: datetime) -> None:
        self.engine, self.now = engine, now

    def send_batch(self, topic: str, key: str, events: list[bytes]) -> None:
        self.engine.raw(topic, b"[" + b",".join(events) + b"]", self.now, key=key)

    def flush(self) -> None:
        """Everything is there already."""


def test_engine_gives_the_truth() -> None:
    now = datetime.fromtimestamp(ANCHOR, UTC)
    world = World(SEED, ANCHOR, months=1)
    plan = build_plan(load_catalogue(catalogue_dir()))
    engine = Engine(plan, partitions=2)
    batches = Batches(Log(engine, now))

    def end_month(label: str) -> None:
        batches.flush()
        engine.close(label, now)

    told = tell_history(world, batches.add, end_month, lambda _share, _n: None)
    batches.flush()
    engine.tick(now)
    engine.run()
    lost = {(at, e.dead_letter, e.duplicate, e.unmapped) for at, e in engine.exits.items()
            if e.dead_letter or e.duplicate or e.unmapped}  # fmt: skip
    assert lost == set()
    assert sum(e.received for e in engine.exits.values()) > told

    agreed, wrong = 0, []
    for label, scopes in truth(world)["months"].items():
        for scope, figures in scopes.items():
            for kpi, value in figures.items():
                found = engine.month(kpi, label, scope).value
                slack = 0.0101 if kpi in SKETCHED else 1e-9
                if found is not None and math.isclose(found, value, rel_tol=slack, abs_tol=1e-9):
                    agreed += 1
                else:
                    wrong.append((label, scope, kpi, value, found))
    assert wrong == []
    assert agreed > 800
    assert engine.month("csat", "2026-10", "service:hr").reported
    assert engine.month("incidents", "2026-10").state in {"closed", "restated"}
