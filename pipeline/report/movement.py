"""Whether a KPI really moved in a month: what may be called a change, and what is noise.

With eight or more known months a movement is named only by the KPI's process behaviour chart (``levels``): the month is
outside the natural limits of the months before it, or ends a run. The comparison of two samples then only supports
it: of 90,000 visits any difference is significant. Where the month's count is small, chance alone can carry it over
limits that few events drew; so a month that was counted must differ from its level by more than that, too.

With fewer months the month is compared with the last known one by the test its counts allow, widened by how much earlier
months differed; and the change must be one that matters. Values without counts then say nothing yet.
``docs/report-statistics.md`` gives reasons, sources and a worked example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from pipeline.catalogue.model import Kpi, Sum
from pipeline.evaluate.judge import badness
from pipeline.evaluate.words import growth
from pipeline.report import words
from pipeline.report.comparison import by_chance, by_chance_and_spread
from pipeline.report.kpireport import Movement, NaturalLimits, Point, Signal, Trend
from pipeline.report.levels import FEWEST, Level, level
from pipeline.report.measures import bounds, month_number, sample
from pipeline.report.statistics import (
    LIMIT_FACTOR,
    RUN,
    Limits,
    mann_kendall,
    near_limit,
    run_length,
    theil_sen,
)

#: Known months, the reported one among them, from which process behaviour charts decide.
CHART_MONTHS = FEWEST + 1
#: Known months from which a trend is looked for: with fewer even a perfect one is not clear at this level.
TREND_MONTHS = 6
#: Probability by chance below which two samples, or a trend, are taken to be different.
CLEAR = 0.01
#: The same for a counted month against its level, which only guards what the chart has found.
BEYOND_CHANCE = 0.05
#: Share of its sources' time that a month must have to say anything, and share of a running month that must have passed.
ENOUGH_COVERAGE = 0.5
ENOUGH_ELAPSED = 0.5
#: With few months, the least change that matters: relative to a count, or to the smaller side of a share.
MATTERS = 0.05


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What the statistics say of a KPI's month; the fields of ``KpiReport`` of the same names."""

    movement: Movement
    movement_reason: str
    signals: list[Signal]
    trend: Trend
    natural_limits: NaturalLimits | None


@dataclass(frozen=True)
class _Case:
    """A KPI's months that can be compared: the one reported and those known before it."""

    kpi: Kpi
    month: Point
    before: list[Point]

    @property
    def value(self) -> float:
        """The reported month's value."""
        return self.month.value or 0.0

    @property
    def earlier(self) -> list[float]:
        """The values before."""
        return [p.value for p in self.before if p.value is not None]

    def figure(self, value: float | None) -> str:
        """Return a value as it is written."""
        return words.quantity(value, self.kpi.unit, self.kpi.decimals)

    def good(self, value: float, than: float) -> bool | None:
        """Return whether a value is better than another; None for as good."""
        a, b = badness(self.kpi, value), badness(self.kpi, than)
        return None if a == b else a < b


def known(kpi: Kpi, point: Point) -> bool:
    """Return whether a month says enough to be compared: value, sample and coverage."""
    covered = point.coverage is None or point.coverage >= ENOUGH_COVERAGE
    return point.value is not None and point.count >= kpi.min_sample and covered


def comparable(kpi: Kpi, history: Sequence[Point]) -> list[Point]:
    """Return the known months that the last definition made, in order."""
    months = sorted(history, key=lambda p: p.month)
    versions = [p.definition_version for p in months if p.value is not None]
    cut = len(months)
    while cut and (months[cut - 1].value is None or months[cut - 1].definition_version == versions[-1]):
        cut -= 1
    return [p for p in months[cut:] if known(kpi, p)]


def assess(kpi: Kpi, history: Sequence[Point]) -> Assessment:
    """Return whether a KPI moved in the last month of its history, and what says so.

    Args:
        kpi: gives direction, unit, decimals, minimum sample and measure.
        history: months in any order, the last by name being the one reported; unknown months have no value.
    """
    if not history:
        return _unknown("There is no month to look at.", Trend(), None)
    now = max(history, key=lambda p: p.month)
    months = comparable(kpi, history)
    whole = [p for p in months if p.elapsed >= 1 or (growth(kpi) == "level" and p.elapsed >= ENOUGH_ELAPSED)]
    trend = find_trend(kpi, whole)
    before = [p for p in months if p.month < now.month]
    case = _Case(kpi, now, before)
    reached = level(case.earlier, finest(kpi))
    drawn = reached.limits(finest(kpi)) if len(before) >= CHART_MONTHS - 1 else None
    shown = _shown(case, drawn, reached)
    reason = _too_little(kpi, now, months, history)
    if reason:
        return _unknown(reason, trend, shown)
    if now.elapsed < 1 and (growth(kpi) != "level" or now.elapsed < ENOUGH_ELAPSED):
        return _running(case, drawn, trend, shown)
    if drawn is None or shown is None:
        return _two_months(case, trend)
    return _charted(case, reached, drawn, trend, shown)


