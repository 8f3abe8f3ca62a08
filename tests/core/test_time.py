"""Calendar, panes, windows and intervals."""

import itertools
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pipeline.time import intervals
from pipeline.time.calendar import Calendar, to_ms
from pipeline.time.panes import DAY, FIVE_MINUTES, HOUR, LENGTH, MINUTE, SLIDE, cover, levels_for, window_bounds
from pipeline.values import WINDOWS


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_a_day_of_daylight_saving_has_23_or_25_hours() -> None:
    zurich = Calendar("Europe/Zurich")
    spring = zurich.day_start(at("2026-03-29T12:00:00+02:00"))
    assert spring == at("2026-03-29T00:00:00+01:00")
    assert zurich.next_day(spring) - spring == 23 * 3600
    autumn = zurich.day_start(at("2026-10-25T12:00:00+01:00"))
    assert zurich.next_day(autumn) - autumn == 25 * 3600


def test_a_day_without_midnight_starts_at_its_first_instant() -> None:
    beirut = Calendar("Asia/Beirut")  # clocks jumped from 00:00 to 01:00 on 2021-03-28
    start = beirut.day_start(at("2021-03-28T12:00:00+03:00"))
    assert beirut.local(start).isoformat() == "2021-03-28T01:00:00+03:00"
    assert beirut.day_start(start - 1) < start


def test_months_run_from_local_midnight_to_local_midnight() -> None:
    tokyo = Calendar("Asia/Tokyo")
    month = tokyo.month_start(at("2026-10-31T16:00:00+00:00"))  # already November there
    assert tokyo.iso(month) == "2026-11-01T00:00:00+09:00"
    assert tokyo.next_month(month) == at("2026-12-01T00:00:00+09:00")
    assert tokyo.previous_month(month) == at("2026-10-01T00:00:00+09:00")
    assert tokyo.parse_month("2026-11") == month


def test_local_clock_hours_follow_half_hour_offsets() -> None:
    kolkata = Calendar("Asia/Kolkata")
    start = kolkata.hour_start(at("2026-10-01T10:45:00+05:30"))
    assert kolkata.iso(start) == "2026-10-01T10:00:00+05:30"


@given(
    start=st.integers(1_600_000_000, 1_900_000_000),
    window=st.sampled_from(sorted(WINDOWS)),
    zone=st.sampled_from(["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"]),
)
def test_cover_is_exact_for_every_window(start: int, window: str, zone: str) -> None:
    calendar = Calendar(zone)
    a, b = window_bounds(window, start)
    position = a
    for level, pane in cover(a, b, SLIDE[window], calendar):
        assert pane == position
        assert level >= SLIDE[window]
        position = calendar.next_day(pane) if level == DAY else pane + LENGTH[level]
    assert position == b


def test_a_window_ends_with_the_pane_that_holds_now() -> None:
    assert window_bounds("5m", 1_000_000_030) == (1_000_000_020 + 60 - 300, 1_000_000_080)


def test_levels_by_age() -> None:
    assert levels_for(-10) == (MINUTE, FIVE_MINUTES, HOUR, DAY)
    assert levels_for(3 * 3600) == (FIVE_MINUTES, HOUR, DAY)
    assert levels_for(10 * 86400) == (HOUR, DAY)
    assert levels_for(400 * 86400) == (DAY,)


def test_to_ms_rounds_down() -> None:
    assert to_ms(datetime(1970, 1, 1, 0, 0, 0, 1999, tzinfo=UTC)) == 1
    assert to_ms(datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)) == -1


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(lambda p: p[0] < p[1]), max_size=12)


def cells(parts: list[tuple[int, int]]) -> set[int]:
    return {x for a, b in parts for x in range(a, b)}


@given(SPANS, SPANS)
def test_interval_algebra_is_set_algebra(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    a, b = intervals.union(left), intervals.union(right)
    assert cells(a) == cells(left)
    assert all(x[1] < y[0] for x, y in itertools.pairwise(a))
    assert cells(intervals.subtract(a, b)) == cells(left) - cells(right)
    assert intervals.total(intervals.clip(a, 10, 40)) == len(cells(left) & set(range(10, 40)))
