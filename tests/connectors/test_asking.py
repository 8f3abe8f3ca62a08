"""How a source is asked where one request is not enough: pages in bodies, parents, exports, forms of answers."""

from __future__ import annotations

import pytest

from connectors.engine.bodies import decoded
from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors import desk
from tests.connectors.desk import DECLARATION, declared, numbers
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving

pytestmark = pytest.mark.usefixtures("quick")

TICKETS = [
    {"id": f"T{n}", "service": "shop", "state": "open", "opened": "2026-11-26T10:00:00Z", "updated": f"2026-11-26T11:0{n}:00Z"}
    for n in range(5)
]  # fmt: skip


def bench_at(vendor, tmp_path, **stream):
    return desk.bench_at(vendor, tmp_path, declared(**stream), since="2026-11-26T11:00:00Z")


def test_pages_of_a_graph_are_asked_for_within_the_body(tmp_path):
    def answer(asked):
        at = int(asked.body["variables"].get("after") or 0)
        assert asked.body["variables"] == {"since": "2026-11-26T11:00:00Z", "first": 2} | (
            {"after": str(at)} if at else {}
        )
        page = {"nodes": TICKETS[at : at + 2], "pageInfo": {"hasNextPage": at + 2 < 5, "endCursor": str(at + 2)}}
        return Says({"data": {"tickets": page}})

    request = {"path": "/graph", "method": "POST", "body": {"query": "{ tickets }", "variables": {"since": "{since}"}}}
    info = "data.tickets.pageInfo"
    paginator = {"kind": "token", "path": f"{info}.endCursor", "more": f"{info}.hasNextPage", "token": "variables.after", "limit": "variables.first", "size": 2}  # fmt: skip
    with serving(answer) as vendor:
        events = bench_at(vendor, tmp_path, request=request, records="data.tickets.nodes", paginator=paginator).poll()
        assert len(vendor.asked) == 3
    assert numbers(events) == ["T0", "T1", "T2", "T3", "T4"]


def test_pages_go_on_after_the_sort_of_the_last_record(tmp_path):
    def answer(asked):
        after = asked.body.get("search_after", [-1, ""])
        hits = [{"_source": t, "sort": [n, t["id"]]} for n, t in enumerate(TICKETS)]
        return Says({"hits": {"hits": [h for h in hits if h["sort"] > after][:2]}})

    request = {"path": "/alerts/_search", "method": "POST", "body": {"sort": ["at", "id"]}}
    mapping = DECLARATION["streams"][0]["mapping"]
    (event,) = mapping["events"]
    data = {
        "number": "_source.id", "state": {"const": "new"},
        "opened_at": {"column": "_source.opened", "as": "time"}, "updated_at": {"column": "_source.updated", "as": "time"},
    }  # fmt: skip
    mapping = {"service": "_source.service", "events": [{**event, "time": "_source.updated", "data": data}]}
    with serving(answer) as vendor:
        bench = bench_at(
            vendor, tmp_path, request=request, records="hits.hits", id=["_source.id"], version=["_source.updated"], mapping=mapping,
            paginator={"kind": "last", "path": "sort", "token": "search_after", "limit": "size", "size": 2},
        )  # fmt: skip
        assert numbers(bench.poll()) == ["T0", "T1", "T2", "T3", "T4"]
        assert len(vendor.asked) == 4


def test_records_are_asked_for_parent_by_parent(tmp_path):
    def answer(asked):
        if asked.path == "/desks":
            return Says({"desks": [{"key": "a", "name": "First"}, {"key": "b", "name": "Second"}, {"key": "old", "name": "x", "closed": True}]})  # fmt: skip
        at = int(asked.query["offset"])
        return Says({"tickets": [t for t in TICKETS if int(t["id"][1]) % 2 == "ab".index(asked.path[-1])][at : at + 3]})

    parents = {"request": {"path": "/desks"}, "records": "desks", "only": [{"column": "closed", "present": False}]}
    mapping = {**DECLARATION["streams"][0]["mapping"], "service": {"column": "parent.name"}}
    request = {"path": "/tickets/{parent:key}", "query": {"from": "{since}"}}
    with serving(answer) as vendor:
        bench = bench_at(vendor, tmp_path, parents=parents, request=request, mapping=mapping)
        events = bench.poll()
        assert {a.query["from"] for a in vendor.asked if a.path != "/desks"} == {"2026-11-26T11:00:00Z"}
        bench.later(hours=1)
        bench.poll()
        assert [a.path for a in vendor.asked].count("/desks") == 2
    assert {e["data"]["number"]: e["subject"] for e in events} == {
        "T0": "First", "T2": "First", "T4": "First", "T1": "Second", "T3": "Second",
    }  # fmt: skip


