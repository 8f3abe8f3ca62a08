"""Whether a rule's condition holds for a scope, from the values that are in force.

A judgement knows three answers: it holds, it does not, nobody knows. Between a rule's limit and its clear limit it
neither holds nor is it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.catalogue import alerts as a
from pipeline.catalogue.derived_alerts import allowed_share
from pipeline.catalogue.model import Catalogue, Kpi
from pipeline.evaluate.forecast import month_end, settled
from pipeline.evaluate.judge import badness
from pipeline.evaluate.words import grows
from pipeline.values import CsfStatus, KpiValue

MONTH = "month"
#: A value that comes back so close to its limit is still at it (sums are in millionths).
_EQUAL = 1e-9


class InForce(Protocol):
    """The values that hold for a scope at an instant."""

    def value(self, kpi: str, period: str) -> KpiValue | None:
        """Return the value of a KPI over a window, or of the running ``month``; None where none was ever told."""

    def status(self, csf: str, window: str) -> CsfStatus | None:
        """Return the status of a CSF over a window."""


@dataclass(frozen=True)
class Judgement:
    """What a rule says of a scope at an instant.

    Attributes:
        holds: the condition holds; None: unknown, too small a sample or too little coverage.
        over: it is over: not only not holding but back beyond the clear limit.
        value, threshold: in ``unit``; what is compared, and with what.
        count, coverage: sample size and share (0-1) delivered, of the value.
        note: what value and threshold are, where they are not the KPI's own; or why nothing is known.
    """

    holds: bool | None
    over: bool = False
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    count: int = 0
    coverage: float | None = None
    note: str = ""


def needs(rule: a.AnyRule) -> list[tuple[str, str]]:
    """Return what a rule reads: (KPI or CSF, window or ``month``)."""
    match rule:
        case a.ThresholdRule() | a.AbsenceRule():
            return [(rule.kpi, rule.window)]
        case a.StatusRule():
            return [(rule.csf, rule.window)]
        case a.ForecastRule():
            return [(rule.kpi, MONTH), (rule.kpi, rule.recent)]
        case a.TrendRule():
            return [(rule.kpi, rule.recent), (rule.kpi, rule.baseline)]
        case a.BurnRateRule():
            return [(rule.kpi, rule.long), (rule.kpi, rule.short)]


def judge_rule(rule: a.AnyRule, catalogue: Catalogue, now: InForce, at: float) -> Judgement:
    """Return what a rule says of a scope.

    Args:
        rule: of the catalogue.
        catalogue: whose KPIs it names.
        now: the values in force for the scope.
        at: the instant, epoch seconds of the data clock.
    """
    if isinstance(rule, a.StatusRule):
        return _status(rule, now)
    kpi = catalogue.kpis[rule.kpi]
    match rule:
        case a.ThresholdRule():
            return _threshold(rule, kpi, now)
        case a.AbsenceRule():
            return _absence(rule, kpi, now)
        case a.ForecastRule():
            return _forecast(rule, kpi, now, at)
        case a.TrendRule():
            return _trend(rule, kpi, now)
        case a.BurnRateRule():
            return _burn(rule, kpi, now)


def _doubt(rule: a.Rule, kpi: Kpi, *values: KpiValue | None) -> str:
    """Return why values say nothing, empty where they do."""
    least = kpi.min_sample if rule.min_sample is None else rule.min_sample
    for value in values:
        if value is None or value.value is None:
            return "no value"
        if value.count < least:
            return f"sample too small: {value.count} of {least}"
        if value.coverage is not None and 100 * value.coverage < rule.min_coverage:
            return f"coverage too low: {100 * value.coverage:.0f}% of {rule.min_coverage:g}%"
    return ""


def _unknown(kpi: Kpi, value: KpiValue | None, why: str) -> Judgement:
    if value is None:
        return Judgement(None, unit=kpi.unit, note=why)
    return Judgement(None, value=value.value, unit=kpi.unit, count=value.count, coverage=value.coverage, note=why)


def _threshold(rule: a.ThresholdRule, kpi: Kpi, now: InForce) -> Judgement:
    value = now.value(kpi.id, rule.window)
    if why := _doubt(rule, kpi, value):
        return _unknown(kpi, value, why)
    assert value is not None
    assert value.value is not None
    bad = badness(kpi, value.value)
    limit, clear = badness(kpi, rule.limit), badness(kpi, rule.limit if rule.clear is None else rule.clear)
    holds = bad >= limit - _EQUAL
    over = not holds and (bad < clear or clear >= limit)
    return Judgement(holds, over, value.value, rule.limit, kpi.unit, value.count, value.coverage)


def _absence(rule: a.AbsenceRule, kpi: Kpi, now: InForce) -> Judgement:
    value = now.value(kpi.id, rule.window)
    if value is None:  # never heard of: nothing fell silent
        return Judgement(holds=False, over=True, unit="%")
    # without a word of its sources, a value that is gone is all the sign there is
    delivered = value.coverage if value.coverage is not None else float(value.value is not None)
    holds = 100 * delivered < rule.below_coverage or value.value is None
    note = "share of the window that its sources delivered"
    return Judgement(holds, not holds, 100 * delivered, rule.below_coverage, "%", value.count, value.coverage, note)


def _status(rule: a.StatusRule, now: InForce) -> Judgement:
    status = now.status(rule.csf, rule.window)
    if status is None or (status.status == "unknown" and "unknown" not in rule.states):
        return Judgement(None, note="status unknown")
    holds = status.status in rule.states
    better = rule.clear is None or status.score is None or status.score >= rule.clear
    # what is worse than the states of a rule is another rule's to tell
    over = not holds and (better or status.status == "concern")
    note = f"of 100; status {status.status.replace('_', ' ')}"
    return Judgement(holds, over, status.score, None, "points", 0, None, note)


def _forecast(rule: a.ForecastRule, kpi: Kpi, now: InForce, at: float) -> Judgement:
    month, recent = now.value(kpi.id, MONTH), now.value(kpi.id, rule.recent)
    if month is None or not month.start <= at < month.end:
        return Judgement(None, unit=kpi.unit, note="no running month")
    if why := _doubt(rule, kpi, month, recent):
        return _unknown(kpi, month, why)
    assert month.value is not None
    assert recent is not None
    assert recent.value is not None
    if month.target is None:
        return _unknown(kpi, month, "no target")
    limits = (month.target, kpi.unit, month.count, month.coverage)
    if settled(kpi, month.value, month.target) is False:
        return Judgement(True, False, month.value, *limits, "the month so far: its rest cannot make up for it")
    length = month.end - month.start
    passed = (at - month.start) / length
    usual = recent.value * length / (recent.end - recent.start) if grows(kpi) else recent.value
    end = month_end(kpi, month.value, passed, usual) if 100 * passed >= rule.after else None
    if end is None:
        return _unknown(kpi, month, "too early to tell")
    worse_by = badness(kpi, end) - badness(kpi, month.target)
    holds = worse_by > _EQUAL
    note = f"forecast for the end of the month if it goes on like the last {rule.recent}"
    return Judgement(holds, not holds and worse_by <= _EQUAL - rule.clear_by, end, *limits, note)


def _trend(rule: a.TrendRule, kpi: Kpi, now: InForce) -> Judgement:
    recent, base = now.value(kpi.id, rule.recent), now.value(kpi.id, rule.baseline)
    if why := _doubt(rule, kpi, recent, base):
        return _unknown(kpi, recent, why)
    assert recent is not None
    assert base is not None
    assert recent.value is not None
    assert base.value is not None
    if base.value == 0:
        return _unknown(kpi, recent, "nothing to compare with")
    scale = (recent.end - recent.start) / (base.end - base.start) if grows(kpi) else 1.0
    before = base.value * scale
    worse = 100 * (badness(kpi, recent.value) - badness(kpi, before)) / abs(before)
    holds = worse >= rule.worse_by - _EQUAL
    clear = rule.worse_by if rule.clear_below is None else rule.clear_below
    note = f"worse over {rule.recent} than over {rule.baseline}, in percent of it"
    return Judgement(
        holds, not holds and worse < max(clear, _EQUAL), worse, rule.worse_by, "%", recent.count, recent.coverage, note
    )


def _burn(rule: a.BurnRateRule, kpi: Kpi, now: InForce) -> Judgement:
    long, short = now.value(kpi.id, rule.long), now.value(kpi.id, rule.short)
    if why := _doubt(rule, kpi, long, short):
        return _unknown(kpi, long, why)
    assert long is not None
    assert short is not None
    allowed = allowed_share(kpi, long.target if long.target is not None else kpi.target)
    if allowed is None:
        return _unknown(kpi, long, "no target")
    burn_long, burn_short = _bad_share(kpi, long) / allowed, _bad_share(kpi, short) / allowed
    holds = burn_long > rule.factor and burn_short > rule.factor
    # once it is over, what is told is the window that is back
    told, other, value = (long, short, burn_long) if holds or burn_long <= burn_short else (short, long, burn_short)
    over, beside = (rule.long, rule.short) if told is long else (rule.short, rule.long)
    note = f"burn rate of the error budget over {over} (over {beside}: {_bad_share(kpi, other) / allowed:.1f})"
    return Judgement(holds, not holds, value, rule.factor, "times", told.count, told.coverage, note)


def _bad_share(kpi: Kpi, value: KpiValue) -> float:
    """Return the share (0-1) of bad events of a known share in percent."""
    assert value.value is not None
    return (100 - value.value if kpi.direction == "up" else value.value) / 100
