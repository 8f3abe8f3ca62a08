"""Connectors with code of their own, sources that forget, refusals with status 200, further requests that find nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.errors import ConfigError, SourceRefused
from tests.connectors.desk import Desk, declared
from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Says, serving


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """Return what puts a declared desk on a bench."""
    monkeypatch.setenv("DESK_TOKEN", "s3cret-token")

    def put(vendor, declaration=None, **entry):
        return on_bench(
            tmp_path, declaration or declared(), options={"address": vendor.address}, auth={"token": {"env": "DESK_TOKEN"}}, **entry,
        )  # fmt: skip

    return put


def test_code_belongs_to_shipped_connectors_only(desk):
    with serving(Desk()) as vendor, pytest.raises(ConfigError, match=r"there is no connectors/desk/stacks\.py"):
        desk(vendor, declared(shape="stacks"))
    with serving(Desk()) as vendor, pytest.raises(ConfigError, match=r"there is no connectors/kubernetes/run\.py"):
        desk(vendor, {**declared(shape="run"), "name": "kubernetes"})


def test_records_that_are_not_as_documented_are_told_and_nothing_moves(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "t")
    odd = {
        "metadata": {"uid": "u"}, "involvedObject": {"name": "a"}, "reason": "SuccessfulRescale", "message": "New size: 3",
        "lastTimestamp": "yesterday",
    }  # fmt: skip
    with serving(lambda asked: Says({"items": [odd]}) if asked.path.endswith("/events") else Says({}, 404)) as vendor:
        bench = on_bench(
            tmp_path, "kubernetes", options={"address": vendor.address, "namespaces": ["pay"]}, auth={"token": {"env": "TOKEN"}},
        )  # fmt: skip
        with pytest.raises(
            SourceRefused, match=r"rescales/pay: the records are not as the source documents them: .*yesterday"
        ):
            bench.poll()
    assert not bench.sink.cursors


@pytest.mark.parametrize(
    ("stream", "series"),
    [
        ("checks", {"metric": ["probe_success"], "values": [[1, "1"]]}),
        ("checks", {"metric": {}, "values": "1"}),
        ("requests", {"metric": {"le": "1", "code": 200}, "values": [[1, "5"]]}),
    ],
)
def test_series_that_are_none_are_told_too(tmp_path, stream, series):
    with serving(lambda _: Says({"status": "success", "data": {"result": [series]}})) as vendor:
        bench = on_bench(
            tmp_path, "prometheus", options={"address": vendor.address}, auth={"use": "none"}, streams=[stream]
        )
        with pytest.raises(SourceRefused, match=r"the records are not as the source documents them"):
            bench.poll()
    assert all(cursor.endswith("|turn") for cursor in bench.sink.cursors)  # what was begun, not how far


def test_what_a_source_has_forgotten_counts_as_not_covered(desk):
    with serving(Desk(8)) as vendor:
        bench = desk(vendor, declared(cursor={"kind": "window", "keeps_s": 86_400}), since="2026-11-20T00:00:00Z")
        bench.poll()
        assert [(p["from"], p["to"], p["complete"]) for p in bench.sink.polled] == [
            ("2026-11-20T00:00:00Z", "2026-11-25T12:00:00Z", False),
            ("2026-11-25T12:00:00Z", "2026-11-26T11:59:00Z", True),
        ]
        assert vendor.asked[0].query["from"] == "2026-11-25T12:00:00Z"
        bench.later(minutes=5)
        bench.poll()
    assert len(bench.said) == 1
    assert "2026-11-20 00:00:00 to 2026-11-25 12:00:00 UTC counts as not covered" in bench.said[0]


def test_a_look_that_comes_too_late_has_missed_what_was_shown_before(desk):
    cursor = {"kind": "snapshot", "keeps_s": 3600}
    paginator, request = (
        {"kind": "none"},
        {"path": "/tickets", "query": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}},
    )
    with serving(Desk(1)) as vendor:
        bench = desk(vendor, declared(cursor=cursor, paginator=paginator, request=request))
        bench.poll()
        bench.later(minutes=30)
        bench.poll()
        bench.later(hours=3)
        bench.poll()
    assert [(p["to"], p["complete"]) for p in bench.sink.polled] == [
        ("2026-11-26T12:30:00Z", True), ("2026-11-26T14:30:00Z", False), ("2026-11-26T15:30:00Z", True),
    ]  # fmt: skip


def test_a_refusal_with_status_200_is_told_without_the_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cret-token")

    def answer(asked):
        assert "token_auth" not in asked.query
        return Says(
            {"result": "error", "message": f"You can't access this resource (token {asked.body['token_auth']})."}
        )

    with serving(answer) as vendor:
        bench = on_bench(
            tmp_path, "matomo", options={"address": vendor.address, "sites": ["1"]}, auth={"token": {"env": "TOKEN"}},
        )  # fmt: skip
        with pytest.raises(SourceRefused, match="answers 200 as a refusal: You can't access this resource") as caught:
            bench.poll()
    assert "s3cret" not in str(caught.value)
    assert not bench.sink.cursors


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("path", ["/tickets/{record:other}", "/tickets/{record:parent}"])
def test_further_requests_that_find_nothing(desk, optional, path):
    """A ticket names another one that is gone, and none as its parent."""
    tickets = Desk()
    tickets.put("T1", "2026-11-26T09:00:00Z", other="T9")
    also = {"more": {"request": {"path": path}, "optional": optional}}
    with serving(tickets) as vendor:
        bench = desk(vendor, declared(also=also), since=datetime(2026, 11, 26, tzinfo=UTC).isoformat())
        if optional:
            assert len(bench.poll()) == 1
        else:
            with pytest.raises(SourceRefused, match="answers 404"):
                bench.poll()
        asked = [a.path for a in vendor.asked if a.path.startswith("/tickets/")]
    assert asked == ([] if optional and "parent" in path else ["/tickets/" + ("T9" if "other" in path else "None")])
