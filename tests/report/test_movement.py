"""What is called a change, and what is not."""

import msgspec
import pytest

from pipeline.report.movement import assess
from tests.report.histories import counts, kpi, shares, values

#: twelve months of satisfaction that only vary: mean 84, natural limits 79.5 to 88.5
STABLE = [84, 85.5, 83, 84.5, 82.5, 85, 84, 83, 85, 84, 83.5, 84]


def test_a_month_within_its_natural_limits_is_no_change() -> None:
    found = assess(kpi("csat"), values([*STABLE, 86.5]))
    assert found.movement == "steady"
    assert found.signals == []
    assert found.movement_reason.startswith("No clear change: 86.5% is within the natural limits")
    assert found.natural_limits is not None
    assert found.natural_limits.months == 12
    assert found.natural_limits.lower < 82 < 86 < found.natural_limits.upper


def test_a_month_outside_its_natural_limits_is_one_and_the_direction_says_which() -> None:
    better = assess(kpi("csat"), values([*STABLE, 93]))
    worse = assess(kpi("bounce_rate"), values([*STABLE, 93]))
    assert (better.movement, worse.movement) == ("improved", "worsened")
    assert [s.kind for s in better.signals] == ["outside_limits"]
    assert (better.signals[0].good, worse.signals[0].good) == (True, False)
    assert better.movement_reason.startswith("Better: 93.0% is above the upper natural limit ")
    assert worse.movement_reason.endswith("% of the 12 months before.")


def test_limits_are_those_of_the_months_before_and_clipped_to_what_can_be() -> None:
    found = assess(kpi("csat"), values([98, 92, 99, 91, 98, 92, 99, 91, 98, 40]))
    assert found.natural_limits is not None
    assert found.natural_limits.upper == 100
    assert found.natural_limits.centre == pytest.approx(sum([98, 92, 99, 91] * 2 + [98]) / 9)
    assert found.movement == "worsened"


def test_significant_noise_of_ninety_thousand_answers_is_no_change_but_supports_one() -> None:
    """At n = 90,000 half a point is significant a hundred times over; months that vary by a point know better."""
    of = [90_000] * 13
    hits = [round(900 * v) for v in [*STABLE, 85.5]]
    found = assess(kpi("csat"), shares(hits, of))
    assert found.movement == "steady"
    moved = assess(kpi("csat"), shares([*hits[:-1], 900 * 93], of))
    assert [s.kind for s in moved.signals] == ["outside_limits", "two_sample"]
    assert moved.signals[1].p_value is not None
    assert moved.signals[1].p_value < 0.001
    assert "against 84.0% in September 2026 (p < 0.001)" in moved.signals[1].text


def test_a_step_is_news_in_the_month_it_comes_and_is_the_level_from_the_third_on() -> None:
    history = [*STABLE, 93.2, 92.8, 93.1, 92.9, 93.3, 93, 92.9]
    said = [assess(kpi("csat"), values(history[: n + 1])) for n in range(12, len(history))]
    assert [s.movement for s in said] == ["improved"] * 3 + ["steady"] * 4
    assert said[1].movement_reason.endswith(", for the second month in a row.")
    last = said[-1].natural_limits
    assert last is not None
    assert last.centre == pytest.approx(93, abs=0.2)
    assert last.months == 6


def test_eight_months_on_one_side_are_told_once() -> None:
    history = [84, 86, 82, 85, 83, 86, 82, 85, 83, 85.5, 85.6, 85.4, 85.7, 85.5, 85.6, 85.4, 85.8, 85.5, 85.6]
    said = [assess(kpi("csat"), values(history[: n + 1])).movement for n in range(9, len(history))]
    assert said.count("improved") == 1
    at = said.index("improved") + 9
    assert [s.kind for s in assess(kpi("csat"), values(history[: at + 1])).signals] == ["run_of_eight"]


def test_three_of_four_near_a_limit() -> None:
    found = assess(kpi("csat"), values([84, 86, 82, 86, 82, 86, 82, 86, 82, 91, 91.2, 91.1]))
    assert [s.kind for s in found.signals] == ["three_of_four"]
    assert found.movement == "improved"
    assert found.signals[0].text.startswith("Three of the last four months are nearer the upper natural limit")


