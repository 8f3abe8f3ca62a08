"""Every record once, in whatever way a source pages, orders, cuts off and moves what it gives."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipeline.errors import SourceRefused
from tests.connectors.desk import Desk, bench_at, declared, numbers
from tests.connectors.vendor import Says, serving

pytestmark = pytest.mark.usefixtures("quick")

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


@pytest.mark.parametrize("paginator", [{"kind": "offset", "total": "total"}, {"kind": "page", "pages": "total"}])
def test_a_number_of_pages_that_is_none_is_told(tmp_path, paginator):
    with serving(lambda _asked: Says({"tickets": [{}], "total": "many"})) as vendor:
        bench = bench_at(vendor, tmp_path, declared(paginator=paginator))
        with pytest.raises(SourceRefused, match="/tickets: 'total' is 'many', which is no number"):
            bench.poll()


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
