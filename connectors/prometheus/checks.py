"""From series of Prometheus to checks: each sample that says up or down, with how long that probe took."""

from __future__ import annotations

from math import isfinite
from typing import Any

Record = dict[str, Any]
#: what a blackbox exporter tells of a probe beside its success, with the same labels, at the same scrape
_DURATION = "probe_duration_seconds"


def shaped(records: list[Record]) -> list[Record]:
    """Return one record for every sample, as ``each`` (epoch seconds, value), with the labels of its series as ``metric``.

    ``latency_ms`` is the duration of the probe, in milliseconds, where the scrape brought one and the probe succeeded: of
    one that failed it says how long it was waited.

    Args:
        records: series of a range: ``metric`` and ``values``, among them those of durations.
    """
    took = {_target(r): dict(r["values"]) for r in records if _name(r) == _DURATION}
    found = []
    for record in records:
        if _name(record) == _DURATION:
            continue
        seconds = took.get(_target(record), {})
        for at, value in record["values"]:
            check = {"metric": record["metric"], "each": [at, value]}
            if value == "1" and at in seconds and isfinite(duration := float(seconds[at])):
                check["latency_ms"] = duration * 1000
            found.append(check)
    return found


def _name(record: Record) -> str:
    return str(dict(record["metric"]).get("__name__", ""))


def _target(record: Record) -> frozenset[tuple[str, str]]:
    return frozenset((label, value) for label, value in record["metric"].items() if label != "__name__")
