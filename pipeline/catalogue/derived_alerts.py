"""Rules that follow from the catalogue itself: thresholds, targets and CSF states, without a line of YAML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, floor

import msgspec

from pipeline.catalogue.alerts import (
    AbsenceRule,
    AnyRule,
    BurnRateRule,
    ForecastRule,
    Severity,
    StatusRule,
    ThresholdRule,
)
from pipeline.catalogue.model import (
    Availability,
    Catalogue,
    Count,
    Csf,
    Distinct,
    Kpi,
    Organisation,
    Peak,
    Quantile,
    Ratio,
    Share,
    Stock,
)
from pipeline.evaluate.judge import badness
from pipeline.evaluate.words import grows
from pipeline.values import WINDOWS

#: Length of the error budget, seconds (rolling 30 days).
BUDGET_S = 30 * 86_400
#: (id, long, short, burn rate, severity): The Site Reliability Workbook, chapter 5, table of recommended parameters:
#: 2 % of a 30-day budget in an hour, 5 % in six hours, 10 % in three days.
_BURNS: tuple[tuple[str, str, str, float, Severity], ...] = (
    ("fast", "1h", "5m", 14.4, "critical"),
    ("slow", "6h", "30m", 6.0, "critical"),
    ("ticket", "3d", "6h", 1.0, "warning"),
)
#: What burns just faster than it lasts would be *1 times too fast*.
_TOO_FAST = {1.0: "faster than it lasts"}
#: Rolling window of a threshold rule by the smallest period the KPI is offered for.
_WINDOW = {"live": "24h", "hour": "24h", "6h": "24h", "day": "24h", "week": "7d"}
#: An outage lasts so long at least (docs/semantics.md), seconds.
_OUTAGE_S = 60
#: The clear limit lies so far from the limit on the way to the next better one.
_HYSTERESIS = 0.25


def derived_rules(catalogue: Catalogue) -> Iterator[AnyRule]:
    """Yield the rules of every KPI that counts (weight above 0) and has thresholds or an objective, and of every CSF."""
    for kpi in catalogue.kpis.values():
        if kpi.weight > 0:
            yield from _of_kpi(kpi, catalogue)
    for csf in catalogue.csfs.values():
        yield _of_csf(csf, catalogue.organisation)


def _of_kpi(kpi: Kpi, catalogue: Catalogue) -> Iterator[AnyRule]:
    if kpi.thresholds is not None:
        yield from _thresholds(kpi, kpi.thresholds.amber, kpi.thresholds.red)
    if (allowed := allowed_share(kpi, kpi.target)) is not None and kpi.smallest == "live":
        yield from _burns(kpi, allowed)
        if isinstance(kpi.measure, Availability):
            yield AbsenceRule(
                id=f"{kpi.id}_absent", name=f"{kpi.name}: sources are silent", kpi=kpi.id, severity="critical",
                scopes=("service:*",), derived=True,
            )  # fmt: skip
    if kpi.target is not None:
        yield ForecastRule(
            id=f"{kpi.id}_forecast", name=f"{kpi.name}: the month will miss its target", kpi=kpi.id, scopes=("org",),
            severity="info", hold="6h", clear_for="6h", clear_by=_margin(kpi, targets_of(kpi, catalogue)), derived=True,
        )  # fmt: skip


def _thresholds(kpi: Kpi, amber: float, red: float) -> Iterator[AnyRule]:
    good = amber if kpi.target is None else kpi.target
    rule = ThresholdRule(
        id=f"{kpi.id}_red", name=f"{kpi.name} beyond red", kpi=kpi.id, window=_window(kpi), limit=red, severity="critical",
        clear=red + _HYSTERESIS * (amber - red), hold="5m", min_sample=_least(kpi, red), scopes=_scopes(kpi), derived=True,
    )  # fmt: skip
    yield rule
    # where amber begins only beyond the target's own value (breaches: 0), what is on target would be told of
    on_target = kpi.target is not None and badness(kpi, amber) <= badness(kpi, kpi.target)
    if amber != red and not on_target:
        yield msgspec.structs.replace(
            rule, id=f"{kpi.id}_amber", name=f"{kpi.name} beyond amber", limit=amber, severity="warning",
            min_sample=_least(kpi, amber), clear=amber + _HYSTERESIS * (good - amber), quiet_while=(f"{kpi.id}_red",),
        )  # fmt: skip


def _scopes(kpi: Kpi) -> tuple[str, ...]:
    """Return where a KPI's limits hold.

    How many there should be at least (users, deployments, requests) is said of the organisation; a service has a part of them.
    """
    of_all = isinstance(kpi.measure, Count | Distinct) or (
        isinstance(kpi.measure, Peak) and kpi.measure.stat == "throughput"
    )
    return ("org",) if of_all and kpi.direction == "up" else ("org", "service:*")


def _window(kpi: Kpi) -> str:
    """Return the rolling window over which a KPI's thresholds are looked at.

    A limit that counts over a month is one over 30 days: of what adds up, of the error budget, and of what a single day mostly has
    none of, so that its rate or the time between two would be at its worst each day. What is an average is looked at over a day.
    """
    measure = kpi.measure
    of_a_month = isinstance(measure, Availability) and measure.stat != "availability"
    rate = isinstance(measure, Count) and measure.per == "day"
    return "30d" if grows(kpi) or of_a_month or rate else _WINDOW[kpi.smallest]


def _least(kpi: Kpi, limit: float) -> int | None:
    """Return the smallest sample by which a KPI is held against a limit, None for the KPI's own.

    A share of so few cases that a single bad one is at the limit says nothing but that there was one; so does an availability of so
    short a time that the shortest outage is. A quantile of fewer cases than leave one beyond it, 1 / (1 - q), is just the worst of them.
    """
    measure, up = kpi.measure, kpi.direction == "up"
    match measure:
        case Share() | Availability(stat="availability"):
            bad = (100 - limit if up else limit) / 100
            one = _OUTAGE_S if isinstance(measure, Availability) else 1
            return max(kpi.min_sample, floor(one / bad + 1e-9) + 1) if bad > 0 else None
        case Quantile():
            beyond = measure.q if up else 1 - measure.q
            return max(kpi.min_sample, ceil(1 / beyond - 1e-9)) if beyond > 0 else None
    return None


def _burns(kpi: Kpi, allowed: float) -> Iterator[AnyRule]:
    quicker: list[str] = []
    for name, long, short, factor, severity in _BURNS:
        # of fewer events than this a single failure is more than is allowed; of less time than this its sources are silent
        timed = isinstance(kpi.measure, Availability)
        least = max(kpi.min_sample, WINDOWS[short] // 2 if timed else ceil(1 / allowed))
        if factor * allowed < 1:  # a burn rate above 1 / (1 - target) is never reached
            yield BurnRateRule(
                id=f"{kpi.id}_burn_{name}", name=f"{kpi.name}: error budget burns {_TOO_FAST.get(factor, f'{factor:g} times too fast')}",
                kpi=kpi.id, long=long, short=short, factor=factor, severity=severity, quiet_while=tuple(quicker), min_sample=least,
                derived=True,
            )  # fmt: skip
            quicker.append(f"{kpi.id}_burn_{name}")


def _margin(kpi: Kpi, targets: Sequence[float]) -> float:
    """Return by how much a forecast must beat the target until the month is no longer said to miss it, in the KPI's unit.

    That is a part of the way from target to amber, on the good side of the target; of what has a best value at most half of what is
    left up to it.
    """
    if kpi.thresholds is None or kpi.target is None:
        return 0.0
    way = badness(kpi, kpi.thresholds.amber) - badness(kpi, kpi.target)
    room = room_to_beat(kpi, targets)
    margin = _HYSTERESIS * max(0.0, way)
    return margin if room is None else min(margin, room / 2)


def _of_csf(csf: Csf, organisation: Organisation) -> AnyRule:
    ends, aligned = organisation.at_risk_score, organisation.aligned_score
    return StatusRule(
        id=f"{csf.id}_concern", name=f"{csf.name} is a concern", csf=csf.id, scopes=("org",), severity="critical",
        hold="5m", clear=ends + _HYSTERESIS * (aligned - ends), clear_for="30m", derived=True,
    )  # fmt: skip


def targets_of(kpi: Kpi, catalogue: Catalogue) -> list[float]:
    """Return every target that a KPI has, its own and those of the organisation, teams and services."""
    return [t for t in (kpi.target, *(t.value for t in catalogue.targets if t.kpi == kpi.id)) if t is not None]


def best_value(kpi: Kpi) -> float | None:
    """Return the best value that a KPI can have, None where its measure sets no bound."""
    if is_share(kpi):
        return 100.0 if kpi.direction == "up" else 0.0
    counted = isinstance(kpi.measure, Count | Distinct | Stock) and kpi.direction != "up"
    return 0.0 if counted or kpi.direction == "zero" else None


def room_to_beat(kpi: Kpi, targets: Sequence[float]) -> float | None:
    """Return by how much the hardest of a KPI's targets can be beaten, in its unit; None where there is no bound."""
    best = best_value(kpi)
    if best is None or not targets:
        return None
    return max(0.0, min(badness(kpi, target) for target in targets) - badness(kpi, best))


