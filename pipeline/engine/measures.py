"""From merged states to a KPI's value: one function a kind of measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.aggregate.base import MICRO
from pipeline.aggregate.distinct import cardinality
from pipeline.aggregate.groups import weighted
from pipeline.aggregate.peak import busiest
from pipeline.aggregate.quantiles import exact_quantile, sketch_quantile
from pipeline.catalogue import model
from pipeline.engine.bases import Base
from pipeline.engine.facts import Facts
from pipeline.engine.freshness import Freshness
from pipeline.engine.uptime import Uptime, seconds
from pipeline.time.panes import HOUR, LENGTH, SLIDE
from pipeline.values import WINDOWS

_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S
#: Running hours, days and months are evaluated so often.
RUNNING_STEP_S = 60
_PEAK_FROM_S = 21_600


@dataclass(frozen=True)
class Span:
    """A period or window of a scope: [start, end), and the instant up to which time has passed."""

    period: str
    start: int
    end: int
    now: float

    @property
    def runs(self) -> bool:
        """Whether time still runs in it."""
        return self.end > self.now

    @property
    def as_of(self) -> int:
        """The last whole step of the clock, seconds: what depends on time is told as of it, and holds until the next."""
        step = LENGTH[SLIDE[self.period]] if self.period in WINDOWS else RUNNING_STEP_S
        return int(self.now) // step * step

    @property
    def measured_end(self) -> int:
        """End of what has passed of it in whole steps, seconds."""
        return max(self.start, min(self.end, self.as_of))

    @property
    def stock_at(self) -> int:
        """The instant a stock is counted at: its end, or the end of the running step."""
        return self.end if self.period in WINDOWS else min(self.end, self.as_of + RUNNING_STEP_S)


@dataclass(frozen=True)
class Outcome:
    """A measured value.

    Attributes:
        value: in the KPI's unit, None where unknown.
        count: sample size.
        numerator, denominator: the sums it is the ratio of, where it is one.
        is_count: zero needs coverage to be known.
        touched: there are facts, though they may have been taken back since.
    """

    value: float | None
    count: int = 0
    numerator: float | None = None
    denominator: float | None = None
    is_count: bool = False
    touched: bool = True


UNKNOWN = Outcome(None, touched=False)
EMPTIED = Outcome(None)


@dataclass(frozen=True)
class World:
    """What measures read."""

    facts: Facts
    uptime: Uptime
    freshness: Freshness


def measure(kpi: model.Kpi, roles: dict[str, Base], world: World, scope: str, span: Span) -> Outcome:
    """Return the outcome of a KPI for a scope and span."""
    how, main, facts = kpi.measure, roles["main"], world.facts
    match how:
        case model.Availability():
            return _availability(kpi, how, roles, world, scope, span)
        case model.Freshness():
            return _freshness(main, world, scope, span)
        case model.Stickiness():
            return _stickiness(main, facts, scope, span)
        case model.PerUserDay():
            return _per_user_day(how, roles, facts, scope, span)
        case model.Stock():
            state = facts.sums_until(main, scope, span.stock_at)
            if state is None:
                return Outcome(0.0, 0, is_count=True, touched=False)
            return Outcome(float(state[1] - state[2]), state[0], is_count=True)
        case model.Peak():
            return _peak(how, main, facts, scope, span)
    state = facts.span(main, scope, facts.panes(span.period, span.start, span.end), keep=span.runs)
    return _from_state(how, main, state, span)


def _from_state(how: model.AnyMeasure, main: Base, state: Any, span: Span) -> Outcome:
    """Return the outcome of a measure that reads one merged state."""
    match how:
        case model.Count():
            n = state[0] if state else 0
            days = (span.measured_end - span.start) / _DAY_S if how.per == "day" else 1.0
            return Outcome(
                n / days if days > 0 else None, n, float(n), days if how.per == "day" else None, True, state is not None
            )
        case model.Distinct():
            n = cardinality(state)
            return Outcome(n, round(n), is_count=True, touched=state is not None)
        case model.Sum():
            if not state or not state[0]:
                return Outcome(0.0, 0, is_count=True, touched=state is not None)
            return Outcome(state[1] / MICRO / model.SCALE_SECONDS[how.scale], state[0])
    if not state:
        return UNKNOWN if state is None else EMPTIED
    match how:
        case model.Mean():
            n, num, den = state
            unit = MICRO * model.SCALE_SECONDS[how.scale]
            return Outcome(num / den / unit, n, num / unit, float(den)) if den else EMPTIED
        case model.Share():
            n, num, den = state
            return Outcome(100 * num / den, n, float(num), float(den)) if den else EMPTIED
        case model.Ratio():
            n, num, den = state
            return Outcome(how.factor * num / den, n, num / MICRO, den / MICRO) if den else EMPTIED
        case model.Quantile():
            scale = model.SCALE_SECONDS[how.scale]
            n = sum(state.values())
            found = (exact_quantile if main.spec.state == "multiset" else sketch_quantile)(state, how.q)
            if found is None:
                return EMPTIED
            return Outcome(found / (MICRO * scale if main.spec.state == "multiset" else scale), n)
        case model.Forecast():
            value, n = weighted(state, how.stat)
            return Outcome(value, n)
    return UNKNOWN


def _by_day(base: Base, facts: Facts, scope: str, span: Span) -> list[Any]:
    """Return the merged state of each elapsed local day of a span (edges of a window: the part inside)."""
    last = max(span.start, min(span.end - 1, span.as_of))
    return [facts.span(base, scope, panes) for panes in facts.panes_by_day(span.period, span.start, span.end, last)]


def _stickiness(base: Base, facts: Facts, scope: str, span: Span) -> Outcome:
    if span.end - span.start < _WEEK_S:
        return UNKNOWN
    daily = [cardinality(s) for s in _by_day(base, facts, scope, span)]
    period = cardinality(facts.span(base, scope, facts.panes(span.period, span.start, span.end), keep=span.runs))
    if not period or not daily:
        return UNKNOWN
    mean = sum(daily) / len(daily)
    return Outcome(100 * mean / period, round(period), mean, period)


def _per_user_day(how: model.PerUserDay, roles: dict[str, Base], facts: Facts, scope: str, span: Span) -> Outcome:
    state = facts.span(roles["main"], scope, facts.panes(span.period, span.start, span.end), keep=span.runs)
    user_days = sum(cardinality(s) for s in _by_day(roles["users"], facts, scope, span))
    if not user_days or not state or not state[0]:
        return UNKNOWN if state is None else EMPTIED
    total = state[1] / MICRO / model.SCALE_SECONDS[how.scale]
    return Outcome(total / user_days, state[0], total, user_days)


def _peak(how: model.Peak, base: Base, facts: Facts, scope: str, span: Span) -> Outcome:
    if span.period in WINDOWS:
        if span.end - span.start < _PEAK_FROM_S:
            return UNKNOWN
        first = span.start // 3600 * 3600
        panes = [(HOUR, h) for h in range(first, span.end, 3600)]
    elif span.period == "hour":
        return UNKNOWN
    else:
        panes = facts.panes(span.period, span.start, span.end)
    state = facts.span(base, scope, panes)
    hour = busiest(state) if state else None
    if hour is None:
        return UNKNOWN
    requests, errors, latencies, minutes = hour
    match how.stat:
        case "p95":
            return Outcome(sketch_quantile(latencies, 0.95), sum(latencies.values()))
        case "throughput":
            return Outcome(max(minutes.values()) / 60, requests)
        case "error_rate":
            return Outcome(100 * errors / requests, requests, float(errors), float(requests))


def _availability(
    kpi: model.Kpi, how: model.Availability, roles: dict[str, Base], world: World, scope: str, span: Span
) -> Outcome:
    facts, uptime = world.facts, world.uptime
    now_ms, start, end = span.as_of * 1000, span.start * 1000, span.end * 1000
    up = down = 0.0
    outages = 0
    majors = checks = False
    for service in facts.services(scope):
        checks = checks or _begun(facts, roles["main"], service, span)
        up_time, down_time = uptime.times(roles["main"], roles["maintenance"], service, start, end, now_ms)
        up += seconds(up_time)
        down += seconds(down_time)
        if "major" in roles:
            outages += uptime.outages(roles, service, start, end, now_ms)
            majors = majors or _begun(facts, roles["major"], service, span)
    observed = up + down
    # what was told may have been taken back: an outage that was another's, time that was planned
    unknown = EMPTIED if checks or majors else UNKNOWN
    if how.stat == "outages":
        return (
            Outcome(float(outages), max(1, int(observed)))
            if observed or outages
            else Outcome(0.0, 0, is_count=True, touched=checks or majors)
        )
    if not observed:
        return unknown
    if how.stat == "mtbf":
        return Outcome(up / 3600 / outages, int(observed), up / 3600, float(outages)) if outages else unknown
    share = up / observed
    if how.stat == "availability":
        return Outcome(100 * share, int(observed), up, observed)
    target = _availability_target(kpi, facts, scope, span)
    if target is None:
        return unknown
    allowed = 1 - target / 100
    return Outcome(100 * (1 - (1 - share) / allowed), int(observed), down, allowed * observed)


def _begun(facts: Facts, base: Base, service: str, span: Span) -> bool:
    """Return whether a base had a fact of a service before a span ended, so that something may have been told of it."""
    days = facts.days_of(base.key, service)
    return bool(days) and days[0] < span.end


def _availability_target(kpi: model.Kpi, facts: Facts, scope: str, span: Span) -> float | None:
    """Return the availability target in force, percent: what the error budget is spent against."""
    catalogue = facts.plan.catalogue
    for other in catalogue.kpis.values():
        if (
            other.csf == kpi.csf
            and isinstance(other.measure, model.Availability)
            and other.measure.stat == "availability"
        ):
            day = facts.calendar.local(span.start).date()
            team = facts.team(scope.partition(":")[2]) if scope.startswith("service:") else None
            return catalogue.target_for(other.id, scope, team, day)
    return None


def _freshness(base: Base, world: World, scope: str, span: Span) -> Outcome:
    """Return the mean age of the last success: the integral of (t - last) over the observed time."""
    start, end = span.start * 1000, span.measured_end * 1000
    aged, observed, pairs = (
        world.freshness.age(base, world.facts.services(scope), start, end) if end > start else (0, 0, 0)
    )
    if not observed:
        return UNKNOWN
    return Outcome(aged / 2 / observed / 1000, pairs, aged / 2e6, observed / 1000)
