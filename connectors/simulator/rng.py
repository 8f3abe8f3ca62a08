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