def is_share(kpi: Kpi) -> bool:
    """Return whether a KPI can only be 0 to 100 percent."""
    measure = kpi.measure
    return isinstance(measure, Share) or (isinstance(measure, Availability) and measure.stat == "availability")


def allowed_share(kpi: Kpi, target: float | None) -> float | None:
    """Return the share (0-1) of bad events that a ratio objective allows; None where the KPI is none.

    A ratio objective is an availability or a share in percent with a target strictly between 0 and 100. A ratio of sums
    counts as a share where its thresholds lie between 0 and 100 too.
    """
    limits = () if kpi.thresholds is None else (kpi.thresholds.amber, kpi.thresholds.red)
    ratio = isinstance(kpi.measure, Ratio) and kpi.measure.factor == 100 and kpi.unit == "%" and bool(limits)
    if not (is_share(kpi) or (ratio and all(0 <= limit <= 100 for limit in limits))):
        return None
    if target is None or not 0 < target < 100 or kpi.direction == "zero":
        return None
    return (100 - target) / 100 if kpi.direction == "up" else target / 100


def absence_delay_s(rule: AbsenceRule, allowed: float | None) -> int:
    """Return for how long sources may be silent before it is raised.

    That is ``for`` where it is given, else the time in which a silent source would burn ``budget_share`` percent of the
    30-day error budget if all it does not say were failures; a minute at least.
    """
    if rule.hold_s or allowed is None:
        return rule.hold_s
    return max(60, round(rule.budget_share / 100 * allowed * BUDGET_S))
