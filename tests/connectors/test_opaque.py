"""Sources that give a cursor of their own: it is kept with every page, followed over deaths, and begun anew where it is lost."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import ConfigError, ServiceUnavailable, SourceRefused
from tests.connectors import desk
from tests.connectors.desk import Desk, declared, numbers
from tests.connectors.vendor import Says, serving

pytestmark = pytest.mark.usefixtures("quick")

CURSOR: dict[str, Any] = {
    "kind": "opaque", "path": "after", "parameter": "cursor", "begin": {"from": "{since}"}, "last": "end", "limit": "limit",
    "size": 3, "lost": {"status": 400, "says": "unknown cursor"}, "again_s": 600, "lag_s": 60,
}  # fmt: skip
STREAM = {"cursor": CURSOR, "paginator": {"kind": "none"}, "request": {"path": "/export"}}


class Export:
    """An export of a desk's tickets by cursors that say nothing to anybody else; ``forgets`` those it gave before."""

    def __init__(self, number: int) -> None:
        self.desk, self.asked, self.forgets = Desk(number), [], False
        self._epoch = 0

    def forget(self) -> None:
        self._epoch += 1

    def __call__(self, asked) -> Says:
        self.asked.append(dict(asked.query))
        tickets = list(self.desk.tickets.values())
        start = 0
        if "cursor" in asked.query:
            epoch, _, at = asked.query["cursor"].partition("-")
            if int(epoch) != self._epoch:
                return Says({"error": "unknown cursor"}, 400)
            start = int(at)
        else:
            tickets_before = [t for t in tickets if t["updated"] < asked.query["from"]]
            start = len(tickets_before)
        page = tickets[start : start + 3]
        end = start + len(page) >= len(tickets)
        return Says({"tickets": page, "after": f"{self._epoch}-{start + len(page)}", "end": end})


@pytest.fixture
def export():
    found = Export(7)
    with serving(found) as vendor:
        found.address = vendor.address
        yield found


def bench_at(export, tmp_path, **more):
    return desk.bench_at(export, tmp_path, declared(**{**STREAM, **more}))


def test_the_next_poll_and_the_next_process_ask_on_from_the_cursor(export, tmp_path):
    bench = bench_at(export, tmp_path)
    assert numbers(bench.poll()) == [f"T{n:04}" for n in range(7)]
    assert [q.get("cursor") for q in export.asked] == [None, "0-3", "0-6"]
    assert export.asked[0] == {"from": "2026-11-26T00:00:00Z", "limit": "3"}
    assert export.asked[1] == {"cursor": "0-3", "limit": "3"}
    export.asked.clear()
    bench.later(minutes=1)
    assert bench.poll() == []
    export.desk.put("T0009", "2026-11-26T12:00:00Z")
    bench.later(minutes=1)
    assert numbers(bench.poll(anew=True)) == ["T0009"]
    assert [q.get("cursor") for q in export.asked] == ["0-7", "0-7"]
    assert [(p["from"], p["to"]) for p in bench.sink.polled][-1] == ("2026-11-26T12:00:00Z", "2026-11-26T12:01:00Z")


def test_brokers_that_go_between_pages_leave_the_cursor_at_the_last_delivered_one(export, tmp_path):
    asked, benches = [], []

    def away_after_the_second_page(each):
        asked.append(each)
        benches[0].sink.away = 1 if len(asked) == 2 else 0
        return export(each)

    with serving(away_after_the_second_page) as vendor:
        export.address = vendor.address
        bench = bench_at(export, tmp_path)
        benches.append(bench)
        with pytest.raises(ServiceUnavailable):
            bench.poll()
        assert numbers(bench.sink.events) == ["T0000", "T0001", "T0002"]
        assert bench.sink.cursors["desk/ours/tickets"]["token"] == "0-3"
        bench.poll(anew=True)
    assert numbers(bench.sink.events) == [f"T{n:04}" for n in range(7)]


def test_a_cursor_that_the_source_does_not_know_any_more_is_begun_anew_a_while_back(export, tmp_path):
    bench = bench_at(export, tmp_path)
    bench.poll()
    export.forget()
    export.desk.put("T0009", "2026-11-26T11:58:00Z")
    export.asked.clear()
    bench.later(minutes=1)
    assert numbers(bench.poll()) == ["T0009"]
    assert [q.get("cursor", q.get("from")) for q in export.asked] == ["0-7", "2026-11-26T11:49:00Z"]
    assert bench.said == [
        "desk/ours/tickets: the source does not know its cursor any more; it is read again from 2026-11-26 11:49:00 UTC on"
    ]
    assert bench.sink.cursors["desk/ours/tickets"]["token"] == "1-8"


def test_a_source_that_says_there_is_more_and_gives_no_other_cursor_is_refused(export, tmp_path):
    with serving(lambda _asked: Says({"tickets": [], "after": "same", "end": False})) as vendor:
        export.address = vendor.address
        with pytest.raises(SourceRefused, match="says that there is more, but no other 'after' to ask for it by"):
            bench_at(export, tmp_path).poll()


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ({"paginator": {"kind": "offset", "size": 3}}, "an opaque cursor pages by itself: leave paginator, parents and job out"),
        ({"cursor": {**CURSOR, "begin": {"from": "{start}"}}}, r"cursor.begin: there is nothing for \{start\}"),
        ({"request": {"path": "/x", "query": {"from": "{since}"}}}, r"request: there is nothing for \{since\}"),
    ],
)  # fmt: skip
def test_a_declaration_that_is_none_is_told(export, tmp_path, stream, said):
    with pytest.raises(ConfigError, match=said):
        bench_at(export, tmp_path, **stream)
