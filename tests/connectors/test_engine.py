"""The engine against a desk that pages, fails, changes and hides."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import stamina

from connectors.engine import run
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors.desk import DECLARATION, MAPPING, Desk, declared
from tests.connectors.pulling import NOW, closed_later, on_bench
from tests.connectors.vendor import Says, serving

ENTRY: dict[str, Any] = {"auth": {"token": {"env": "DESK_TOKEN"}}, "since": "2026-11-26"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Retries do not wait, and the token is there."""
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


def bench_at(vendor, tmp_path, declaration=DECLARATION, **entry):
    return on_bench(tmp_path, declaration, options={"address": vendor.address}, **{**ENTRY, **entry})


def numbers(events):
    return [e["data"]["number"] for e in events]


PAGES = {
    "offset until a page is empty": {"kind": "offset", "size": 3},
    "offset with a total": {"kind": "offset", "size": 3, "total": "total"},
    "offset with a flag": {"kind": "offset", "size": 3, "more": "more"},
    "page number": {"kind": "page", "size": 3},
    "link header": {"kind": "link", "size": 3},
    "next address in the body": {"kind": "next", "path": "next", "limit": "limit", "size": 3},
    "token in the body": {"kind": "token", "path": "token", "token": "token", "limit": "limit", "size": 3},
    "none": {"kind": "none"},
}


@pytest.mark.parametrize("paginator", PAGES.values(), ids=PAGES)
def test_every_way_of_paging_brings_every_record_once(tmp_path, paginator):
    with serving(Desk(10)) as vendor:
        bench = bench_at(vendor, tmp_path, declared(paginator=paginator))
        assert numbers(bench.poll()) == [f"T{n:04}" for n in range(10)]
        twice = paginator["kind"] in {"offset", "page", "link"}  # to see that nothing moved meanwhile
        pages = pytest.approx(8 if twice else 4, abs=2 if twice else 1)
        assert len(vendor.asked) == (1 if paginator["kind"] == "none" else pages)


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


def test_ties_are_read_by_keyset_though_a_page_ends_among_them(tmp_path):
    desk = Desk()
    for n in range(8):
        desk.put(f"T{n}", "2026-11-26T09:30:00Z")
    keyset = {
        "request": {"path": "/after", "query": {"time": "{time}", "id": "{id}", "to": "{until}", "limit": "3"}},
        "paginator": {"kind": "none"}, "cursor": {"kind": "keyset", "time": "updated", "id": "id"},
    }  # fmt: skip
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(**keyset))
        assert numbers(bench.poll()) == [f"T{n}" for n in range(8)]
        assert bench.sink.cursors["desk/ours/tickets"]["id"] == "T7"
        desk.put("T3", "2026-11-26T12:30:00Z")
        bench.later(hours=1)
        assert numbers(bench.poll(anew=True)) == ["T3"]
        assert bench.poll(anew=True) == []


def test_a_source_that_drops_the_condition_is_found_out(tmp_path):
    keyset = {
        "request": {"path": "/tickets", "query": {"from": "2026-01-01T00:00:00Z", "to": "{until}"}},
        "cursor": {"kind": "keyset", "time": "updated", "id": "id"}, "paginator": {"kind": "none"},
    }  # fmt: skip
    desk = Desk()
    desk.put("T1", "2026-02-01T00:00:00Z")
    with serving(desk) as vendor, pytest.raises(SourceRefused, match="did not understand the question"):
        bench_at(vendor, tmp_path, declared(**keyset)).poll()


@pytest.mark.parametrize("refuses", [True, False])
def test_a_cut_off_answer_narrows_the_window_until_everything_is_read(tmp_path, refuses):
    cut = {"kind": "window", "too_many": {"status": 400, "says": "too many"} if refuses else {"rows": 20}}
    with serving(Desk(200, limit=20, refuses=refuses)) as vendor:
        bench = bench_at(vendor, tmp_path, declared(cursor=cut))
        assert {e["data"]["number"] for e in bench.poll()} == {f"T{n:04}" for n in range(200)}
    assert len({e["id"] for e in bench.sink.events}) == len(bench.sink.events) == 200
    assert all(p["complete"] for p in bench.sink.polled)
    assert not bench.said


