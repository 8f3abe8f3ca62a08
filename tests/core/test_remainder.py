"""What is left of a value without some of its services is what would be measured without their events."""

from typing import Any

import pytest

from pipeline.catalogue import model as m
from pipeline.evaluate.remainder import without
from pipeline.values import KpiValue

EVENTS = ["request.measured"]
UPTIME = m.Availability(stat="availability")


def kpi(measure: Any) -> m.Kpi:
    return m.Kpi(id="k", csf="reliability", name="K", definition="d", unit="u", direction="down", measure=measure)


def value(number: float | None, count: int = 0, above: float | None = None, below: float | None = None) -> KpiValue:
    return KpiValue(
        csf="reliability", kpi="k", scope="org", period="1h", start=0, end=3600, value=number, unit="u", count=count,
        numerator=above, denominator=below,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "whole", "part", "rest"),
    [
        (m.Count(EVENTS), value(9, 9, 9), value(4, 4, 4), 5),
        (m.Count(EVENTS, per="day"), value(3, 9, 9, 3), value(1, 3, 3, 3), 2),
        (m.Sum(EVENTS, value="x"), value(-5, 9), value(-8, 4), 3),
        (m.Mean(EVENTS, value="x"), value(20, 4, 80, 4), value(50, 1, 50, 1), 10),
        (m.Share(EVENTS, of="x"), value(75, 4, 3, 4), value(0, 1, 0, 1), 100),
        (m.Ratio(EVENTS, numerator="x", denominator="y", factor=10), value(5, 4, 2, 4), value(10, 1, 1, 1), 10 / 3),
        (UPTIME, value(75, 400, 300, 400), value(0, 100, 0, 100), 100),
        (m.Availability(stat="mtbf"), value(50, 400, 100, 2), value(10, 100, 10, 1), 90),
        (m.Availability(stat="error_budget_remaining"), value(0, 400, 4, 4), value(-200, 100, 3, 1), 100 * (1 - 1 / 3)),
        (m.Availability(stat="outages"), value(3, 400), value(1, 100), 2),
        (UPTIME, value(75, 400, 300, 400), value(None), 75),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, m.Measure) else None,
)  # fmt: skip
def test_without_one_service(measure: Any, whole: KpiValue, part: KpiValue, rest: float) -> None:
    found = without(kpi(measure), whole, [part])
    assert found is not None
    assert found.value == pytest.approx(rest)
    assert found.count == whole.count - part.count


def test_without_all_of_them_nothing_is_measured() -> None:
    found = without(kpi(UPTIME), value(0, 100, 0, 100), [value(0, 100, 0, 100)])
    assert found is not None
    assert found.value is None


@pytest.mark.parametrize(
    "measure", [m.Quantile(EVENTS, value="x", q=0.9), m.Distinct(EVENTS, value="x"), m.Peak(stat="error_rate")]
)
def test_what_cannot_be_taken_out_says_so(measure: Any) -> None:
    assert without(kpi(measure), value(9, 9, 9, 9), [value(4, 4, 4, 4)]) is None


def test_a_value_without_its_sums_says_so() -> None:
    assert without(kpi(UPTIME), value(75, 400), [value(0, 100, 0, 100)]) is None
