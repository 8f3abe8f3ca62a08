"""From histograms of Prometheus to requests: of every minute, how many fell into each bucket of latency."""

from __future__ import annotations

from collections import defaultdict
from math import inf, isfinite
from typing import Any

Record = dict[str, Any]
_MINUTE_S = 60
#: some instrumentation tells classes of statuses only
_STATUSES = {f"{n}xx": f"{n}00" for n in range(1, 6)}


def shaped(records: list[Record]) -> list[Record]:
    """Return one record for every minute, set of labels and bucket that gained requests.

    ``at`` is the beginning of the minute (epoch seconds), ``count`` the requests, ``latency_ms`` the middle of the bucket, of the
    last one, which has no end, its beginning; ``metric`` holds the labels without ``le``. Counts that Prometheus extrapolates
    are rounded so that those of a minute add up to the rounded total.

    Args:
        records: series of a range of ``sum by (..., le) (increase(...[1m]))``, one point a minute.

    Raises:
        ValueError: a series has no ``le`` that is a number.
    """
    grouped: dict[frozenset[tuple[str, str]], dict[float, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        labels = dict(record["metric"])
        bound = float(labels.pop("le"))
        for at, value in record["values"]:
            if isfinite(gained := float(value)):
                grouped[frozenset(labels.items())][float(at)][bound] = gained
    return [
        {"metric": _plain(dict(labels)), "at": at - _MINUTE_S, **bucket}
        for labels, minutes in grouped.items()
        for at, gained in sorted(minutes.items())
        for bucket in _buckets(gained)
    ]


def _buckets(gained: dict[float, float]) -> list[Record]:
    """Return the buckets that gained requests, from what lies at or below each bound (seconds)."""
    found = []
    below, before = 0.0, 0
    for bound in sorted(gained):
        upto = max(before, round(gained[bound]))
        if upto > before:
            seconds = below if bound == inf else (below + bound) / 2
            found.append({"le": str(bound), "latency_ms": seconds * 1000, "count": upto - before})
        below, before = max(bound, 0.0), upto
    return found


def _plain(labels: dict[str, str]) -> dict[str, str]:
    return {name: _STATUSES.get(value.lower(), value) for name, value in labels.items()}