def test_an_exceptional_month_does_not_widen_the_limits_of_those_after_it() -> None:
    found = assess(kpi("csat"), values([*STABLE, 60, 84, 92]))
    assert found.movement == "improved"
    assert found.natural_limits is not None
    assert found.natural_limits.lower > 78


def test_a_rare_event_is_no_signal_until_chance_is_unlikely() -> None:
    """One breach after a year without is one, not a change of rate; two are (p = 1/169); three after one a month not."""
    assert assess(kpi("breaches"), counts([0] * 12 + [1])).movement == "steady"
    assert assess(kpi("breaches"), counts([0] * 12 + [2])).movement == "worsened"
    found = assess(kpi("breaches"), counts([1] * 12 + [3]))
    assert found.movement == "steady"
    assert found.movement_reason == (
        "No clear change: with counts this small, 3 against 1 in the 12 months before is within what chance gives "
        "(p = 0.11)."
    )


def test_the_direction_zero_is_better_near_zero() -> None:
    bias = [4, 5, 4.5, 5.5, 4, 5, 4.5, 5, 4.5]
    assert assess(kpi("forecast_bias"), values([*bias, 0.5])).movement == "improved"
    assert assess(kpi("forecast_bias"), values([*bias, -12])).movement == "worsened"
    assert assess(kpi("forecast_bias"), values([*(-v for v in bias), -0.5])).movement == "improved"


# -- few months ------------------------------------------------------------------------------------------------------


def test_one_month_is_no_history() -> None:
    found = assess(kpi("csat"), shares([80], [100]))
    assert (found.movement, found.movement_reason) == ("unknown", "There is only one month of history.")
    assert found.natural_limits is None
    assert found.trend.direction == "unknown"


def test_two_months_of_a_share_are_compared_by_their_counts() -> None:
    assert assess(kpi("csat"), shares([80, 84], [100, 100])).movement == "steady"
    found = assess(kpi("csat"), shares([800, 860], [1000, 1000]))
    assert found.movement == "improved"
    assert [s.kind for s in found.signals] == ["two_sample"]
    assert found.movement_reason == "Better: 86.0% against 80.0% in September 2026 (p < 0.001)."


def test_two_months_of_a_count_are_compared_by_day() -> None:
    """310 in October are 10 a day, as are 300 in September."""
    found = assess(kpi("incidents"), counts([300, 310]))
    assert found.movement == "steady"
    assert "p = 1.000" in found.movement_reason
    assert assess(kpi("incidents"), counts([300, 480])).movement == "worsened"
    assert assess(kpi("incidents"), counts([300, 400])).movement == "steady", "incidents come in clusters"


def test_earlier_months_that_differ_much_widen_the_test() -> None:
    assert assess(kpi("incidents"), counts([295, 305, 300, 310, 300, 480])).movement == "worsened"
    assert assess(kpi("incidents"), counts([280, 420, 290, 470, 300, 480])).movement == "steady"


def test_a_significant_change_too_small_to_matter_is_none() -> None:
    found = assess(kpi("task_completion_rate"), shares([64_000, 64_800], [90_000, 90_000]))
    assert found.movement == "steady"
    assert "too small a change to matter" in found.movement_reason
    failures = assess(kpi("sync_success_rate"), shares([89_910, 89_550], [90_000, 90_000]))
    assert failures.movement == "worsened", "0.1 to 0.5 % failures is five times as many"


@pytest.mark.parametrize("name", ["mttr", "nps", "availability", "backlog", "active_users", "time_to_detect"])
def test_few_values_that_no_test_fits_say_nothing_yet(name: str) -> None:
    found = assess(kpi(name), values([50, 51, 50, 52, 80]))
    assert found.movement == "unknown"
    assert "8 are needed" in found.movement_reason
    assert assess(kpi(name), values([50, 51, 50, 52, 51, 50, 52, 80])).movement in {"improved", "worsened"}


# -- months that say too little ----------------------------------------------------------------------------------


