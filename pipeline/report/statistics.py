"""Statistics that tell a change from noise: process behaviour charts, trend, comparison of two samples.

Each function names the source of its formula; ``docs/report-statistics.md`` says how they are put to use.
SciPy does what it has; it is imported where it is needed, as that takes half a second which the rest of the
program should not pay.

Sources, by the short names used below:

* Wheeler 2000: D. J. Wheeler, Understanding Variation: The Key to Managing Chaos, 2nd ed., SPC Press (XmR charts,
  2.66, the three detection rules).
* Gilbert 1987: R. O. Gilbert, Statistical Methods for Environmental Pollution Monitoring, ch. 16 (Mann-Kendall with
  ties, Sen's slope).
* Agresti 2013: A. Agresti, Categorical Data Analysis, 3rd ed., ch. 3 (two proportions; Fisher's exact test).
* Przyborowski and Wilenski 1940: Homogeneity of results in testing samples from Poisson series, Biometrika 31.
* McCullagh and Nelder 1989: Generalized Linear Models, 2nd ed., sec. 4.5 and 6.2.3 (overdispersion).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

#: Natural process limits lie 2.66 mean moving ranges from the mean: 3 / d2 with d2 = 1.128 (Wheeler 2000).
LIMIT_FACTOR = 2.66
#: Values in a row on one side of the centre that make a run (Wheeler 2000, rule 2).
RUN = 8
#: Of so many successive values, three nearer a limit than the centre make a signal (Wheeler 2000, rule 3).
NEAR_RUN, NEAR = 4, 3
#: Up to so many values without ties the exact distribution of Kendall's S is used (as Gilbert 1987, table A18).
EXACT_TREND = 10
#: Expected number in each cell from which the normal approximation for proportions is used.
ENOUGH_IN_CELL = 10


@dataclass(frozen=True)
class Limits:
    """Natural process limits of an XmR chart.

    Attributes:
        lower, centre, upper: in the unit of the values.
        moving_range: the mean moving range they rest on.
    """

    lower: float
    centre: float
    upper: float
    moving_range: float

    def side(self, value: float) -> int:
        """Return 1 for above the upper limit, -1 for below the lower one, 0 for between (the limits included)."""
        return (value > self.upper) - (value < self.lower)


def moving_ranges(values: Sequence[float]) -> list[float]:
    """Return the absolute differences of successive values."""
    return [abs(b - a) for a, b in pairwise(values)]


def limits(centre: float, moving_range: float) -> Limits:
    """Return centre -/+ 2.66 x mean moving range (Wheeler 2000)."""
    reach = LIMIT_FACTOR * moving_range
    return Limits(centre - reach, centre, centre + reach, moving_range)


def natural_limits(values: Sequence[float]) -> Limits:
    """Return the natural process limits of values: their mean -/+ 2.66 x mean moving range (Wheeler 2000).

    The mean moving range is used, not the median one: with few months it is the more efficient, and months that were
    exceptional are left out of the baseline beforehand (``pipeline.report.levels``).

    Raises:
        ValueError: for fewer than two values.
    """
    if len(values) < 2:
        raise ValueError("natural limits need at least two values")
    return limits(fmean(values), fmean(moving_ranges(values)))


def run_length(values: Sequence[float], centre: float) -> int:
    """Return how many values at the end lie on one side of the centre, signed; a value on it ends a run."""
    sides = [(v > centre) - (v < centre) for v in values]
    length = 0
    for side in reversed(sides):
        if side == 0 or side != sides[-1]:
            break
        length += 1
    return length * sides[-1] if sides else 0


def near_limit(values: Sequence[float], within: Limits) -> int:
    """Return 1 or -1 where three of the last four values, the last one among them, are nearer that limit.

    "Nearer a limit than the centre" is beyond half the way to it (Wheeler 2000, rule 3); 0 for no such signal.
    """
    if len(values) < NEAR_RUN or within.moving_range <= 0:
        return 0
    half = LIMIT_FACTOR * within.moving_range / 2
    beyond = [(v > within.centre + half) - (v < within.centre - half) for v in values[-NEAR_RUN:]]
    return beyond[-1] if beyond[-1] and beyond.count(beyond[-1]) >= NEAR else 0


@dataclass(frozen=True)
class Kendall:
    """The Mann-Kendall test.

    Attributes:
        s: pairs that rise minus pairs that fall.
        variance: of ``s`` without a trend, corrected for ties.
        z: with continuity correction.
        p_value: two-sided; exact up to ten values without ties, else normal.
    """

    s: int
    variance: float
    z: float
    p_value: float


def mann_kendall(values: Sequence[float]) -> Kendall:
    """Return the Mann-Kendall test of values in time order (Gilbert 1987, sec. 16.4).

    S sums the signs of all later minus earlier values. Without a trend its variance is
    ``(n(n-1)(2n+5) - sum t(t-1)(2t+5)) / 18`` over the groups of ``t`` tied values; ``z = (S -/+ 1) / sd``.

    Raises:
        ValueError: for fewer than two values.
    """
    n = len(values)
    if n < 2:
        raise ValueError("a trend needs at least two values")
    s = sum((later > earlier) - (later < earlier) for i, earlier in enumerate(values) for later in values[i + 1 :])
    ties = Counter(values).values()
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)) / 18
    z = (s - (s > 0) + (s < 0)) / math.sqrt(variance) if variance else 0.0
    if n <= EXACT_TREND and max(ties) == 1:
        from scipy.stats import kendalltau  # noqa: PLC0415 - see the module

        p = float(kendalltau(range(n), values, method="exact").pvalue)
    else:
        p = math.erfc(abs(z) / math.sqrt(2))
    return Kendall(s, variance, z, min(1.0, p))


def theil_sen(times: Sequence[float], values: Sequence[float]) -> float:
    """Return the median of the slopes of all pairs, in value a unit of time (Sen 1968; Gilbert 1987, sec. 16.5).

    Raises:
        ValueError: for fewer than two values, or times that do not rise.
    """
    if len(values) < 2 or any(b <= a for a, b in pairwise(times)):
        raise ValueError("a slope needs at least two values at rising times")
    from scipy.stats import theilslopes  # noqa: PLC0415 - see the module

    return float(theilslopes(values, times).slope)


def two_proportions(hits: float, of: float, hits_before: float, of_before: float) -> float:
    """Return the two-sided p-value that two shares are the same.

    The z test with the pooled share (whose square is Pearson's chi-square, Agresti 2013, sec. 3.2) where at least ten
    are expected in each cell, else Fisher's exact test (sec. 3.5), which never promises more than is there.

    Args:
        hits: successes of one sample, a whole number.
        of: its trials.
        hits_before: successes of the other.
        of_before: its trials.

    Raises:
        ValueError: where successes are not within 0 to trials, or there are no trials.
    """
    if not (0 <= hits <= of and 0 <= hits_before <= of_before and of > 0 and of_before > 0):
        raise ValueError("successes must be within 0 and trials, and there must be trials")
    pooled = (hits + hits_before) / (of + of_before)
    if pooled in {0.0, 1.0}:
        return 1.0
    if min(of, of_before) * min(pooled, 1 - pooled) >= ENOUGH_IN_CELL:
        z = (hits / of - hits_before / of_before) / math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_before))
        return math.erfc(abs(z) / math.sqrt(2))
    from scipy.stats import fisher_exact  # noqa: PLC0415 - see the module

    table = [[round(hits), round(of - hits)], [round(hits_before), round(of_before - hits_before)]]
    return min(1.0, float(fisher_exact(table).pvalue))


def two_rates(count: float, exposure: float, count_before: float, exposure_before: float) -> float:
    """Return the two-sided p-value that two Poisson rates are the same, exact.

    Given their sum, a count is binomial with the share of its exposure (Przyborowski and Wilenski 1940).

    Args:
        count: events of one period, a whole number.
        exposure: its length.
        count_before: events of the other.
        exposure_before: its length.

    Raises:
        ValueError: for negative counts or an exposure that is not positive.
    """
    if min(count, count_before) < 0 or min(exposure, exposure_before) <= 0:
        raise ValueError("counts must not be negative, and exposures positive")
    total = round(count + count_before)
    if total == 0:
        return 1.0
    from scipy.stats import binomtest  # noqa: PLC0415 - see the module

    return float(binomtest(round(count), total, exposure / (exposure + exposure_before)).pvalue)


def overdispersion(hits: Sequence[float], sizes: Sequence[float], *, share: bool) -> tuple[float, float]:
    """Return how much more the samples differ than chance alone explains, at least 1, and its degrees of freedom.

    Pearson's chi-square of their homogeneity over its degrees of freedom (McCullagh and Nelder 1989, sec. 4.5 for
    shares, 6.2.3 for counts).

    Args:
        hits: successes or events of each sample.
        sizes: trials or exposure of each.
        share: whether they are successes of trials (binomial), else events over an exposure (Poisson).
    """
    degrees = len(hits) - 1
    rate = sum(hits) / sum(sizes)
    if degrees < 1 or rate <= 0 or (share and rate >= 1):
        return 1.0, max(degrees, 0)
    spread = rate * (1 - rate) if share else rate
    chi_square = sum((h - n * rate) ** 2 / (n * spread) for h, n in zip(hits, sizes, strict=True))
    return max(1.0, chi_square / degrees), degrees


def widened(p_value: float, dispersion: float, degrees: float) -> float:
    """Return a p-value with the overdispersion of earlier samples taken into account.

    The normal statistic is divided by the root of the dispersion and read from Student's t with its degrees of
    freedom (infinite: the normal distribution), the quasi-likelihood test (McCullagh and Nelder 1989, sec. 4.5); never
    smaller than what was given.
    """
    if dispersion <= 1 or degrees < 1 or p_value >= 1:
        return p_value
    from scipy.stats import norm, t  # noqa: PLC0415 - see the module

    z = float(norm.isf(max(p_value, 1e-300) / 2)) / math.sqrt(dispersion)
    return max(p_value, min(1.0, 2 * float(t.sf(z, degrees))))
