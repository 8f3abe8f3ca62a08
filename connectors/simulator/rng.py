"""Seeded randomness: every draw of the world follows from its seed and a name, never from the order of calls."""

from __future__ import annotations

import math
from random import Random


def rng(seed: int, *parts: object) -> Random:
    """Return a generator of its own for one named part of the world (a stream, service, day ...)."""
    return Random(f"{seed}|" + "|".join(map(str, parts)))  # noqa: S311 - a simulation, nothing secret


def poisson(r: Random, mean: float) -> int:
    """Draw how many of something that happens ``mean`` times on average."""
    if mean <= 0:
        return 0
    if mean > 30:
        return max(0, round(r.gauss(mean, math.sqrt(mean))))
    limit, product, n = math.exp(-mean), r.random(), 0
    while product > limit:
        product *= r.random()
        n += 1
    return n


def about(r: Random, mean: float) -> int:
    """Draw a number near a mean: steadier than chance, where the story needs to be seen."""
    return max(0, round(mean * r.gauss(1, 0.12) + r.uniform(-0.5, 0.5)))


class Share:
    """Says yes to a share of the times it is asked, evenly spread rather than by chance."""

    def __init__(self, r: Random) -> None:
        self._r = r
        self._due = r.random()

    def __call__(self, share: float) -> bool:
        """Return whether this time is one of the share."""
        self._due += share * self._r.uniform(0.6, 1.4)
        if self._due < 1:
            return False
        self._due -= 1
        return True


def spread(r: Random, median: float, sigma: float) -> float:
    """Draw a duration around a median: most near it, a few much longer (log-normal)."""
    return median * math.exp(r.gauss(0.0, sigma))


def weighted(r: Random, weights: dict[str, float]) -> str:
    """Draw one key by its weight."""
    at = r.random() * sum(weights.values())
    for key, weight in weights.items():
        at -= weight
        if at < 0:
            return key
    return next(reversed(weights))