def test_what_no_narrowing_reaches_is_told_and_counts_as_not_covered(tmp_path):
    desk = Desk(limit=5)
    for n in range(9):
        desk.put(f"T{n}", "2026-11-26T09:30:00Z")
    cut = {"kind": "window", "too_many": {"rows": 5}, "narrowest_s": 60}
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(cursor=cut))
        assert len(bench.poll()) == 5
    hidden = [p for p in bench.sink.polled if not p["complete"]]
    assert hidden
    assert all(p["truncated"] >= 1 for p in hidden)
    assert (
        sum((datetime.fromisoformat(p["to"]) - datetime.fromisoformat(p["from"])).total_seconds() for p in hidden)
        <= 120
    )
    assert "a limit of the source hides" in bench.said[0]
    assert bench.counted("truncated_records_total") >= 1


def test_the_newest_come_first_where_a_source_has_no_filter_by_time(tmp_path):
    desk = Desk(300)
    newest = {
        "request": {"path": "/newest"}, "cursor": {"kind": "window", "newest_first": "opened"},
        "paginator": {"kind": "page", "size": 10},
    }  # fmt: skip
    with serving(desk) as vendor:
        bench = bench_at(vendor, tmp_path, declared(**newest), since="2026-11-26T04:30:00Z")
        assert len(bench.poll()) == 30
        assert len(vendor.asked) == 4


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


def test_a_page_elsewhere_is_not_followed_with_our_credentials(tmp_path):
    def answer(_asked):
        return Says({"tickets": [], "next": "http://127.0.0.2:1/steal"})

    with serving(answer) as vendor, pytest.raises(SourceRefused, match="it is not followed there"):
        bench_at(vendor, tmp_path, declared(paginator={"kind": "next", "path": "next"})).poll()


def test_pages_in_a_circle_are_found_out(tmp_path):
    def answer(asked):
        return Says({"tickets": [], "next": "/tickets?x=1"})

    with serving(answer) as vendor, pytest.raises(SourceRefused, match="the same page as the next one"):
        bench_at(vendor, tmp_path, declared(paginator={"kind": "next", "path": "next"})).poll()


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


@pytest.mark.parametrize("paginator", [{"kind": "offset", "total": "total"}, {"kind": "page", "pages": "total"}])
def test_a_number_of_pages_that_is_none_is_told(tmp_path, paginator):
    with serving(lambda _asked: Says({"tickets": [{}], "total": "many"})) as vendor:
        bench = bench_at(vendor, tmp_path, declared(paginator=paginator))
        with pytest.raises(SourceRefused, match="/tickets: 'total' is 'many', which is no number"):
            bench.poll()


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


@pytest.mark.parametrize(
    "paginator", [{"kind": "offset", "size": 3}, {"kind": "page", "size": 3}, {"kind": "link", "size": 3}]
)
def test_a_record_that_leaves_the_window_between_two_pages_makes_no_other_one_slip_through(tmp_path, paginator):
    """The rows behind it move up by one: the first of the next page would be on the page that was read already."""
    desk = Desk(7)

    def answer(asked):
        says = desk(asked)
        if len(vendor.asked) == 1:
            desk.put("T0001", "2026-11-26T23:00:00Z")
        return says

    with serving(answer) as vendor:
        bench = bench_at(vendor, tmp_path, declared(paginator=paginator))
        assert set(numbers(bench.poll())) == {f"T{n:04}" for n in range(7)}
        assert len(bench.sink.events) == 7


def test_a_window_in_which_records_never_rest_is_narrowed_and_told(tmp_path):
    desk = Desk(7)

    def answer(asked):
        says = desk(asked)
        moved = len(vendor.asked) % 7
        desk.tickets[f"T{moved:04}"]["priority"] = len(vendor.asked) % 5 + 1
        return says

    with serving(answer) as vendor:
        bench = bench_at(vendor, tmp_path, declared(cursor={"kind": "window", "narrowest_s": 1800}))
        bench.poll()
    assert any("hides" in said for said in bench.said)
    assert not all(p["complete"] for p in bench.sink.polled)
