"""Each kind of rule: when it holds, when it is over, when nobody knows."""

import msgspec
import pytest

from pipeline.alerts.conditions import judge_rule
from tests.alerts.samples import BURN, CONCERN, DELAY, MISS, SILENT, T0, WORSE, catalogue, status, value

DAY = 86_400


class Now:
    def __init__(self, *found):
        self.values = {(v.kpi, v.period): v for v in found if hasattr(v, "kpi")}
        self.found = found

    def value(self, kpi, period):
        return self.values.get((kpi, period))

    def status(self, csf, window):
        return next((s for s in self.found if not hasattr(s, "kpi")), None)


def judged(rule, *found, at=T0):
    said = judge_rule(rule, catalogue(), Now(*found), at)
    return said.holds, said.over


@pytest.mark.parametrize(
    ("number", "expected"), [(101, (True, False)), (100, (True, False)), (90, (False, False)), (79, (False, True))]
)
def test_threshold_has_a_clear_limit_of_its_own(number, expected):
    assert judged(DELAY, value("delay", number, T0)) == expected


@pytest.mark.parametrize("found", [(), (value("delay", None, T0),), (value("delay", 500, T0, count=0),)])
def test_without_value_or_sample_nobody_knows(found):
    assert judged(DELAY, *found) == (None, False)


def test_burn_rate_needs_both_windows():
    # 99.9 % allows 0.1 % of bad time: 14.4 times that is 1.44 %
    bad, good = {"number": 98.5}, {"number": 98.6}
    both = [value("availability", at=T0, window=w, **bad) for w in ("1h", "5m")]
    assert judged(BURN, *both) == (True, False)
    assert judged(BURN, both[0], value("availability", at=T0, window="5m", **good)) == (False, True)
    assert judged(BURN, value("availability", at=T0, window="1h", **good), both[1]) == (False, True)
    said = judge_rule(BURN, catalogue(), Now(*both), T0)
    assert said.value == pytest.approx(15.0)


def test_burn_rate_uses_the_target_in_force():
    found = [value("availability", 98.5, T0, w, target=99.0) for w in ("1h", "5m")]
    assert judged(BURN, *found) == (False, True)


def test_absence_is_little_coverage_or_a_value_that_is_gone():
    assert judged(SILENT) == (False, True)  # never heard of
    assert judged(SILENT, value("availability", 100, T0, coverage=0.6)) == (False, True)
    assert judged(SILENT, value("availability", 100, T0, coverage=0.4)) == (True, False)
    assert judged(SILENT, value("availability", None, T0)) == (True, False)


def test_status():
    assert judged(CONCERN, status("concern", T0)) == (True, False)
    assert judged(CONCERN, status("at_risk", T0)) == (False, True)
    assert judged(CONCERN, status("unknown", T0)) == (None, False)


def test_forecast_weighs_what_was_by_what_comes():
    at = T0
    month = value("availability", 99.95, at, scope="org", target=99.9, denominator=100.0, numerator=99.95)
    month.period, month.state, month.start, month.end = "month", "to_date", at - 15 * DAY, at + 15 * DAY
    good = value("availability", 99.9, at, "7d", scope="org", denominator=10.0, numerator=9.99)
    bad = value("availability", 99.8, at, "7d", scope="org", denominator=10.0, numerator=9.98)
    assert judged(MISS, month, good, at=at) == (False, True)
    assert judged(MISS, month, bad, at=at) == (True, False)
    said = judge_rule(MISS, catalogue(), Now(month, bad), at)
    assert said.value == pytest.approx((99.95 + 99.8) / 2)
    month.start = at - DAY
    assert judged(MISS, month, bad, at=at) == (None, False)  # too early to tell


def test_trend_in_percent_of_the_longer_window():
    base = value("delay", 100, T0, "7d")
    assert judged(WORSE, base, value("delay", 150, T0, "24h")) == (True, False)
    assert judged(WORSE, base, value("delay", 130, T0, "24h")) == (False, False)
    assert judged(WORSE, base, value("delay", 119, T0, "24h")) == (False, True)


def test_a_status_rule_has_a_clear_score():
    rule = msgspec.structs.replace(CONCERN, clear=65.0)
    assert judged(rule, status("concern", T0, 50.0)) == (True, False)
    assert judged(rule, status("at_risk", T0, 62.0)) == (False, False)
    assert judged(rule, status("at_risk", T0, 65.0)) == (False, True)
    lesser = msgspec.structs.replace(CONCERN, states=("at_risk",), clear=85.0)
    assert judged(lesser, status("concern", T0, 50.0)) == (False, True)  # that is another rule's to tell


def test_a_forecast_rule_has_a_margin_by_which_it_is_over():
    at = T0
    month = value("availability", 99.9, at, scope="org", target=99.9, denominator=100.0, numerator=99.9)
    month.period, month.state, month.start, month.end = "month", "to_date", at - 15 * DAY, at + 15 * DAY
    rule = msgspec.structs.replace(MISS, clear_by=0.04)

    def rest(number):
        return value("availability", number, at, "7d", scope="org")

    assert judged(rule, month, rest(99.8), at=at) == (True, False)
    assert judged(rule, month, rest(99.96), at=at) == (False, False)  # at the end 99.93
    assert judged(rule, month, rest(99.98), at=at) == (False, True)