def finest(kpi: Kpi) -> float:
    """Return the least difference that a KPI's figures show."""
    return 10.0**-kpi.decimals


def find_trend(kpi: Kpi, months: Sequence[Point]) -> Trend:
    """Return the trend over known months: Theil-Sen slope a month, taken for real by Mann-Kendall at 1 %."""
    values = [p.value for p in months if p.value is not None]
    if len(values) < TREND_MONTHS:
        return Trend(months=len(values))
    times = [month_number(p.month) for p in months]
    slope, test = theil_sen(times, values), mann_kendall(values)
    if test.p_value > CLEAR or slope == 0:
        return Trend(direction="none", slope=slope, p_value=test.p_value, months=len(values))
    ahead = badness(kpi, values[-1]) - badness(kpi, values[-1] - slope * (times[-1] - times[0]))
    better = ahead < 0
    return Trend(
        direction="improving" if better else "worsening", slope=slope, p_value=test.p_value, months=len(values)
    )


def _unknown(reason: str, trend: Trend, shown: NaturalLimits | None) -> Assessment:
    return Assessment(movement="unknown", movement_reason=reason, signals=[], trend=trend, natural_limits=shown)


def _shown(case: _Case, drawn: Limits | None, reached: Level) -> NaturalLimits | None:
    """Return limits as they are shown: clipped to what the KPI can be."""
    if drawn is None:
        return None
    least, most = bounds(case.kpi, [*case.before, case.month])
    lower = drawn.lower if least is None else max(least, drawn.lower)
    upper = drawn.upper if most is None else min(most, drawn.upper)
    return NaturalLimits(lower=lower, centre=drawn.centre, upper=upper, months=len(reached.members))


def _too_little(kpi: Kpi, now: Point, months: Sequence[Point], history: Sequence[Point]) -> str:
    """Return why the month cannot be compared, or nothing."""
    if now.value is None:
        return "The month has no value."
    if now.count < kpi.min_sample:
        return f"Its sample of {now.count:,} is below the {kpi.min_sample:,} needed."
    if now.coverage is not None and now.coverage < ENOUGH_COVERAGE:
        return f"Its sources delivered only {words.share(now.coverage)} of the month."
    if len(months) == 1:
        others = [p for p in history if p.month < now.month and p.value is not None]
        if any(p.definition_version != now.definition_version for p in others):
            return "Its definition changed; the months before were made by another one."
        return (
            "There is only one month of history." if not others else "No month before it says enough to compare with."
        )
    return ""


def _signals(case: _Case, drawn: Limits, reached: Level, shown: NaturalLimits) -> list[Signal]:
    """Return what the process behaviour chart says of the month."""
    values = [*case.earlier[reached.start :], case.value]
    months = words.count(len(reached.members), "month")
    found: list[Signal] = []
    side = drawn.side(case.value)
    good = case.good(case.value, drawn.centre)
    if side:
        limit = shown.upper if side > 0 else shown.lower
        again = abs(reached.outside) + 1 if reached.outside * side > 0 else 1
        text = f"{case.figure(case.value)} is {'above the upper' if side > 0 else 'below the lower'} natural limit "
        text += f"{case.figure(limit)} of the {months} before"
        text += f", for the {('second', 'third')[again - 2]} month in a row" if again in {2, 3} else ""
        found.append(Signal(kind="outside_limits", good=good, text=f"{text}."))
    run = run_length(values, drawn.centre)
    if abs(run) >= RUN:
        text = f"{words.count(abs(run), 'month', 'months')} in a row {'above' if run > 0 else 'below'} the centre "
        found.append(Signal(kind="run_of_eight", good=good, text=f"{text}{case.figure(drawn.centre)}."))
    near = near_limit(values, drawn)
    if near and not side:
        half = drawn.centre + near * LIMIT_FACTOR * drawn.moving_range / 2
        text = (
            f"Three of the last four months are nearer the {'upper' if near > 0 else 'lower'} natural limit than the "
        )
        text += f"centre {case.figure(drawn.centre)} ({'above' if near > 0 else 'below'} {case.figure(half)})."
        found.append(Signal(kind="three_of_four", good=good, text=text))
    return found


