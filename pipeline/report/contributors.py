"""Which services drive a KPI's change: an exact decomposition where there is one, else the services' own changes.

A **sum** (counts, sums, stocks) changes by the sum of its parts' changes.

A **ratio of sums** ``R = f x sum n / sum d`` is the mean of its parts' ratios ``r = f x n / d`` weighted by
``w = d / sum d``. With bars for the mean of both months, the part of one service in ``R1 - R0`` is::

    rate  = w_bar x (r1 - r0)                 what its own ratio's change makes
    mix   = (r_bar - R_bar) x (w1 - w0)       what its changed weight makes, against the whole's ratio
    effect = rate + mix

The effects of all services add up to the change exactly, as the weights add up to 1 in both months: this is the
symmetric form (midpoint weights) of the shift-share or Oaxaca-Blinder decomposition (E. M. Kitagawa, Components of a
difference between two rates, J. Am. Stat. Assoc. 50, 1955). A service that is new or gone has mix only.

Medians, distinct users and peaks have no such parts; there the services' own changes order them, without effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipeline.catalogue import model
from pipeline.evaluate.judge import badness_by
from pipeline.evaluate.words import growth
from pipeline.report.kpireport import Contributor, KpiReport, Point

#: A service dominates a change that it makes more than half of.
DOMINANT = 0.5
#: How far effects may miss the change, relative to the figures: rounding of stored values, nothing more.
_TOLERANCE = 1e-6


def contributors(
    kpi: model.Kpi,
    whole: Point,
    whole_before: Point | None,
    services: Mapping[str, Point],
    services_before: Mapping[str, Point],
    names: Mapping[str, str] | None = None,
) -> list[Contributor]:
    """Return the services below a scope with their part in its KPI's change, greatest first.

    Effects are given only where those of all services add up to the change: not where a service is missing, and not
    while the month runs for what grows with it.

    Args:
        kpi: gives the measure.
        whole: the scope's month.
        whole_before: the scope's month before, None where unknown.
        services: scope of each service (``service:shop``) to its month.
        services_before: the same for the month before.
        names: scope to a name for people; the scope itself where absent.
    """
    scopes = sorted({*services, *services_before})
    found = {s: (services.get(s), services_before.get(s)) for s in scopes}
    effects = _effects(kpi, whole, whole_before, found) if scopes else None
    change = _minus(whole.value, whole_before.value if whole_before else None)
    rows = []
    for scope, (now, before) in found.items():
        rate, mix = effects[scope] if effects else (None, None)
        effect = None if rate is None else rate + (mix or 0.0)
        rows.append(
            Contributor(
                scope=scope,
                name=(names or {}).get(scope, scope),
                value=now.value if now else None,
                previous=before.value if before else None,
                effect=effect,
                share=effect / change if effect is not None and change else None,
                count=now.count if now else 0,
                rate=rate if mix is not None else None,
                mix=mix,
            )
        )
    return sorted(rows, key=lambda c: (-abs(_size(c)), c.scope))


def dominant(found: list[Contributor]) -> Contributor | None:
    """Return the service that makes more than half of the change, in its direction, while others had a part in it."""
    if len(found) < 2 or found[0].share is None or found[0].share <= DOMINANT:
        return None
    return found[0]


def driver(report: KpiReport) -> Contributor | None:
    """Return the service that dominates a movement: only where the month before lies on the side that the value left.

    A movement is told against the usual level. A value that is still bad, but better than last month, was not driven
    there by the service that made last month's change.
    """
    now, before = report.value, report.previous
    if now is None or before is None or report.movement not in {"improved", "worsened"}:
        return None
    better = badness_by(report.direction, now) < badness_by(report.direction, before)
    return dominant(report.contributors) if better == (report.movement == "improved") else None


def _size(row: Contributor) -> float:
    if row.effect is not None:
        return row.effect
    change = _minus(row.value, row.previous)
    return change if change is not None else 0.0


def _minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


Found = Mapping[str, tuple[Point | None, Point | None]]
#: (rate, mix) of each scope; mix is None for what is no ratio
Effects = dict[str, tuple[float, float | None]]


def _effects(kpi: model.Kpi, whole: Point, before: Point | None, found: Found) -> Effects | None:
    """Return the effects of all services, None where they do not add up to the change."""
    if before is None or whole.value is None or before.value is None:
        return None
    if growth(kpi) == "grows" and min(whole.elapsed, before.elapsed) < 1:
        return None
    factor = _ratio_factor(kpi)
    effects = _of_ratio(factor, found) if factor is not None else _of_sum(found) if _adds_up(kpi) else None
    if effects is None:
        return None
    total = math.fsum(rate + (mix or 0.0) for rate, mix in effects.values())
    near = _TOLERANCE * max(1.0, abs(whole.value), abs(before.value))
    return effects if abs(total - (whole.value - before.value)) <= near else None


def _adds_up(kpi: model.Kpi) -> bool:
    return isinstance(kpi.measure, model.Count | model.Sum | model.Stock) or (
        isinstance(kpi.measure, model.Availability) and kpi.measure.stat == "outages"
    )


def _ratio_factor(kpi: model.Kpi) -> float | None:
    """Return what a ratio of sums is multiplied by, None for what is none over services."""
    match kpi.measure:
        case model.Share() | model.Availability(stat="availability"):
            return 100.0
        case model.Mean() | model.Availability(stat="mtbf"):
            return 1.0
        case model.Ratio():
            return kpi.measure.factor
    return None


def _of_sum(found: Found) -> Effects | None:
    """Return each service's change; one without a value in a month had nothing in it."""
    return {
        scope: (((now.value if now else None) or 0.0) - ((before.value if before else None) or 0.0), None)
        for scope, (now, before) in found.items()
    }


def _parts(point: Point | None) -> tuple[float, float] | None:
    """Return numerator and denominator, (0, 0) for a month without a value, None where they were not kept."""
    if point is None or point.value is None:
        return 0.0, 0.0
    if point.numerator is None or point.denominator is None:
        return None
    return point.numerator, point.denominator


def _of_ratio(factor: float, found: Found) -> Effects | None:
    """Return each service's rate and mix effect."""
    now, before = ({s: _parts(pair[i]) for s, pair in found.items()} for i in (0, 1))
    kept_now = {s: p for s, p in now.items() if p is not None}
    kept_before = {s: p for s, p in before.items() if p is not None}
    total, total_before = (math.fsum(d for _, d in kept.values()) for kept in (kept_now, kept_before))
    if len(kept_now) < len(now) or len(kept_before) < len(before) or total <= 0 or total_before <= 0:
        return None
    middle = factor * math.fsum(n for n, _ in kept_now.values()) / total
    middle = (middle + factor * math.fsum(n for n, _ in kept_before.values()) / total_before) / 2
    effects: Effects = {}
    for scope, (n1, d1) in kept_now.items():
        n0, d0 = kept_before[scope]
        w1, w0 = d1 / total, d0 / total_before
        own = factor * n1 / d1 if d1 else None
        own_before = factor * n0 / d0 if d0 else own
        if own_before is None:
            effects[scope] = (0.0, 0.0)
            continue
        own = own_before if own is None else own
        effects[scope] = ((w0 + w1) / 2 * (own - own_before), ((own + own_before) / 2 - middle) * (w1 - w0))
    return effects