def job(**more):
    return {
        "start": {"path": "/exports", "method": "POST", "body": {"from": "{since}"}}, "id": "result.progressId",
        "status": {"path": "/exports/{job}"}, "done": [{"column": "result.status", "in": ["complete"]}],
        "failed": [{"column": "result.status", "in": ["failed"]}], "give": {"file": "result.fileId"}, "every_s": 3, **more,
    }  # fmt: skip


class Export:
    def __init__(self, *states):
        self.states = list(states)

    def __call__(self, asked):
        if asked.path == "/exports":
            assert asked.body == {"from": "2026-11-26T11:00:00Z"}
            return Says({"result": {"progressId": "ES_1"}})
        if asked.path == "/exports/ES_1":
            state = self.states.pop(0) if self.states else "inProgress"
            return Says({"result": {"status": state} | ({"fileId": "F-9"} if state == "complete" else {})})
        assert asked.path == "/exports/F-9/file"
        header = "id,service,state,opened,updated,resolved,priority\r\n"
        lines = "".join(f'{t["id"]},"{t["service"]}",open,{t["opened"]},{t["updated"]},,\r\n' for t in TICKETS)
        return Says(raw=("\ufeff" + header + lines).encode())


EXPORTED = {"request": {"path": "/exports/{file}/file", "answers": "csv"}, "records": "", "paginator": {"kind": "none"}}


def test_an_export_is_started_waited_for_and_fetched(tmp_path):
    with serving(Export("inProgress", "inProgress", "complete")) as vendor:
        bench = bench_at(vendor, tmp_path, job=job(), **EXPORTED)
        assert numbers(bench.poll()) == ["T0", "T1", "T2", "T3", "T4"]
    assert bench.waits == [3.0, 3.0]


@pytest.mark.parametrize(
    ("states", "most_s", "said"),
    [(["failed"], 60, r"/exports/ES_1: the export failed; it is started again"), ([], 0, "is not there after 0 s")],
)
def test_an_export_that_does_not_come_is_told_and_no_cursor_moves(tmp_path, states, most_s, said):
    with serving(Export(*states)) as vendor:
        bench = bench_at(vendor, tmp_path, job=job(most_s=most_s), **EXPORTED)
        with pytest.raises(ServiceUnavailable, match=said):
            bench.poll()
    assert not bench.sink.cursors


def test_what_belongs_to_a_record_may_have_pages(tmp_path):
    def answer(asked):
        if asked.path == "/tickets":
            return Says({"tickets": TICKETS[:1] if asked.query["offset"] == "0" else []})
        return Says({"steps": [{"state": "done"}] if asked.query["page"] == "2" else [{"state": "open"}], "pages": 2})

    also = {"steps": {"request": {"path": "/tickets/{record:id}/steps"}, "records": "steps", "paginator": {"kind": "page", "pages": "pages"}}}  # fmt: skip
    mapping = DECLARATION["streams"][0]["mapping"]
    (event,) = mapping["events"]
    mapping = {**mapping, "events": [{**event, "data": {**event["data"], "original_state": "steps.1.state"}}]}
    with serving(answer) as vendor:
        (event,) = bench_at(vendor, tmp_path, also=also, mapping=mapping).poll()
    assert event["data"]["original_state"] == "done"


def test_a_form_is_sent_as_one_and_takes_the_page(tmp_path):
    with serving(lambda _asked: Says({"tickets": []})) as vendor:
        bench_at(vendor, tmp_path, request={"path": "/t", "method": "POST", "form": {"from": "{since}"}}).poll()
        assert vendor.asked[0].body == {"from": "2026-11-26T11:00:00Z", "limit": "3", "offset": "0"}