def _charted(case: _Case, reached: Level, drawn: Limits, trend: Trend, shown: NaturalLimits) -> Assessment:
    signals = _signals(case, drawn, reached, shown)
    within = words.between(shown.lower, shown.upper, case.kpi.unit, case.kpi.decimals)
    months = words.count(shown.months, "month")
    chance = by_chance(case.kpi, [case.month], [case.before[i] for i in reached.members]) if signals else None
    if not signals or signals[0].good is None:
        text = f"{case.figure(case.value)} is within the natural limits {within} of the {months} before."
        if signals:
            text = f"{case.figure(case.value)} is as far from 0 as {case.figure(drawn.centre)}, the centre before."
        return Assessment(
            movement="steady",
            movement_reason=f"No clear change: {text}",
            signals=signals,
            trend=trend,
            natural_limits=shown,
        )
    if chance is not None and chance > BEYOND_CHANCE:
        text = (
            f"No clear change: with counts this small, {case.figure(case.value)} against {case.figure(drawn.centre)} "
        )
        text += f"in the {months} before is within what chance gives (p = {chance:.2f})."
        return Assessment(movement="steady", movement_reason=text, signals=[], trend=trend, natural_limits=shown)
    support = _against_previous(case)
    if support is not None and support.good is signals[0].good and (support.p_value or 0.0) <= CLEAR:
        signals.append(support)
    return _named(signals, trend, shown)


def _named(signals: list[Signal], trend: Trend, shown: NaturalLimits | None) -> Assessment:
    """Return the movement that the first signal names."""
    better = bool(signals[0].good)
    return Assessment(
        movement="improved" if better else "worsened",
        movement_reason=f"{'Better' if better else 'Worse'}: {_lower(signals[0].text)}",
        signals=signals,
        trend=trend,
        natural_limits=shown,
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _against_previous(case: _Case) -> Signal | None:
    """Return the comparison with the last known month before, None where its counts allow none."""
    p = by_chance_and_spread(case.kpi, [case.month], case.before[-1:], case.before)
    if p is None:
        return None
    before = case.before[-1]
    text = f"{case.figure(case.value)} against {case.figure(before.value)} in {words.month(before.month)}"
    good = case.good(case.value, before.value or 0.0)
    return Signal(kind="two_sample", good=good, text=f"{text} ({_p(p)}).", p_value=p)


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _matters(case: _Case) -> bool:
    """Return whether the change against the last known month is more than a twentieth.

    Of a share it is measured against the smaller of the share and what it lacks to a whole: 99.9 to 99.5 % is five
    times the failures.
    """
    now, last = sample(case.kpi, case.month), sample(case.kpi, case.before[-1])
    if now is None or last is None:
        return False
    a, b = now.hits / now.size, last.hits / last.size
    base = min(b, 1 - b) if now.share else b
    return abs(a - b) > MATTERS * base


def _two_months(case: _Case, trend: Trend) -> Assessment:
    """Assess by the last known month, where there are too few for a chart."""
    found = _against_previous(case)
    months = words.count(len(case.before) + 1, "month")
    if found is None or found.p_value is None:
        text = f"There are {months} of values, and none that can be tested alone; {CHART_MONTHS} are needed."
        return _unknown(text, trend, None)
    if found.good is None or found.p_value > CLEAR or not _matters(case):
        small = "" if found.p_value > CLEAR or found.good is None else ", too small a change to matter"
        text = f"No clear change: {found.text[:-1]}{small}, {months} of history."
        return Assessment(movement="steady", movement_reason=text, signals=[], trend=trend, natural_limits=None)
    return _named([found], trend, None)


def _running(case: _Case, drawn: Limits | None, trend: Trend, shown: NaturalLimits | None) -> Assessment:
    """Assess a part of a month of what only whole months tell: a count that is beyond its limit already is beyond it."""
    part = words.share(case.month.elapsed)
    counted = growth(case.kpi) == "grows" and not isinstance(case.kpi.measure, Sum)  # a sum may fall again
    if drawn is not None and shown is not None and counted and drawn.side(case.value) > 0:
        good = case.good(case.value, drawn.centre)
        text = f"{case.figure(case.value)} in {part} of the month is already above the upper natural limit "
        text += f"{case.figure(shown.upper)} of whole months."
        if good is not None:
            return _named([Signal(kind="outside_limits", good=good, text=text)], trend, shown)
    needed = "half of it is needed to compare" if growth(case.kpi) == "level" else "only whole months are compared"
    return _unknown(f"{part} of the month has passed; {needed}.", trend, shown)
