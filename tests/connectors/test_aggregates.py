"""Sources that give sums by the month: what is corrected later replaces what was said, and months are asked for whole."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.connectors.pulling import on_bench
from tests.connectors.vendor import Asked, Says, serving


class Months:
    """A site whose months can be corrected."""

    def __init__(self) -> None:
        self.rows = {"2026-10-01": [900, 950, 60, 2.0, 50], "2026-11-01": [10, 11, 30, 1.5, 40]}
        self.ranges: list[list[str]] = []

    def __call__(self, asked: Asked) -> Says:
        since, until = asked.body["date_range"]
        self.ranges.append([since, until])
        rows = [{"dimensions": [m], "metrics": v} for m, v in self.rows.items() if since <= m <= until]
        return Says({"results": rows, "meta": {}})


@pytest.fixture
def plausible(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUSIBLE_KEY", "key")
    months = Months()
    with serving(months) as vendor:
        bench = on_bench(
            tmp_path, "plausible", options={"address": vendor.address, "sites": ["a.example"], "zone": "Asia/Tokyo"},
            auth={"token": {"env": "PLAUSIBLE_KEY"}}, services={"a.example": "website"}, since="2026-10-05",
        )  # fmt: skip
        bench.now = datetime(2026, 11, 3, tzinfo=UTC)
        yield bench, months


def values(events):
    return [(e["data"]["kpi"], e["data"]["month"], e["data"]["value"]) for e in events]


def test_a_correction_of_the_last_month_is_told_and_nothing_else(plausible):
    bench, months = plausible
    first = bench.poll()
    months.rows["2026-10-01"][0] = 1200
    bench.later(hours=1)
    second = bench.poll()
    assert len(first) == 8
    assert values(second) == [("active_users", "2026-10", 1200.0)]
    assert second[0]["id"] not in {e["id"] for e in first}
    assert [since for since, _ in months.ranges] == ["2026-10-01", "2026-10-01"]  # whole months, not from the 5th


def test_a_running_month_is_asked_for_in_the_sites_zone(plausible):
    bench, months = plausible
    bench.now = datetime(2026, 11, 30, 15, 30, tzinfo=UTC)  # 1 December in Tokyo
    bench.poll()
    assert months.ranges[-1] == ["2026-10-01", "2026-12-01"]


def test_reported_values_may_be_read_again_from_any_time(plausible):
    bench, months = plausible
    bench.poll()
    months.rows["2026-09-01"] = [5, 5, 5, 5, 5]
    bench.later(hours=1)
    again = bench.poll(anew=True, since=datetime(2026, 9, 1, tzinfo=UTC))
    assert ("active_users", "2026-09", 5.0) in values(again)


def test_a_zone_that_is_none_is_told_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAUSIBLE_KEY", "key")
    with pytest.raises(Exception, match="stream months: 'Mars/Base' is no time zone"):
        on_bench(
            tmp_path, "plausible", options={"sites": ["a.example"], "zone": "Mars/Base"},
            auth={"token": {"env": "PLAUSIBLE_KEY"}},
        )  # fmt: skip
