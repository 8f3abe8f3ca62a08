"""Effects of services add up to the change, exactly; where they cannot, there are none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.contributors import contributors, dominant
from pipeline.report.kpireport import Contributor, Point
from tests.report.histories import kpi


def share(hits: float, of: float) -> Point:
    return Point(month="2026-10", value=100 * hits / of if of else None, numerator=hits, denominator=of, count=int(of))


def number(n: float, **fields: float) -> Point:
    return Point(month="2026-10", value=n, count=int(n), **fields)


def test_a_count_changes_by_the_changes_of_its_parts() -> None:
    found = contributors(
        kpi("incidents"), number(130), number(100),
        {"service:a": number(90), "service:b": number(30), "service:c": number(10)},
        {"service:a": number(50), "service:b": number(50)},
        {"service:a": "Shop"},
    )  # fmt: skip
    assert [(c.name, c.effect) for c in found] == [("Shop", 40), ("service:b", -20), ("service:c", 10)]
    assert [c.share for c in found] == [pytest.approx(4 / 3), pytest.approx(-2 / 3), pytest.approx(1 / 3)]
    assert dominant(found) == found[0]
    assert (found[0].rate, found[0].mix) == (None, None)


def test_a_ratio_changes_by_rates_and_by_mix() -> None:
    """Both services stay as good as they were; the worse one has more of the visits: all of it is mix."""
    found = contributors(
        kpi("csat"), share(90 * 0.5 + 60 * 0.5, 100), share(90 * 0.8 + 60 * 0.2, 100),
        {"a": share(45, 50), "b": share(30, 50)}, {"a": share(72, 80), "b": share(12, 20)},
    )  # fmt: skip
    assert [c.rate for c in found] == [0, 0]
    assert math.fsum(c.effect or 0 for c in found) == pytest.approx(75 - 84)
    assert {c.scope: c.mix for c in found} == {"a": pytest.approx(-3.15), "b": pytest.approx(-5.85)}


def test_a_ratios_change_by_one_services_own_change_is_all_its_own() -> None:
    found = contributors(
        kpi("csat"), share(70, 100), share(80, 100),
        {"a": share(30, 50), "b": share(40, 50)}, {"a": share(40, 50), "b": share(40, 50)},
    )  # fmt: skip
    assert [(c.scope, c.effect, c.share) for c in found] == [("a", pytest.approx(-10), pytest.approx(1)), ("b", 0, 0)]


@given(
    st.lists(
        st.tuples(*[st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda t: (min(t), max(t)))] * 2),
        min_size=1,
        max_size=8,
    )
)
def test_effects_add_up_to_the_change_also_for_services_that_come_and_go(
    parts: list[tuple[tuple[int, int], tuple[int, int]]],
) -> None:
    (n1, d1), (n0, d0) = ([sum(p[i][j] for p in parts) for j in (0, 1)] for i in (0, 1))
    if not (d1 and d0):
        return
    whole, before = share(n1, d1), share(n0, d0)
    now = {f"s{i}": share(*p[0]) for i, p in enumerate(parts) if p[0][1]}
    past = {f"s{i}": share(*p[1]) for i, p in enumerate(parts) if p[1][1]}
    found = contributors(kpi("csat"), whole, before, now, past)
    assert all(c.effect is not None for c in found)
    change = (whole.value or 0) - (before.value or 0)
    assert math.fsum(c.effect or 0 for c in found) == pytest.approx(change, abs=1e-6)


def test_a_missing_service_leaves_effects_unknown() -> None:
    found = contributors(kpi("incidents"), number(130), number(100), {"a": number(90)}, {"a": number(50)})
    assert [(c.effect, c.share) for c in found] == [(None, None)]
    assert dominant(found) is None


def test_a_median_has_no_parts_but_an_order() -> None:
    found = contributors(
        kpi("time_to_detect"), number(5), number(3),
        {"a": number(4), "b": number(9)}, {"a": number(3), "b": number(2)},
    )  # fmt: skip
    assert [(c.scope, c.effect) for c in found] == [("b", None), ("a", None)]


def test_a_part_of_a_month_is_not_decomposed_against_a_whole_one() -> None:
    found = contributors(kpi("incidents"), number(60, elapsed=0.5), number(100), {"a": number(60)}, {"a": number(100)})
    assert found[0].effect is None


def test_without_a_month_before_or_services_there_is_nothing_to_explain() -> None:
    assert contributors(kpi("incidents"), number(5), None, {"a": number(5)}, {})[0].effect is None
    assert contributors(kpi("incidents"), number(5), number(4), {}, {}) == []


def test_one_service_alone_is_not_dominant_and_half_is_not_enough() -> None:
    def row(share: float) -> Contributor:
        return Contributor(scope="a", name="A", value=1, previous=2, effect=-1, share=share)

    assert dominant([row(1.0)]) is None
    assert dominant([row(0.5), row(0.5)]) is None
    assert dominant([row(0.51), row(0.49)]) is not None
