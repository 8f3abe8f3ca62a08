"""Months compared by what they were counted from: how likely chance alone makes them differ so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add

from pipeline.catalogue.model import Kpi
from pipeline.report.kpireport import Point
from pipeline.report.measures import Sample, sample
from pipeline.report.statistics import overdispersion, two_proportions, two_rates, widened

#: Events come in clusters; until so many earlier months tell how much, their variance is taken to be so many times the
#: mean.
ENOUGH_TO_SEE_SPREAD, UNSEEN_SPREAD = 3, 2.0


def samples(kpi: Kpi, points: Sequence[Point]) -> list[Sample]:
    """Return what months were counted from, as far as they were."""
    return [s for s in (sample(kpi, p) for p in points) if s is not None]


def pooled(kpi: Kpi, points: Sequence[Point]) -> Sample | None:
    """Return what months together were counted from; None where one of them was not, or there is none."""
    found = samples(kpi, points)
    return reduce(add, found) if found and len(found) == len(points) else None


def by_chance(kpi: Kpi, points: Sequence[Point], others: Sequence[Point]) -> float | None:
    """Return the two-sided p-value that some months together are as others together; None without counts."""
    these, those = pooled(kpi, points), pooled(kpi, others)
    if these is None or those is None:
        return None
    test = two_proportions if these.share else two_rates
    return test(these.hits, these.size, those.hits, those.size)


def by_chance_and_spread(
    kpi: Kpi, points: Sequence[Point], others: Sequence[Point], earlier: Sequence[Point]
) -> float | None:
    """Return the same, widened by how much earlier months differ from each other beyond chance."""
    p = by_chance(kpi, points, others)
    if p is None:
        return None
    known = samples(kpi, earlier)
    share = known[0].share if known else False
    spread, degrees = overdispersion([s.hits for s in known], [s.size for s in known], share=share)
    if not share and degrees < ENOUGH_TO_SEE_SPREAD:
        spread, degrees = max(spread, UNSEEN_SPREAD), math.inf
    return widened(p, spread, degrees)
