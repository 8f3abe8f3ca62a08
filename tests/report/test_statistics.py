"""Each statistic against a published worked example, and what must hold of it whatever the figures."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.report.statistics import (
    mann_kendall,
    natural_limits,
    near_limit,
    overdispersion,
    run_length,
    theil_sen,
    two_proportions,
    two_rates,
    widened,
)

VALUES = st.lists(st.integers(-1000, 1000).map(float), min_size=5, max_size=14)


# -- process behaviour charts ----------------------------------------------------------------------------------------


def test_natural_limits_of_the_flow_rates_in_the_nist_handbook() -> None:
    """NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.2.2: centre 50.81, MR 1.8778, limits 45.8159 and 55.8041."""
    found = natural_limits([49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1])
    assert found.centre == pytest.approx(50.81)
    assert found.moving_range == pytest.approx(1.8778, abs=5e-5)
    # the handbook divides 3 by 1.128, Wheeler's 2.66 is that rounded
    assert (found.lower, found.upper) == pytest.approx((45.8159, 55.8041), abs=1e-3)


def test_natural_limits_of_the_paint_in_montgomery() -> None:
    """Montgomery, Introduction to Statistical Quality Control, viscosity of primer paint: 33.52, 0.48; 32.24, 34.80."""
    paint = [33.75, 33.05, 34.0, 33.81, 33.46, 34.02, 33.68, 33.27, 33.49, 33.2, 33.62, 33.0, 33.54, 33.12, 33.84]
    found = natural_limits(paint)
    assert (round(found.centre, 2), round(found.moving_range, 2)) == (33.52, 0.48)
    assert (round(found.lower, 2), round(found.upper, 2)) == (32.24, 34.80)
    assert {found.side(v) for v in paint} == {0}


def test_a_value_on_a_limit_is_inside_and_limits_need_two_values() -> None:
    found = natural_limits([10, 12, 10, 12])
    assert (found.lower, found.upper) == (11 - 5.32, 11 + 5.32)
    assert [found.side(v) for v in (found.upper, found.upper + 1e-9, found.lower - 1e-9)] == [0, 1, -1]
    with pytest.raises(ValueError, match="at least two"):
        natural_limits([1])


@pytest.mark.parametrize(
    ("values", "length"),
    [
        ([], 0),
        ([3, 3, 2], 0),
        ([1, 2, 3], 1),
        ([3, 3], 2),
        ([1, 3, 3], 2),
        ([3, 1, 1], -2),
        ([3, 2, 3], 1),
        ([1, 3] * 4, 1),
    ],
)
def test_a_run_counts_from_the_end_and_a_value_on_the_centre_ends_it(values: list[float], length: int) -> None:
    assert run_length(values, 2.0) == length


def test_three_of_four_nearer_a_limit_than_the_centre() -> None:
    within = natural_limits([9, 11] * 5)  # 10 -/+ 5.32: half way is 7.34 and 12.66
    assert near_limit([10, 13, 13, 13], within) == 1
    assert near_limit([13, 13, 10, 13], within) == 1
    assert near_limit([7, 10, 7, 7], within) == -1
    assert near_limit([13, 13, 13, 10], within) == 0, "the last one must be among them"
    assert near_limit([13, 13, 12, 10], within) == 0
    assert near_limit([13, 13, 13], within) == 0, "there must be four"


@given(VALUES, st.integers(-50, 50), st.sampled_from([0.25, 2.0, 8.0]))
def test_limits_move_and_grow_with_the_values(values: list[float], shift: int, scale: float) -> None:
    one, other = natural_limits(values), natural_limits([v * scale + shift for v in values])
    assert other.centre == pytest.approx(one.centre * scale + shift, abs=1e-6)
    assert other.upper - other.centre == pytest.approx((one.upper - one.centre) * scale, abs=1e-6)
    assert natural_limits(values[::-1]).upper == pytest.approx(one.upper)


# -- trend -----------------------------------------------------------------------------------------------------------


def test_mann_kendall_with_a_tie_by_hand() -> None:
    """J. Little, A Mann-Kendall Example (By Hand), Holy Cross: 72 up, 18 down, 1 tie; S 54, z 2.9058, p .0018 one-sided."""
    found = mann_kendall([12.9, 14.8, 13.2, 15.7, 13.8, 15.6, 12.9, 11.0, 17.3, 15.9, 19.0, 18.3, 20.1, 21.7])
    assert found.s == 54
    assert found.variance == pytest.approx(14 * 13 * 33 / 18 - 2 * 1 * 9 / 18)
    assert found.z == pytest.approx(2.9058, abs=5e-5)
    assert found.p_value / 2 == pytest.approx(0.0018, abs=5e-5)


def test_mann_kendall_with_many_ties_in_gilbert() -> None:
    """Gilbert 1987, page 212: 22 measurements with ties, z = 3.1."""
    found = mann_kendall([20, 20, 20, 20, 15, 20, 20, 30, 27, 26, 23, 35, 25, 28, 70, 26, 24, 34, 32, 23, 50, 30])
    assert round(found.z, 1) == 3.1


@pytest.mark.parametrize(("n", "one_sided"), [(4, 0.042), (5, 0.0083), (6, 0.0014)])
def test_mann_kendall_is_exact_for_few_values(n: int, one_sided: float) -> None:
    """Gilbert 1987, table A18: the probability of the greatest S of n values: .042, .0083, .0014."""
    found = mann_kendall(list(range(n)))
    assert found.s == n * (n - 1) // 2
    assert found.p_value / 2 == pytest.approx(one_sided, rel=0.02)
    assert found.p_value == pytest.approx(2 / math.factorial(n))


def test_sens_slope_in_sen() -> None:
    """Sen 1968, Estimates of the regression coefficient based on Kendall's tau, J. Am. Stat. Assoc. 63, 1388: 4.00."""
    assert theil_sen([1, 2, 3, 4, 10, 12, 18], [9, 15, 19, 20, 45, 55, 78]) == 4.0


