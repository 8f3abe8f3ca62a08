"""From series of kube-state-metrics to scalings: when an autoscaler asked for another size, and when that was there."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from math import inf, isfinite
from typing import Any

Record = dict[str, Any]
#: What a series counts of one object: (time in epoch seconds, pods), in order.
Samples = list[tuple[float, int]]
#: One object of Kubernetes: cluster, namespace, kind, name.
_Thing = tuple[str, str, str, str]
_SCALER = "horizontalpodautoscaler"
_METRIC = re.compile(
    rf"kube_({_SCALER})_(info|status_current_replicas|status_desired_replicas)|kube_(deployment|statefulset)_(status_replicas(?:_ready)?)"
)
#: A rescale that is not there after so long has failed: the same as for the connector of Kubernetes.
_PATIENCE_S = 600
#: Samples further apart do not tell when something changed between them.
_HOLE_S = 150


def shaped(records: list[Record]) -> list[Record]:
    """Return one record for every rescale that is over: its size is there, or was not there in ten minutes.

    A rescale is asked for at the first sample with another desired size. One up is ready at the first sample that shows so
    many ready pods of the target, one down at the first that shows no more pods than that. One that is followed by another in
    the same direction, or that leaves at least its size, is judged by its own size still; one that is taken back before it
    was there, within its ten minutes, is left out: nobody knows what would have become of it. A desired size of 0 is what an
    autoscaler says that has not looked yet or is switched off, so no rescale goes from or to it.

    Left out, since it is unknown, is also what no samples tell: a rescale up of a target whose ready pods are not counted,
    and one that lies at a hole in the samples or whose autoscaler is gone. What may still change is left for the next window.

    ``metric`` holds the labels of the autoscaler, among them ``autoscaler`` (namespace/name), ``scaler`` names it;
    ``requested_at``, ``ready_at`` and ``known_at``, the time of the sample that shows how it ended, are epoch seconds.

    Args:
        records: series of a range, ``metric`` and ``values``; others than those of autoscalers, Deployments and StatefulSets
            say nothing.

    Raises:
        LookupError: a series lacks the label of its namespace or of its object.
    """
    counted: dict[tuple[_Thing, str], dict[float, int]] = defaultdict(dict)
    scalers: dict[_Thing, dict[str, str]] = {}
    targets: dict[_Thing, _Thing] = {}
    for record in records:
        labels = dict(record["metric"])
        if (named := _METRIC.fullmatch(str(labels.pop("__name__", "")))) is None:
            continue
        kind, what = (part for part in named.groups() if part)
        thing = _thing(labels, kind, labels[kind])
        if what == "info":
            targets[thing] = _thing(labels, labels["scaletargetref_kind"].lower(), labels["scaletargetref_name"])
            continue
        if what == "status_desired_replicas":
            scalers[thing] = labels
        # a restarted kube-state-metrics goes on in series with other labels: they are one
        counted[thing, what].update((at, int(float(n))) for at, n in record["values"] if isfinite(float(n)))
    samples = {key: sorted(each.items()) for key, each in counted.items()}
    return [
        {"metric": {"autoscaler": f"{thing[1]}/{thing[3]}", **labels}, "scaler": "/".join(thing), **rescale}
        for thing, labels in scalers.items()
        for rescale in _rescales(thing, targets.get(thing), samples)
    ]


def _thing(labels: dict[str, str], kind: str, name: str) -> _Thing:
    """Return whose a series is; where Prometheus keeps its own label ``namespace``, the object's is renamed."""
    return labels.get("cluster", ""), labels.get("exported_namespace") or labels["namespace"], kind, name


def _rescales(scaler: _Thing, target: _Thing | None, samples: dict[tuple[_Thing, str], Samples]) -> list[Record]:
    asked = samples.get((scaler, "status_desired_replicas"), [])
    current = samples.get((scaler, "status_current_replicas"), [])
    ready = samples.get((target, "status_replicas_ready"), []) if target else []
    size = samples.get((target, "status_replicas"), current) if target else current
    found = []
    for (earlier, before), (at, to) in pairwise(asked):
        if to == before or 0 in (before, to) or at - earlier > _HOLE_S:
            continue
        up = to > before
        ended = _ended(at, to, asked, ready if up else size, sign=1 if up else -1)
        if ended is not None:
            there, known_at = ended
            rescale = {"direction": "up" if up else "down", "from": before, "to": to, "requested_at": at}
            outcome = (
                {"outcome": "successful", "ready_at": known_at} if there else {"outcome": "failed", "ready_at": None}
            )
            found.append({**rescale, **outcome, "known_at": known_at})
    return found


def _ended(at: float, to: int, asked: Samples, there: Samples, *, sign: int) -> tuple[bool, float] | None:
    """Return whether a rescale got there, and the time of the sample that says so; None where that is not known (yet).

    Args:
        at: when it was asked for.
        to: the size.
        asked: desired sizes.
        there: sizes that are there.
        sign: 1 for up, -1 for down.
    """
    taken_back = next((t for t, n in asked if t > at and sign * (n - to) < 0), inf)
    followed_until = asked[-1][0] + _HOLE_S
    before = at
    for t, n in there:
        if t < at:
            continue
        if t - before > _HOLE_S or t > followed_until:
            return None
        before = t
        if min(t, taken_back) - at > _PATIENCE_S:
            return False, t
        if t > taken_back:
            return None
        if sign * (n - to) >= 0:
            return True, t
    return None
