"""Sources that show only what is there now: what changed between two polls becomes an event, once."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest

from connectors.engine.trial import trials
from pipeline.errors import ServiceUnavailable, SourceRefused
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving

SCALING = {
    "name": "cluster", "title": "A cluster", "what": "sizes", "base": "{option:address}", "auth": {"none": {"kind": "none"}},
    "options": {"address": {"what": "where it is"}},
    "streams": [
        {
            "name": "sizes", "what": "sizes of workloads", "request": {"path": "/sizes"}, "records": "items",
            "cursor": {"kind": "snapshot", "changes": ["status.replicas"]}, "id": ["name"],
            "mapping": {
                "service": "name",
                "events": [
                    {
                        "type": "scaling.completed", "time": "polled_at",
                        "when": [{"column": "before.status.replicas", "present": True}, {"column": "gone", "present": False}],
                        "data": {
                            "requested_at": {"column": "status.asked", "as": "time"}, "direction": "moved",
                            "ready_at": {"column": "polled_at", "as": "time"},
                            "from": {"column": "before.status.replicas", "as": "int"},
                            "to": {"column": "status.replicas", "as": "int"},
                        },
                    },
                ],
            },
        }
    ],
}  # fmt: skip


class Cluster:
    def __init__(self):
        self.sizes = {"shop": 2, "pay": 1}

    def __call__(self, _asked):
        asked = "2026-11-26T11:58:00Z"
        return Says({"items": [{"name": n, "status": {"replicas": s, "asked": asked}} for n, s in self.sizes.items()]})


def bench_at(vendor, tmp_path, **cursor):
    (stream,) = SCALING["streams"]
    declaration = {**SCALING, "streams": [{**stream, "cursor": {**stream["cursor"], **cursor}}]}
    return on_bench(tmp_path, declaration, options={"address": vendor.address})


def steps(events):
    return [(e["subject"], e["data"].get("from"), e["data"]["to"]) for e in events]


@pytest.fixture
def cluster():
    with serving(Cluster()) as vendor:
        yield vendor


def test_a_change_is_told_once_with_what_was_before(cluster, tmp_path):
    bench = bench_at(cluster, tmp_path)
    assert bench.poll() == []
    bench.later(minutes=1)
    assert bench.poll() == []
    cluster.answer.sizes["shop"] = 5
    bench.later(minutes=1)
    (event,) = bench.poll()
    assert steps([event]) == [("shop", 2, 5)]
    assert event["data"]["direction"] == "up"
    assert event["time"] == "2026-11-26T12:02:00Z"
    assert [(p["from"][11:], p["to"][11:]) for p in bench.sink.polled] == [
        ("12:00:00Z", "12:01:00Z"),
        ("12:01:00Z", "12:02:00Z"),
    ]
    bench.later(minutes=1)
    assert bench.poll(anew=True) == []
    cluster.answer.sizes["shop"] = 2
    bench.later(minutes=1)
    assert steps(bench.poll(anew=True)) == [("shop", 5, 2)]


@pytest.mark.parametrize("lost", range(8))
def test_a_crash_anywhere_tells_a_change_neither_twice_nor_not(cluster, tmp_path, lost):
    """The brokers go away at the n-th flush of a poll; meanwhile the size changes once more."""
    bench = bench_at(cluster, tmp_path)
    bench.poll()
    cluster.answer.sizes["shop"] = 5
    bench.later(minutes=1)
    flush, count = bench.sink.flush, iter(range(100))

    def dying():
        if next(count) == lost:
            bench.sink._waiting.clear()
            raise ServiceUnavailable("gone")
        flush()

    bench.sink.flush = dying
    with suppress(ServiceUnavailable):
        bench.poll()
    bench.sink.flush = flush
    cluster.answer.sizes["shop"] = 9
    bench.later(minutes=1)
    bench.poll(anew=True)
    distinct = {e["id"]: e for e in bench.sink.events}
    found = steps(distinct.values())
    assert [found[0][1], found[-1][2]] == [2, 9]
    assert all(a[2] == b[1] for a, b in itertools.pairwise(found))


def test_what_is_gone_is_told_once_and_may_come_back(cluster, tmp_path):
    (stream,) = SCALING["streams"]
    (event,) = stream["mapping"]["events"]
    gone = {
        **event,
        "when": [{"column": "gone", "present": True}],
        "data": {**event["data"], "outcome": {"const": "failed"}},
    }
    mapping = {**stream["mapping"], "events": [event, gone]}
    bench = on_bench(
        tmp_path, {**SCALING, "streams": [{**stream, "mapping": mapping}]}, options={"address": cluster.address}
    )
    bench.poll()
    del cluster.answer.sizes["pay"]
    bench.later(minutes=1)
    assert [(e["subject"], e["data"]["outcome"]) for e in bench.poll()] == [("pay", "failed")]
    bench.later(minutes=1)
    assert bench.poll() == []
    assert not [name for name in bench.sink.cursors if "pay" in name]
    cluster.answer.sizes["pay"] = 4
    bench.later(minutes=1)
    assert bench.poll() == []  # seen for the first time


def test_more_entities_than_are_compared_is_told(cluster, tmp_path):
    bench = bench_at(cluster, tmp_path, most=1)
    with pytest.raises(SourceRefused, match="the source shows 2 entities, more than the 1 that are compared"):
        bench.poll()


def test_a_trial_shows_an_event_of_what_is_there(cluster, tmp_path):
    (stream,) = SCALING["streams"]
    (event,) = stream["mapping"]["events"]
    data = {**event["data"], "direction": {"const": "up"}}
    mapping = {**stream["mapping"], "events": [{**event, "when": [], "data": data}]}
    bench = on_bench(
        tmp_path, {**SCALING, "streams": [{**stream, "mapping": mapping}]}, options={"address": cluster.address}
    )
    (trial,) = trials(bench.connector, lambda _seconds: None)
    assert len(trial.events) == 2
    assert not trial.problem
