"""Status and score of values, and of CSFs."""

import pytest

from pipeline.catalogue.model import Count, Kpi, Organisation, Thresholds
from pipeline.evaluate.judge import judge, judge_csf


def kpi(direction: str, amber: float | None = None, red: float | None = None, min_sample: int = 1) -> Kpi:
    thresholds = None if amber is None or red is None else Thresholds(amber, red)
    return Kpi(
        id="k", csf="reliability", name="k", definition="", unit="x", direction=direction,  # type: ignore[arg-type] # a literal by parametrisation
        measure=Count(events=["incident.updated"]), thresholds=thresholds, min_sample=min_sample,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("direction", "amber", "red", "target", "value", "expected"),
    [
        ("up", 90, 80, 95, 95, ("on_target", 100)),
        ("up", 90, 80, 95, 92.5, ("amber", 80)),
        ("up", 90, 80, 95, 90, ("amber", 60)),
        ("up", 90, 80, 95, 85, ("amber", 30)),
        ("up", 90, 80, 95, 80, ("red", 0)),
        ("down", 12, 24, 8, 8, ("on_target", 100)),
        ("down", 12, 24, 8, 10, ("amber", 80)),
        ("down", 12, 24, 8, 30, ("red", 0)),
        ("zero", 5, 10, 2, -2, ("on_target", 100)),
        ("zero", 5, 10, 2, -7.5, ("amber", 30)),
        ("up", None, None, 95, 90, ("amber", 60)),
        ("up", None, None, None, 90, ("on_target", 100)),
        ("up", 90, 80, None, 91, ("on_target", 100)),
    ],
)
def test_status_and_score(
    direction: str, amber: float | None, red: float | None, target: float | None, value: float,
    expected: tuple[str, float],
) -> None:  # fmt: skip
    status, score = judge(kpi(direction, amber, red), value, 10, target)
    assert (status, score) == (expected[0], pytest.approx(expected[1]))


def test_no_value_or_too_small_a_sample_is_unknown() -> None:
    assert judge(kpi("up"), None, 10, 5) == ("unknown", None)
    assert judge(kpi("up", min_sample=30), 99, 29, 5) == ("unknown", None)


def test_a_csf_needs_half_the_weight_known() -> None:
    organisation = Organisation()
    assert judge_csf([(100, 1), (None, 1.1)], organisation)[:2] == ("unknown", None)
    assert judge_csf([(100, 1), (60, 1), (None, 1)], organisation)[:2] == ("aligned", 80)
    assert judge_csf([(60, 1)], organisation)[0] == "at_risk"
    assert judge_csf([(59, 1)], organisation)[0] == "concern"
    assert judge_csf([], organisation)[0] == "unknown"
