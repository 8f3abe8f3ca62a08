"""Entities that are asked for again until they are final: over restarts, deletions and too many of them."""

from __future__ import annotations

import pytest

from tests.connectors.desk import MAPPING, Desk, bench_at, declared, numbers
from tests.connectors.vendor import serving

pytestmark = pytest.mark.usefixtures("quick")

UNFINISHED = {
    "request": {"path": "/newest"}, "cursor": {"kind": "window", "newest_first": "opened"}, "paginator": {"kind": "page", "size": 10},
    "unfinished": {
        "request": {"path": "/tickets/{record:id}"}, "record": "ticket", "keep": ["id"],
        "final": [{"column": "state", "in": ["done"]}],
    },
}  # fmt: skip


def test_open_entities_are_asked_again_until_they_are_final_also_after_a_restart(tmp_path):
    desk = Desk(3)
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(**UNFINISHED))
        bench.poll()
        desk.tickets["T0001"] |= {
            "state": "done",
            "updated": "2026-11-26T12:10:00Z",
            "resolved": "2026-11-26T12:09:00Z",
        }
        bench.later(hours=1)
        (event,) = bench.poll()
        assert (event["data"]["number"], event["data"]["state"]) == ("T0001", "resolved")
        vendor.asked.clear()
        bench.later(hours=1)
        assert {e["data"]["number"] for e in bench.poll(anew=True)} == {
            "T0000",
            "T0002",
        }  # read again, with the same ids
        assert {a.path for a in vendor.asked} == {"/newest", "/tickets/T0000", "/tickets/T0002"}
        del desk.tickets["T0000"]
        bench.poll()
        assert "is gone at the source" in bench.said[-1]
        assert [k for k in bench.sink.cursors if "|open:" in k] == ['desk/ours/tickets|open:{"id":"T0002"}']


def test_an_entity_that_is_deleted_before_its_end_is_cancelled(tmp_path):
    (event,) = MAPPING["events"]
    seen = {**event, "when": [{"column": "gone", "present": False}]}
    data = {
        "number": "id", "state": {"const": "cancelled"}, "opened_at": {"column": "opened", "as": "time"},
        "updated_at": {"column": "polled_at", "as": "time"},
    }  # fmt: skip
    gone = {**event, "time": "polled_at", "when": [{"column": "gone"}], "data": data}
    unfinished = {**UNFINISHED["unfinished"], "keep": ["id", "service", "opened"]}
    stream = {**UNFINISHED, "unfinished": unfinished, "mapping": {**MAPPING, "events": [seen, gone]}}
    desk = Desk(2)
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(**stream))
        bench.poll()
        keys = len(bench.sink.keys)
        del desk.tickets["T0001"]
        bench.later(minutes=5)
        told = [e for e in bench.poll() if e["data"]["number"] == "T0001"]
        assert [(e["data"]["state"], e["time"]) for e in told] == [("cancelled", "2026-11-26T12:05:00Z")]
        assert ("csf.events.incident", "desk/ours|T0001") in bench.sink.keys[:keys]
        assert ("csf.events.incident", "desk/ours|T0001") in bench.sink.keys[keys:]
        bench.later(minutes=5)
        assert "T0001" not in numbers(bench.poll(anew=True))


def test_more_open_entities_than_are_remembered_are_told(tmp_path):
    with serving(Desk(5)) as vendor:
        unfinished = {**UNFINISHED, "unfinished": {**UNFINISHED["unfinished"], "most": 2}}
        bench = bench_at(vendor, tmp_path, declared(**unfinished))
        bench.poll()
    assert "3 unfinished entities are too many" in bench.said[0]
    assert bench.counted("forgotten_entities_total") == 3
