"""A partition given away takes its state with it at once: workers look for garbage so seldom, and freeze what they
recovered, that state in a cycle of references would stay for good."""

import gc
import json
import weakref
from collections.abc import Iterator

import pytest

from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.ingest import IngestPartition
from pipeline.engine.plan import build_plan
from pipeline.engine.rollup import RollupPartition
from tests.fuzz.samples import ARRIVAL_MS, event, topic

PLAN = build_plan(load_catalogue())
TYPES = ("page.viewed", "task.finished", "uptime.checked", "incident.updated", "survey.answered", "record.synced")


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("kind", TYPES)
def test_state_is_freed_without_the_collector(no_collector: None, kind: str) -> None:
    engine, rollup = IngestPartition(PLAN, topic(kind), 0), RollupPartition(PLAN, 0)
    for flush in range(8):
        arrival = ARRIVAL_MS + flush * 200_000
        engine.fold([(flush, arrival, json.dumps({**event(kind), "id": f"e{flush}"}).encode())])
        out = engine.take()
        assert out.partials
        rollup.fold([(100 * flush + i, arrival, value) for i, (_, _, value) in enumerate(out.partials)])
        rollup.mark()
        rollup.take_chunks()
        while rollup.pending:
            rollup.evaluate(1_000)
    recovered = IngestPartition(PLAN, topic(kind), 0)
    recovered.restore(0, [(k, v) for k, v in out.chunks if v is not None])
    held = [weakref.ref(engine), weakref.ref(recovered), weakref.ref(rollup), weakref.ref(rollup.heard.facts)]
    del engine, recovered, rollup, out
    assert [ref() for ref in held] == [None] * 4