def test_no_value_small_sample_and_low_coverage_are_unknown() -> None:
    assert assess(kpi("csat"), values([*STABLE, None])).movement_reason == "The month has no value."
    few = msgspec.structs.replace(values([*STABLE, 93])[-1], count=4)
    assert assess(kpi("csat"), [*values([*STABLE, 93])[:-1], few]).movement_reason == (
        "Its sample of 4 is below the 10 needed."
    )
    partly = msgspec.structs.replace(few, count=100, coverage=0.43)
    found = assess(kpi("csat"), [*values([*STABLE, 93])[:-1], partly])
    assert (found.movement, found.movement_reason) == ("unknown", "Its sources delivered only 43% of the month.")


def test_another_definition_cuts_the_history() -> None:
    old = values(STABLE, last="2026-09")
    found = assess(kpi("csat"), [*old, *values([93], definition_version=2)])
    assert found.movement == "unknown"
    assert found.movement_reason == "Its definition changed; the months before were made by another one."
    fresh = values([93] * 3, definition_version=2)
    assert assess(kpi("csat"), [*values(STABLE, last="2026-07"), *fresh]).natural_limits is None


def test_months_need_not_follow_each_other() -> None:
    gaps: list[float | None] = [84, 85, None, 83, 84, 85, None, None, 83, 84, 85, 84]
    found = assess(kpi("csat"), values([*gaps, 93]))
    assert found.movement == "improved"
    assert found.natural_limits is not None
    assert found.natural_limits.months == 9


def test_a_count_of_a_part_of_a_month_is_not_compared_with_whole_months() -> None:
    history = counts([100, 110, 95, 105, 100, 98, 104, 99, 101, 60])
    running = [*history[:-1], msgspec.structs.replace(history[-1], state="to_date", elapsed=0.55)]
    found = assess(kpi("incidents"), running)
    assert (found.movement, found.signals) == ("unknown", [])
    assert found.movement_reason == "55% of the month has passed; only whole months are compared."
    beyond = [*running[:-1], msgspec.structs.replace(running[-1], value=160.0, numerator=160.0, count=160)]
    assert assess(kpi("incidents"), beyond).movement == "worsened", "what is beyond the limit already stays so"


def test_a_share_of_a_running_month_is_compared_from_half_a_month_on() -> None:
    history = shares([840] * 9 + [930], [1000] * 10)
    early, late = (msgspec.structs.replace(history[-1], state="to_date", elapsed=e) for e in (0.3, 0.6))
    assert assess(kpi("csat"), [*history[:-1], late]).movement == "improved"
    early_said = assess(kpi("csat"), [*history[:-1], early])
    assert early_said.movement == "unknown"
    assert early_said.movement_reason == "30% of the month has passed; half of it is needed to compare."


# -- trend -----------------------------------------------------------------------------------------------------------


def test_a_trend_needs_six_months_and_tells_better_from_worse() -> None:
    rising = [70, 71, 72.5, 73, 74.2, 75]
    assert assess(kpi("csat"), values(rising[:5])).trend.direction == "unknown"
    found = assess(kpi("csat"), values(rising)).trend
    assert (found.direction, found.months) == ("improving", 6)
    assert found.slope == pytest.approx(1.0, abs=0.1)
    assert assess(kpi("bounce_rate"), values(rising)).trend.direction == "worsening"
    assert assess(kpi("csat"), values(STABLE)).trend.direction == "none"


def test_a_trend_towards_zero_is_better_for_what_is_best_at_zero() -> None:
    assert assess(kpi("forecast_bias"), values([-9, -8, -7, -5, -4, -3])).trend.direction == "improving"
    assert assess(kpi("forecast_bias"), values([9, 8, 7, 5, 4, 3])).trend.direction == "improving"
    assert assess(kpi("forecast_bias"), values([3, 4, 5, 7, 8, 9])).trend.direction == "worsening"


def test_the_order_in_which_months_are_given_does_not_matter() -> None:
    history = values([*STABLE, 93])
    assert assess(kpi("csat"), history[::-1]) == assess(kpi("csat"), history)
