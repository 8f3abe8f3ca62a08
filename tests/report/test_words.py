"""Numbers and times as people read them."""

import pytest

from pipeline.report import words
from pipeline.report.facts import move
from tests.report.histories import kpi
from tests.report.situation import report

N = words.NO_BREAK


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(None, 1, "unknown"), (float("nan"), 1, "unknown"), (1234567.25, 1, "1,234,567.2"), (-0.04, 1, "0.0"),
     (-12.5, 1, "\u221212.5"), (0, 0, "0")],
)  # fmt: skip
def test_numbers(value: float | None, decimals: int, text: str) -> None:
    assert words.number(value, decimals) == text


def test_what_is_below_a_hundred_percent_never_reads_as_a_hundred() -> None:
    assert words.quantity(99.9996, "%", 3) == "99.999%"
    assert words.quantity(100, "%", 3) == "100.000%"
    assert words.share(0.9999) == "99.9%"
    assert words.share(1.0) == "100%"
    assert words.share(0.0001) == "under 0.1%"
    assert words.share(None) == "unknown"


def test_units_stay_with_their_number() -> None:
    assert words.quantity(3.5, "h", 2) == f"3.50{N}h"
    assert words.quantity(3.5, "points (1-5)", 1) == f"3.5{N}of{N}5"
    assert words.quantity(1200, "users", 0) == "1,200"
    assert words.quantity(None, "h", 2) == "unknown"
    assert words.bound(99.9, "%", 3) == "99.9%"
    assert words.bound(100, "incidents", 0) == "100"
    assert words.difference(-1.25, "%", 1) == f"\u22121.2{N}points"
    assert words.difference(0.29, "points (1-7)", 2) == f"+0.29{N}points"


def test_a_score_is_100_only_where_nothing_is_short() -> None:
    assert [words.score(s) for s in (99.84, 100.0, 98.6, None)] == ["99", "100", "99", "unknown"]


def test_months_and_moments() -> None:
    assert words.month("2026-10") == "October 2026"
    assert words.short_month("2026-05") == "May 2026"
    assert words.month("2026-13") == "2026-13"
    assert words.moment("2026-11-03T06:00:00+01:00") == "3 November 2026, 06:00"
    assert words.moment("2026-11-03") == "3 November 2026"
    assert words.moment(None) == "unknown"
    assert words.moment("soon") == "soon"


def test_lists() -> None:
    assert words.listing(["a"]) == "a"
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.listing([]) == ""
    assert words.count(1, "service") == "1 service"
    assert words.count(1200, "service") == "1,200 services"
    assert words.listing(["a (1, x)", "b", "c"]) == "a (1, x); b and c"


def test_months_that_follow_each_other_are_one_period() -> None:
    assert words.periods(["2026-07", "2026-08", "2026-09", "2026-11"]) == "July to September 2026 and November 2026"
    assert words.periods(["2025-11", "2025-12", "2026-01"]) == "November 2025 to January 2026"
    assert words.periods(["2026-07", "2026-08"]) == "July 2026 and August 2026"


def test_what_is_better_than_usual_says_where_it_came_down_from() -> None:
    made = report(kpi("data_accuracy"), 99.33, previous=99.60, movement="improved", limits=(99.0, 99.42))
    assert move(made) == "stood at 99.33% after 99.60%, usually 99.21%"
    made = report(kpi("nps"), 34.8, previous=38.1, movement="improved", limits=(14.5, 24.5))
    assert move(made) == "stood at 34.8, usually 19.5", "little of the way back"
    made = report(kpi("bounce_rate"), 24.8, previous=24.7, movement="worsened", limits=(19.0, 23.0))
    assert move(made) == "stood at 24.8%, usually 21.0%", "it rose in an earlier month"
    made = report(kpi("bounce_rate"), 24.8, previous=21.2, movement="worsened", limits=(19.0, 23.0))
    assert move(made) == "rose from 21.2 to 24.8%"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (599.0, "599\u00a0s"), (600.0, "10\u00a0min"), (1800.0, "30\u00a0min"), (1805.0, "30.1\u00a0min"), (5399.0, "90\u00a0min"),
        (7200.0, "2\u00a0h"), (100_000.0, "27.8\u00a0h"), (16_788_309.0, "194\u00a0days"), (94_672_800.0, "3\u00a0years"),
        (-16_788_309.0, "\u2212194\u00a0days"), (None, "unknown"), (float("inf"), "unknown"),
    ],
)  # fmt: skip
def test_many_seconds_are_said_in_a_unit_that_people_think_in(seconds: float | None, said: str) -> None:
    assert words.quantity(seconds, "s", 0) == said
    assert words.figure(seconds, "s", 0) + words.unit_of(seconds, "s") == said
    assert seconds == 599.0 or words.bound(seconds, "s", 0) == said


def test_ranges_and_differences_of_many_seconds_name_each_unit() -> None:
    assert words.between(80.0, 90.0, "s", 0) == "80 to 90\u00a0s"
    assert words.between(80.0, 720.0, "s", 0) == "80\u00a0s to 12\u00a0min"
    assert words.between(720.0, 86_400.0, "s", 0) == "12\u00a0min to 24\u00a0h"
    assert words.between(720.0, 900.0, "s", 0) == "12 to 15\u00a0min"
    assert words.difference(3600.0, "s", 0) == "+60\u00a0min"
    assert words.difference(-5.0, "s", 0) == "\u22125\u00a0s"
    assert words.quantity(16_788_309.0, "ms", 0) == "16,788,309\u00a0ms", "other units are as the catalogue has them"
