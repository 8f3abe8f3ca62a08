"""How long to wait before the next attempt at what was away."""

from __future__ import annotations

import random


def backoff_s(failures: int, *, first: float, most: float, asked: float | None = None) -> float:
    """Return a pause in seconds that doubles with every failure, up to a quarter longer or shorter by chance.

    Args:
        failures: how often it failed in a row, at least 1.
        first: the pause after the first failure, seconds.
        most: the longest pause, seconds.
        asked: what the peer asked for at least (``Retry-After``), seconds.
    """
    pause = min(most, first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
    return max(asked or 0.0, pause)
