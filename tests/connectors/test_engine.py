"""The engine against a desk that fails and changes: events, cursors, restarts and what is read again."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from connectors.engine import run
from pipeline.errors import ConfigError, ServiceUnavailable
from tests.connectors.desk import Desk, bench_at, declared, numbers
from tests.connectors.pulling import NOW, closed_later
from tests.connectors.vendor import serving

pytestmark = pytest.mark.usefixtures("quick")


def test_an_event_is_mapped_by_the_language_of_file_imports(tmp_path):
    desk = Desk()
    desk.put("T1", "2026-11-26T09:30:00Z", state="working", priority=2, opened="2026-11-26T09:00:00Z")
    with serving(desk) as vendor:
        (event,) = bench_at(vendor, tmp_path, team="it", services={"svc-1": "shop"}).poll()
    assert event.pop("id") == "8f08985132421b0d77f09d0f2082a391"
    assert event == {
        "specversion": "1.0", "source": "desk/ours", "type": "incident.updated", "time": "2026-11-26T09:30:00Z",
        "subject": "shop", "csfteam": "it",
        "data": {
            "number": "T1", "state": "in_progress", "original_state": "working", "priority": 2,
            "opened_at": "2026-11-26T09:00:00Z", "updated_at": "2026-11-26T09:30:00Z",
        },
    }  # fmt: skip


def test_versions_of_an_entity_share_a_key_whatever_service_they_name(tmp_path):
    desk = Desk()
    desk.put("T1", "2026-11-26T09:30:00Z")
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path)
        bench.poll()
        desk.put("T1", "2026-11-26T12:30:00Z", service="svc-2")
        bench.later(hours=1)
        bench.poll()
    assert {k for t, k in bench.sink.keys if t == "csf.events.incident"} == {"desk/ours|T1"}
    assert [e["subject"] for e in bench.sink.events] == ["svc-1", "svc-2"]
    assert len({e["id"] for e in bench.sink.events}) == 2


def test_a_poll_goes_on_where_the_last_one_ended_and_reads_the_overlap_again_without_sending_it(tmp_path):
    desk = Desk(5)
    desk.put("T9", "2026-11-26T11:58:00Z")
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path)
        bench.poll()
        desk.put("T10", "2026-11-26T12:00:30Z")
        bench.later(minutes=2)
        assert numbers(bench.poll()) == ["T10"]
        asked = vendor.asked[-1].query
    assert asked["from"] == "2026-11-26T11:54:00Z"  # a minute's lag and five minutes' overlap before noon
    assert asked["to"] == "2026-11-26T12:01:00Z"
    assert [(p["from"], p["to"]) for p in bench.sink.polled] == [
        ("2026-11-26T00:00:00Z", "2026-11-26T11:59:00Z"), ("2026-11-26T11:59:00Z", "2026-11-26T12:01:00Z"),
    ]  # fmt: skip
    assert all(p["complete"] and p["types"] == ["incident.updated"] for p in bench.sink.polled)


def test_what_is_read_again_after_a_restart_has_the_same_ids(tmp_path):
    desk = Desk()
    desk.put("T9", "2026-11-26T11:58:00Z")
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path)
        first = bench.poll()
        bench.later(minutes=2)
        again = bench.poll(anew=True)
    assert first == again


def test_the_cursor_moves_only_after_the_brokers_hold_the_events(tmp_path):
    with serving(Desk(7)) as vendor:
        bench = bench_at(vendor, tmp_path)
        bench.sink.away = 1
        with pytest.raises(ServiceUnavailable, match="away"):
            bench.poll()
        assert not bench.sink.cursors
        assert numbers(bench.poll()) == [f"T{n:04}" for n in range(7)]
    kinds = bench.sink.order
    assert kinds.index("cursor") > max(
        i for i, kind in enumerate(kinds) if kind == "event" and i < kinds.index("cursor")
    )
    assert [kind for kind in kinds if kind != "turn"][-1] == "cursor"


@pytest.mark.parametrize("fails_at", range(6))
def test_brokers_that_leave_at_any_flush_lose_nothing_and_double_no_id(tmp_path, fails_at):
    with serving(Desk(7)) as vendor:
        bench = bench_at(vendor, tmp_path)
        flushes = 0
        flush = bench.sink.flush

        def failing():
            nonlocal flushes
            flushes += 1
            if flushes == fails_at + 1:
                bench.sink.away = 1
            flush()

        bench.sink.flush = failing
        for _ in range(2):
            try:
                bench.poll(anew=True)
            except ServiceUnavailable:
                continue
    assert {e["data"]["number"] for e in bench.sink.events} == {f"T{n:04}" for n in range(7)}
    assert len({e["id"] for e in bench.sink.events}) == 7


def test_records_that_are_no_events_become_dead_letters_and_the_others_go_on(tmp_path):
    desk = Desk(3)
    desk.tickets["T0001"]["state"] = "weird"
    desk.tickets["T0002"]["updated"] = "2026-11-26T00:02:00Z"
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path)
        assert numbers(bench.poll()) == ["T0000", "T0002"]
    (letter,) = bench.sink.letters
    assert letter["reason"] == "unmappable-row"
    assert letter["detail"] == "desk/ours/tickets: state is 'weird'; the mapping knows: done, open, working"
    assert bench.counted("refused_records_total") == 1


def test_an_organisation_adds_its_own_values_to_a_map(tmp_path):
    desk = Desk(1)
    desk.tickets["T0000"]["state"] = "weird"
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, values={"tickets": {"state": {"weird": "on_hold"}}})
        assert [e["data"]["state"] for e in bench.poll()] == ["on_hold"]


def test_an_earlier_since_reads_again_what_counts_by_its_last_state(tmp_path):
    with serving(Desk(5)) as vendor:
        bench = bench_at(vendor, tmp_path, since="2026-11-26T00:03:00Z")
        assert len(bench.poll()) == 2
        assert len(bench.poll(anew=True, since=datetime(2026, 11, 26, tzinfo=UTC))) == 5


def test_an_earlier_since_is_refused_where_events_add_up(tmp_path):
    data = {"user": "id"}
    views = {"service": {"const": "shop"}, "events": [{"type": "page.viewed", "time": "updated", "data": data}]}
    with serving(Desk(5)) as vendor:
        bench = bench_at(vendor, tmp_path, declared(mapping=views), since="2026-11-26T00:03:00Z")
        bench.poll()
        with pytest.raises(ConfigError, match="would count them twice; read the earlier time under another name"):
            bench.poll(anew=True, since=datetime(2026, 11, 26, tzinfo=UTC))


def test_services_that_are_not_named_are_listed(tmp_path):
    desk = Desk(2)
    desk.tickets["T0001"]["service"] = "svc-2"
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, services={"svc-1": "shop"}, other_service="desk")
        assert [e["subject"] for e in bench.poll()] == ["shop", "desk"]
        assert bench.readers["tickets"].mapper.unnamed == {"svc-2": 1}


def test_a_stream_speaks_for_the_services_it_saw(tmp_path):
    desk = Desk(2)
    desk.tickets["T0001"]["service"] = "svc-2"
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(covers="seen"))
        bench.poll()
    assert [p["services"] for p in bench.sink.polled] == [["svc-1"], ["svc-2"]]
    assert datetime.fromisoformat(bench.sink.polled[0]["to"]) < NOW


def test_a_record_whose_time_is_none_does_not_end_the_reading(tmp_path):
    desk = Desk(3)
    desk.tickets["T0001"]["opened"] = "soon"
    newest = {"request": {"path": "/newest"}, "cursor": {"kind": "window", "newest_first": "opened"}}
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(**newest))
        assert sorted(numbers(bench.poll())) == ["T0000", "T0002"]
    assert "opened is 'soon'" in bench.sink.letters[0]["detail"]


class Away:
    """A Kafka that is away for the first cursors read; reads what a sink in memory kept."""

    def __init__(self, sink, failures):
        self.sink, self.failures = sink, failures

    def __call__(self, _bootstrap, _settings):
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailable("away")
        return dict(self.sink.cursors)


def test_a_backfill_whose_first_poll_fails_begins_again_where_it_was_told_to(tmp_path, monkeypatch):
    with serving(Desk(5)) as vendor:
        bench = bench_at(vendor, tmp_path, since="2026-11-26T00:03:00Z")
        bench.poll()
        monkeypatch.setattr(run, "read_cursors", Away(bench.sink, 2))
        runner = closed_later(run.Runner(
            bench.connector, bench.sink, "", {}, bench.stats, threading.Event(), bench.said.append,
            datetime(2026, 11, 26, tzinfo=UTC), clock=lambda: NOW,
        ))  # fmt: skip
        with pytest.raises(ServiceUnavailable):
            runner.once()
        before = len(bench.sink.events)
        runner.once()
        assert len(bench.sink.events) - before == 5
        runner.once()
        assert len(bench.sink.events) - before == 5
        runner.client.close()