def test_what_the_source_makes_at_once_is_read_and_then_forgotten_there_whatever_it_says_to_that(tmp_path):
    asked = []

    def answer(each):
        asked.append((each.method, each.path, each.body))
        if each.path == "/pit":
            return Says({"id": "p1"}) if each.method == "POST" else Says({"error": "gone"}, 404)
        after = (each.body or {}).get("after")
        return Says({"tickets": [] if after else [{"n": 1, "id": "T"}], "pit_id": "p2"})

    job = {
        "start": {"path": "/pit", "method": "POST"},
        "id": "id",
        "end": {"path": "/pit", "method": "DELETE", "body": {"id": "{job}"}},
    }
    request = {"path": "/search", "method": "POST", "body": {"pit": {"id": "{job}"}}}
    paginator = {"kind": "last", "path": "n", "token": "after", "carries": {"pit.id": "pit_id"}}
    with serving(answer) as vendor:
        bench = bench_at(vendor, tmp_path, job=job, request=request, paginator=paginator)
        bench.poll()
    assert asked == [
        ("POST", "/pit", None), ("POST", "/search", {"pit": {"id": "p1"}}),
        ("POST", "/search", {"pit": {"id": "p2"}, "after": 1}), ("DELETE", "/pit", {"id": "p1"}),
    ]  # fmt: skip
    assert len(bench.sink.letters) == 1
    assert bench.sink.polled[0]["complete"]


def test_an_answer_may_lack_its_records_where_that_is_declared(tmp_path):
    with serving(lambda _asked: Says({"rowCount": 0})) as vendor:
        assert bench_at(vendor, tmp_path, omits_empty=True).poll() == []
        with pytest.raises(SourceRefused, match="the answer has no 'tickets'"):
            bench_at(vendor, tmp_path).poll()


@pytest.mark.parametrize(
    ("form", "raw", "found"),
    [
        ("ndjson", b'{"a":1}\n\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        ("ndjson", b"", []),
        ("csv", b'a,b\r\n1,"x, ""y""\nz"\r\n', [{"a": "1", "b": 'x, "y"\nz'}]),
        ("metrics", b'# TYPE up gauge\nup{n="a\\"b"} 1\nup{n="c"} 0\n', [
            {"name": "up", "labels": {"n": 'a"b'}, "value": 1.0}, {"name": "up", "labels": {"n": "c"}, "value": 0.0}]),
        ("xml", b'<R xmlns="urn:x"><A><member><Id>1</Id></member></A><B/><C>x</C><C>y</C></R>',
         {"R": {"A": [{"Id": "1"}], "B": "", "C": ["x", "y"]}}),
        ("json", b"", None),
    ],
)  # fmt: skip
def test_bodies_are_read_in_every_form(form, raw, found):
    assert decoded(raw, form) == found


@pytest.mark.parametrize(
    ("form", "raw", "said"),
    [
        ("ndjson", b'{"a":1}\n{"a"', "JSON by lines"), ("csv", b"a,b\r\n1\r\n", "record 1 has more or fewer fields"),
        ("csv", b'a,b\r\n1,"x', "unexpected end of data"), ("metrics", b"up{ 1\n", "Prometheus text"), ("xml", b"<a><b></a>", "mismatched tag"),
        ("json", b"\xff", "JSON"),
    ],
)  # fmt: skip
def test_a_broken_body_is_told_in_its_form(tmp_path, form, raw, said):
    with serving(lambda _asked: Says(raw=raw)) as vendor:
        bench = bench_at(vendor, tmp_path, request={"path": "/t", "answers": form}, records="")
        with pytest.raises(ServiceUnavailable, match=said):
            bench.poll()
    assert not bench.sink.cursors


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ({"request": {"path": "/t/{parent:key}"}}, "request: there is nothing for {parent:key}"),
        ({"request": {"path": "/t", "form": {"a": "{b}"}}}, "request: there is nothing for {b}"),
        ({"job": job(status={"path": "/x/{file}"})}, r"job\.status: there is nothing for {file}"),
        ({"also": {"a": {"request": {"path": "/x/{time}"}}}}, r"also\.a: there is nothing for {time}"),
        ({"parents": {"request": {"path": "/p"}}, "cursor": {"kind": "keyset", "time": "updated", "id": "id"}}, "parents: each would need a place"),
    ],
)  # fmt: skip
def test_a_place_that_nothing_fills_is_told(tmp_path, stream, said):
    with pytest.raises(ConfigError, match=said):
        on_bench(tmp_path, declared(**stream), options={"address": "https://x"}, auth={"token": {"env": "DESK_TOKEN"}})
