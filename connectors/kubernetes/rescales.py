"""From events of autoscalers to scalings: whether the pods that one asked for came, and when the last of them was ready."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from connectors.mapping.fields import field_at

Record = dict[str, Any]
#: Pods of a rescale are created within this time of its event; clocks of the cluster's parts differ by a little.
_CREATED_WITHIN = timedelta(seconds=60)
_CLOCKS = timedelta(seconds=2)
#: A Deployment that makes no progress for so long has failed (its default progressDeadlineSeconds).
_PATIENCE = timedelta(seconds=600)
_SIZE = re.compile(r"New size: (\d+)")
#: Reasons of an autoscaler for more; all others are for less.
_MORE = re.compile(r"above target|below Spec\.MinReplicas")


def shaped(records: list[Record]) -> list[Record]:
    """Return one record for every rescale that is over: its pods are ready, or did not get ready in ten minutes.

    A rescale is up where pods of its Deployment were created right after it, and ready when the last of these became
    ready. Without such pods it was down; when the pods were gone nobody tells, so it is not said. What may still change is
    left for the next poll; a rescale up whose pods are gone again is left out. The same rescale may occur again as the same
    event: ``occurrence`` tells one from the next. A rescale that fails again and again is one.

    Args:
        records: events of HorizontalPodAutoscalers, each with the pods of what it scales as ``pods`` and the time of the
            poll as ``polled_at``.
    """
    rescales = [(at, r) for r in records if _SIZE.search(str(r.get("message"))) and (at := _time_of(r)) is not None]
    rescales.sort(key=lambda each: each[0])
    found = []
    for i, (at, record) in enumerate(rescales):
        following = next((t for t, r in rescales[i + 1 :] if _scaler(r) == _scaler(record)), None)
        until = at + _CREATED_WITHIN if following is None else min(following, at + _CREATED_WITHIN)
        if (said := _outcome(record, at, until)) is not None:
            asked = {"requested_at": at.isoformat(), "occurrence": at.isoformat()}
            found.append({**record, **asked, "to": _size(record), **said})
    return found


def _outcome(record: Record, at: datetime, until: datetime) -> Record | None:
    """Return direction, outcome and when it was ready; None where that is not to be said (yet)."""
    now = datetime.fromisoformat(str(record["polled_at"]))
    more = _MORE.search(str(record.get("message"))) is not None
    if record.get("reason") == "FailedRescale":  # tried again every few seconds, all of them one event: one failure
        first = str(record.get("firstTimestamp") or at.isoformat())
        failed = {"direction": "up" if more else "down", "outcome": "failed", "ready_at": None}
        return {**failed, "requested_at": first, "occurrence": None}
    if record.get("reason") != "SuccessfulRescale" or now < until:
        return None
    pods = [p for p in record.get("pods", ()) if at - _CLOCKS <= _created(p) < until]
    if not pods:
        return None if more else {"direction": "down", "outcome": "successful", "ready_at": None}
    ready = [_ready(pod) for pod in pods]
    if all(ready):
        return {"direction": "up", "outcome": "successful", "ready_at": max(str(each) for each in ready)}
    return {"direction": "up", "outcome": "failed", "ready_at": None} if now - at > _PATIENCE else None


def _time_of(event: Record) -> datetime | None:
    said = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return datetime.fromisoformat(str(said)) if said else None


def _size(event: Record) -> int | None:
    found = _SIZE.search(str(event.get("message")))
    return int(found[1]) if found else None


def _scaler(event: Record) -> tuple[Any, Any]:
    return field_at(event, "involvedObject.namespace"), field_at(event, "involvedObject.name")


def _created(pod: Record) -> datetime:
    return datetime.fromisoformat(str(field_at(pod, "metadata.creationTimestamp")))


def _ready(pod: Record) -> str | None:
    """Return since when a pod is ready; None where it is not."""
    if field_at(pod, "status.conditions.type=Ready.status") != "True":
        return None
    return str(field_at(pod, "status.conditions.type=Ready.lastTransitionTime"))
