"""Results of programmes: worked histories by hand, each of the five words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.report.kpireport import Point
from pipeline.report.register import Sip, fold_sips
from pipeline.report.results import judge_sip
from tests.report.histories import kpi, values
from tests.stores.entries import entry

#: twelve months before 2026-01: mean 10.0, natural limits about 8 to 12
BEFORE = [10.2, 9.6, 10.1, 10.6, 9.9, 9.3, 10.0, 10.4, 9.8, 10.3, 9.5, 10.3]


def sip(**changed: Any) -> Sip:
    found = fold_sips([entry()])["SIP-K7Q2F"]
    return msgspec.structs.replace(found, **{"start": "2026-01-01", "goal": 6.0, **changed})


def judged(since: list[float | None], last: str, before: list[float] = BEFORE, **changed: Any) -> tuple[str, str]:
    return judge_sip(sip(**changed), values([*before, *since], last), kpi("mttr"))


@pytest.mark.parametrize(
    ("since", "result", "sentence"),
    [
        ([9.9, 10.1, 9.8], "not_yet", "March 2026 has 9.80"),
        ([9.0, 7.9, 6.9], "working", "the goal of 6.00\u00a0h is not reached yet"),
        ([8.0, 6.1, 5.4], "met", "the goal of 6.00\u00a0h is reached"),
        ([10.0, 12.5, 14.0], "worse", "March 2026 has 14.00"),
        ([5.0, 5.0, 10.1], "not_yet", "March 2026 has 10.10"),
        ([None, None, None], "unknown", "No whole month since its start says enough yet."),
    ],
)
def test_a_result_follows_from_the_months_since_the_start(since: list, result: str, sentence: str) -> None:
    found, reason = judged(since, "2026-03")
    assert found == result, reason
    assert sentence in reason


def test_a_goal_inside_the_usual_variation_is_not_met_by_one_month() -> None:
    found, reason = judged([9.4], "2026-01", goal=9.5)
    assert found == "not_yet"
    assert "reaches the goal of 9.50\u00a0h, but within the usual variation" in reason


def test_eight_months_a_little_better_are_a_change() -> None:
    seven = [9.5, 9.4, 9.6, 9.5, 9.4, 9.5, 9.6]
    assert judged(seven, "2026-07")[0] == "not_yet"
    found, reason = judged([*seven, 9.5], "2026-08")
    assert found == "working"
    assert "8 months in a row are better than the mean of 10.00\u00a0h before its start" in reason


@pytest.mark.parametrize(("turned", "result"), [(1, "working"), (-1, "worse")])
def test_a_steady_trend_since_the_start_is_a_change_though_no_month_is_outside(turned: int, result: str) -> None:
    found, reason = judged([10.9, 10.6, 10.3, 10.1, 9.8, 9.5, 9.2][::turned], "2026-07")
    assert found == result, reason
    assert "a month over the 7 months since its start" in reason


def test_what_was_reached_long_ago_is_still_met_though_it_is_the_usual_now() -> None:
    assert judged([5.5, 5.4, 5.6, 5.5, 5.4, 5.6, 5.5, 5.4, 5.6, 5.5], "2026-10")[0] == "met"


def test_the_month_of_a_start_in_its_middle_counts_for_neither_side() -> None:
    assert judged([3.0], "2026-01", start="2026-01-15")[0] == "unknown"
    assert judged([3.0], "2026-01", start="2026-01-01")[0] == "met"


def test_a_running_month_is_not_judged() -> None:
    months = values([*BEFORE, 3.0], "2026-01")
    months[-1] = msgspec.structs.replace(months[-1], elapsed=0.9, state="to_date")
    assert judge_sip(sip(), months, kpi("mttr"))[0] == "unknown"


def test_of_a_closed_one_the_months_after_its_closing_do_not_count() -> None:
    assert judged([5.0, 5.1, 14.0], "2026-03", closed_on="2026-02-28", status="closed")[0] == "met"


def test_without_a_month_before_the_start_nothing_is_said() -> None:
    found, reason = judged([5.0, 5.0], "2026-02", before=[])
    assert (found, reason) == ("unknown", "No month before its start says enough to compare with.")


def test_another_definition_is_not_compared_with() -> None:
    months: list[Point] = values(BEFORE, "2025-12", definition_version=1) + values(
        [5.0], "2026-01", definition_version=2
    )
    assert judge_sip(sip(), months, kpi("mttr"))[0] == "unknown"


def test_a_kpi_that_is_gone_is_told() -> None:
    assert judge_sip(sip(), [], None) == ("unknown", "The catalogue has no KPI mttr any more.")
