"""Target states: met or not when the month is over, before that where it is heading."""

from typing import Any

import msgspec
import pytest

from pipeline.report.targets import forecast, target_state
from tests.report.histories import counts, kpi, values


def last(history: list, **fields: Any) -> list:
    return [*history[:-1], msgspec.structs.replace(history[-1], **fields)]


@pytest.mark.parametrize(
    ("name", "value", "target", "state"),
    [
        ("csat", 85.0, 85.0, "met"),
        ("csat", 84.9, 85.0, "not_met"),
        ("mttr", 8.0, 8.0, "met"),
        ("mttr", 8.1, 8.0, "not_met"),
        ("forecast_bias", -2.0, 2.0, "met"),
        ("forecast_bias", -2.1, 2.0, "not_met"),
        ("csat", 84.9, None, "no_target"),
        ("csat", None, 85.0, "unknown"),
    ],
)
def test_a_closed_month(name: str, value: float | None, target: float | None, state: str) -> None:
    assert target_state(kpi(name), values([value], target=target)) == state
    assert target_state(kpi(name), values([value], target=target, state="restated")) == state


def test_a_closed_month_with_too_small_a_sample_is_unknown() -> None:
    assert target_state(kpi("csat"), values([90], count=9, target=85.0)) == "unknown"
    assert target_state(kpi("csat"), []) == "unknown"


@pytest.mark.parametrize(
    ("so_far", "elapsed", "state"),
    [
        (10, 0.1, "too_early_to_track"),
        (30, 0.3, "on_track"),  # 30 + 0.7 x 100
        (41, 0.3, "off_track"),
        (111, 0.1, "off_track"),  # past it already
    ],
)
def test_a_running_count_is_forecast_with_the_usual_for_the_rest(so_far: int, elapsed: float, state: str) -> None:
    history = last(counts([100, 102, 98, 100, so_far]), state="to_date", elapsed=elapsed, target=110.0)
    assert target_state(kpi("incidents"), history) == state


def test_without_months_before_a_count_goes_on_as_it_began() -> None:
    running = last(counts([40]), state="to_date", elapsed=0.5, target=79.0)
    assert forecast(kpi("incidents"), running[-1], []) == 80
    assert target_state(kpi("incidents"), running) == "off_track"


def test_a_running_share_is_weighted_with_the_usual() -> None:
    history = values([90, 90, 90, 80], target=85.0)
    assert target_state(kpi("csat"), last(history, state="to_date", elapsed=0.3)) == "on_track"  # 87
    assert target_state(kpi("csat"), last(history, state="to_date", elapsed=0.6)) == "off_track"  # 84
    assert target_state(kpi("csat"), last(history, state="to_date", elapsed=0.2)) == "too_early_to_track"


def test_a_level_that_is_being_left_does_not_pull_a_running_month_back() -> None:
    """Session duration of 105 s a month rose to 179 and 186 s; 185 s so far is not heading back to 105."""
    usual = [104, 106, 105, 103, 107, 105, 104, 106, 105]
    risen = last(values([*usual, 179, 186, 185], target=180.0), state="to_date", elapsed=0.86)
    assert target_state(kpi("session_duration"), risen) == "on_track"
    once = last(values([*usual, 105, 186, 106], target=108.0), state="to_date", elapsed=0.5)
    assert target_state(kpi("session_duration"), once) == "off_track", (
        "one month outside is no level where this one is not"
    )


def test_users_and_peaks_are_forecast_only_at_the_end() -> None:
    for name, so_far in (("active_users", 90), ("peak_response_time", 400)):
        history = values([100, 100, 100, so_far], target=100.0)
        assert target_state(kpi(name), last(history, state="to_date", elapsed=0.5)) == "too_early_to_track"
        assert target_state(kpi(name), last(history, state="to_date", elapsed=0.9)) != "too_early_to_track"
    enough = last(values([100, 101], target=100.0), state="to_date", elapsed=0.1)
    assert target_state(kpi("active_users"), enough) == "on_track", "users of a month only become more"


def test_a_sum_that_may_fall_again_is_never_certain() -> None:
    early = last(values([9000, 12000], target=10000.0), state="to_date", elapsed=0.1)
    assert target_state(kpi("decision_impact"), early) == "too_early_to_track"