@given(VALUES)
def test_a_trend_turns_with_time_and_does_not_care_for_scale(values: list[float]) -> None:
    there, back, squeezed = (
        mann_kendall(values),
        mann_kendall(values[::-1]),
        mann_kendall([math.atan(v) for v in values]),
    )
    assert there.s == -back.s == squeezed.s
    assert there.p_value == pytest.approx(back.p_value) == pytest.approx(squeezed.p_value)
    times = list(range(len(values)))
    assert theil_sen(times, values) == pytest.approx(-theil_sen(times, values[::-1]))


@given(st.integers(-100, 100), st.integers(-20, 20), st.lists(st.integers(1, 4), min_size=2, max_size=9))
def test_sens_slope_of_a_line_is_its_slope_also_over_gaps(start: int, slope: int, gaps: list[int]) -> None:
    times = [sum(gaps[:i]) for i in range(len(gaps) + 1)]
    assert theil_sen(times, [start + slope * t for t in times]) == pytest.approx(slope)


# -- two samples -----------------------------------------------------------------------------------------------------


def test_fisher_of_the_tea_tasting() -> None:
    """Agresti 2013, sec. 3.5.2 (Fisher 1935): three of four cups right, one-sided P = .243, two-sided .486."""
    assert two_proportions(3, 4, 1, 4) == pytest.approx(0.486, abs=5e-4)
    assert two_proportions(4, 4, 0, 4) == pytest.approx(2 / 70)


def test_proportions_of_the_aspirin_trial() -> None:
    """Agresti 2013, sec. 3.2 (physicians' health study): 189 of 11,034 against 104 of 11,037; chi-square 25.0, z 5.0."""
    p = two_proportions(189, 11034, 104, 11037)
    assert p == pytest.approx(math.erfc(math.sqrt(25.01 / 2)), rel=0.01)


def test_rates_in_the_handbook_of_r() -> None:
    """R, ?poisson.test: lung cancer in Fredericia against three other cities (eba1977 of ISwR), p = 0.07967."""
    assert two_rates(11, 800, 6 + 8 + 7, 1083 + 1050 + 878) == pytest.approx(0.07967, abs=5e-6)


def test_rates_of_rare_events() -> None:
    """10 in 20,000 against 2 in 17,887 person-years: expected 6.3346, p = 0.0421."""
    assert two_rates(10, 20000, 2, 17887) == pytest.approx(0.0421, abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60))
def test_proportions_are_symmetric(a: int, n: int, b: int, m: int) -> None:
    a, b = min(a, n), min(b, m)
    p = two_proportions(a, n, b, m)
    assert 0 <= p <= 1
    assert p == pytest.approx(two_proportions(b, m, a, n))
    assert p == pytest.approx(two_proportions(n - a, n, m - b, m)), "failures say what successes say"
    assert two_proportions(a, n, a, n) == pytest.approx(1)


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(1, 31), st.integers(0, 400), st.integers(1, 31))
def test_rates_are_symmetric_and_know_no_unit_of_time(a: int, t: int, b: int, u: int) -> None:
    p = two_rates(a, t, b, u)
    assert 0 <= p <= 1
    assert p == pytest.approx(two_rates(b, u, a, t))
    assert p == pytest.approx(two_rates(a, 24 * t, b, 24 * u))


def test_what_cannot_be_is_refused() -> None:
    for wrong in ((5, 4, 1, 2), (1, 0, 1, 2), (-1, 4, 1, 2)):
        with pytest.raises(ValueError, match="successes"):
            two_proportions(*wrong)
    for wrong in ((-1, 30, 4, 30), (1, 0, 4, 30)):
        with pytest.raises(ValueError, match="exposures"):
            two_rates(*wrong)


def test_overdispersion_is_pearsons_chi_square_over_its_degrees() -> None:
    """Counts 8, 12, 10, 10 over equal times: chi-square 0.8; 30, 10, 50, 10: 44, that is 14.67 a degree of freedom."""
    assert overdispersion([8, 12, 10, 10], [1] * 4, share=False) == (1.0, 3)
    dispersion, degrees = overdispersion([30, 10, 50, 10], [1] * 4, share=False)
    assert (dispersion, degrees) == (pytest.approx(44 / 3), 3)
    share, _ = overdispersion([30, 10, 50, 10], [100] * 4, share=True)
    assert share == pytest.approx(44 / 3 / 0.75)
    assert overdispersion([5], [10], share=True) == (1.0, 0)


def test_a_p_value_only_ever_grows_by_earlier_spread() -> None:
    assert widened(0.004, 1.0, 5) == 0.004
    assert widened(0.004, 4.0, 5) > 0.1
    assert widened(1e-320, 9.0, 3) < 0.01
