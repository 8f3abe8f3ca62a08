"""Sources that answer with rows of values, and those that page by their last record."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from connectors.engine.load import shipped
from connectors.engine.trial import trials
from pipeline.errors import SourceRefused
from tests.connectors.desk import Desk, declared
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Asked, Says, serving

COLUMNS = ["uuid", "timestamp", "visitor", "visit", "pathname", "service"]


class Views:
    """A PostHog that took in a view every ten seconds, and gives at most ``limit`` of a question."""

    def __init__(self, number: int, limit: int) -> None:
        self.limit = limit
        begin = int(datetime(2026, 11, 26, 11, tzinfo=UTC).timestamp())
        self.taken = [begin + 10 * i for i in range(number)]
        self.questions = 0

    def __call__(self, asked: Asked) -> Says:
        self.questions += 1
        query = asked.body["query"]["query"]
        since, until = (
            datetime.fromisoformat(f"{t}Z").timestamp()
            for t in re.findall(r"created_at .. ?toDateTime\('([^']*)'", query)
        )
        found = [t for t in self.taken if since <= t < until][: self.limit]
        rows = [[str(t), f"{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%SZ}", "v", None, "/", "web"] for t in found]
        return Says({"columns": COLUMNS, "results": rows})


def posthog(tmp_path, monkeypatch, address, rows=None):
    monkeypatch.setenv("POSTHOG_KEY", "key")
    text = shipped()["posthog"].read_text()
    if rows:
        text = text.replace("rows: 10000", f"rows: {rows}")
    (tmp_path / "posthog.yaml").write_text(text)
    return on_bench(
        tmp_path, "posthog.yaml", options={"address": address, "project": "1"}, auth={"token": {"env": "POSTHOG_KEY"}},
        streams=["views"], since="2026-11-26T11:00:00Z",
    )  # fmt: skip


def test_a_question_with_more_rows_than_it_brings_is_halved(tmp_path, monkeypatch):
    views = Views(40, limit=8)
    with serving(views) as vendor:
        bench = posthog(tmp_path, monkeypatch, vendor.address, rows=8)
        events = bench.poll()
    assert len({e["id"] for e in events}) == len(bench.sink.events) == 40
    assert not bench.said
    assert all(p["complete"] for p in bench.sink.polled)


def test_of_a_second_with_too_many_rows_the_rest_is_told(tmp_path, monkeypatch):
    views = Views(3, limit=2)
    views.taken = [views.taken[0]] * 3
    with serving(views) as vendor:
        bench = posthog(tmp_path, monkeypatch, vendor.address, rows=2)
        bench.poll()
    assert any("hides 1 or more records" in said for said in bench.said)
    assert not all(p["complete"] for p in bench.sink.polled)


def test_an_answer_without_names_of_columns_is_told(tmp_path, monkeypatch):
    with serving(lambda _: Says({"results": [["a"]], "error": None})) as vendor:
        bench = posthog(tmp_path, monkeypatch, vendor.address)
        with pytest.raises(SourceRefused, match="no list 'columns' that names the columns"):
            bench.poll()


class AfterLast(Desk):
    """A desk that pages by the last ticket's id."""

    def __call__(self, asked: Asked) -> Says:
        found = self.between(asked.query["from"], asked.query["to"])
        later = [t for t in found if t["id"] > asked.query.get("after", "")]
        return Says({"tickets": later[: int(asked.query["most"])]})


def by_last(tmp_path, vendor):
    paginator = {"kind": "last", "path": "id", "token": "after", "limit": "most", "size": 3}
    return on_bench(
        tmp_path, declared(paginator=paginator), options={"address": vendor.address}, auth={"token": {"file": str(tmp_path / "token")}},
        since="2026-11-26T00:00:00Z",
    )  # fmt: skip


def test_the_next_page_begins_after_the_last_record(tmp_path):
    (tmp_path / "token").write_text("t")
    with serving(AfterLast(8)) as vendor:
        assert len(by_last(tmp_path, vendor).poll()) == 8
        assert [a.query.get("after") for a in vendor.asked] == [None, "T0002", "T0005", "T0007"]


def test_a_last_record_without_the_column_is_told(tmp_path):
    (tmp_path / "token").write_text("t")
    with serving(lambda _: Says({"tickets": [{"updated": "2026-11-26T01:00:00Z"}]})) as vendor:
        bench = by_last(tmp_path, vendor)
        with pytest.raises(SourceRefused, match="the last record has no 'id' to ask for the next page by"):
            bench.poll()


def test_answers_of_one_person_to_one_survey_share_a_partition(tmp_path, monkeypatch):
    monkeypatch.setenv("TYPEFORM_TOKEN", "token")
    field = {"field": {"id": "N", "ref": "n", "type": "nps"}, "number": 9}
    items = [
        {"token": f"tok{i}", "submitted_at": "2026-11-26T09:00:00Z", "hidden": hidden, "answers": [field]}
        for i, hidden in enumerate([{"respondent": "p"}, {"respondent": "p", "service": "other"}, {}, {}])
    ]
    with serving(lambda asked: Says({"items": [] if "before" in asked.query else items})) as vendor:
        bench = on_bench(
            tmp_path, "typeform", options={"address": vendor.address, "forms": ["F"]},
            auth={"token": {"env": "TYPEFORM_TOKEN"}}, since="2026-11-26T08:00:00Z",
        )  # fmt: skip
        bench.poll()
    keys = [
        key
        for (_, key), event in zip(bench.sink.keys, bench.sink.stored, strict=True)
        if event["type"] == "survey.answered"
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_an_array_that_is_left_out_holds_nothing_where_the_source_omits_empty_ones(tmp_path):
    (tmp_path / "token").write_text("t")
    with serving(lambda _: Says({"took": 3})) as vendor:
        options = {"options": {"address": vendor.address}, "auth": {"token": {"file": str(tmp_path / "token")}}}
        with pytest.raises(SourceRefused, match="has no 'tickets' to hold the records; it has: took"):
            on_bench(tmp_path, declared(paginator={"kind": "none"}), **options).poll()
        bench = on_bench(tmp_path, declared(paginator={"kind": "none"}, omits_empty=True), **options)
        assert bench.poll() == []
        assert bench.sink.polled[0]["complete"]


def test_a_path_at_which_nothing_is_ever_found_is_told_by_a_trial_and_after_twenty_answers(tmp_path):
    (tmp_path / "token").write_text("t")
    ticket = {
        "id": "T1",
        "updated": "2026-11-26T11:30:00Z",
        "opened": "2026-11-26T11:30:00Z",
        "state": "open",
        "service": "s",
    }
    with serving(lambda _: Says({"tickets": [ticket], "took": 3})) as vendor:
        options = {"options": {"address": vendor.address}, "auth": {"token": {"file": str(tmp_path / "token")}}}
        bench = on_bench(tmp_path, declared(paginator={"kind": "none"}, omits_empty=True, records="tikets"), **options)
        (trial,) = trials(bench.connector, bench.waits.append)
        assert trial.nothing_at == ("tikets", "tickets, took")
        for _ in range(25):
            bench.poll()
            bench.later(minutes=1)
        assert [s for s in bench.said if "at 'tikets'" in s] == [
            "desk/ours/tickets: 20 answers had nothing at 'tikets', and no other was seen; they have: tickets, took; if there should be "
            "records, correct the path 'records' of the declaration"
        ]
        assert bench.counted("answers_without_records") == 25
        right = on_bench(tmp_path, declared(paginator={"kind": "none"}, omits_empty=True), **options)
        assert len(right.poll()) == 1
        vendor.always = Says({"took": 3})
        for _ in range(25):
            right.later(minutes=1)
            right.poll()
        assert right.counted("answers_without_records") == 0  # the path is right: nothing is nothing
        assert not right.said


def test_where_an_answer_doubts_itself_the_time_is_not_covered_and_that_is_told_once(tmp_path):
    (tmp_path / "token").write_text("t")
    doubts = {"meta.sampled": "figures are from a sample", "meta.cut": "figures are cut"}
    meta = {"sampled": [1], "cut": False}
    with serving(lambda _: Says({"tickets": [], "meta": meta})) as vendor:
        bench = on_bench(
            tmp_path, declared(paginator={"kind": "none"}, doubts=doubts), options={"address": vendor.address},
            auth={"token": {"file": str(tmp_path / "token")}}, since="2026-11-26T00:00:00Z",
        )  # fmt: skip
        bench.poll()
        bench.later(minutes=5)
        bench.poll()
        meta["sampled"] = []
        bench.later(minutes=5)
        bench.poll()
    assert [p["complete"] for p in bench.sink.polled] == [False, False, True]
    assert bench.said == [
        "desk/ours/tickets: figures are from a sample; 2026-11-26 00:00:00 to 2026-11-26 11:59:00 UTC counts as not covered, and so on while it lasts"
    ]
