"""What happened to services and may explain their values: deployments, major incidents, planned maintenance.

Read from entities as they stand, by the rules by which KPIs count them. What is no longer so (cancelled, moved to another
instant or service) is said to be gone under the identity it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from pipeline.events.families import ChangeUpdated, IncidentUpdated, MaintenanceScheduled
from pipeline.time.calendar import to_ms
from pipeline.values import Happening, HappeningKind

#: Characters of a text from outside that are kept.
_TEXT = 200
#: start and end in ms (None: none, or not yet) and a text
_Told = tuple[int, int | None, str]


def _deployment(data: ChangeUpdated, _t_ms: int) -> _Told | None:
    if data.deployed_at is None or data.outcome == "cancelled":
        return None
    outcome = "" if data.outcome == "planned" else f": {data.outcome.replace('_', ' ')}"
    return to_ms(data.deployed_at), None, f"Deployment {data.number}{outcome}"


def _incident(data: IncidentUpdated, _t_ms: int) -> _Told | None:
    if not data.major or data.state == "cancelled":
        return None
    end = None if data.resolved_at is None else to_ms(data.resolved_at)
    return to_ms(data.opened_at), end, f"Major incident {data.number}: {data.state.replace('_', ' ')}"


def counts(data: MaintenanceScheduled, t_ms: int) -> bool:
    """Return whether planned maintenance counts: announced before it began, or with a recorded reason, and not cancelled."""
    announced = t_ms if data.announced_at is None else to_ms(data.announced_at)
    return not data.cancelled and (announced <= to_ms(data.starts_at) or bool(data.reason))


def _maintenance(data: MaintenanceScheduled, t_ms: int) -> _Told | None:
    if not counts(data, t_ms):
        return None
    why = f": {data.reason}" if data.reason else ""
    return to_ms(data.starts_at), to_ms(data.ends_at), f"Planned maintenance{why}"


_KINDS: dict[str, tuple[HappeningKind, Callable[[Any, int], _Told | None]]] = {
    "change.updated": ("deployment", _deployment),
    "incident.updated": ("incident", _incident),
    "maintenance.scheduled": ("maintenance", _maintenance),
}

#: kind → the type of events that tell of it
HAPPENING_TYPES: dict[str, str] = {kind: event_type for event_type, (kind, _) in _KINDS.items()}


def happening(key: tuple[str, str, str], record: Any, service: str, t_ms: int) -> Happening | None:
    """Return what an entity is as a happening, None where it is none.

    Args:
        key: event type, source and id of the entity.
        record: its data as KPIs read it.
        service: what it is about.
        t_ms: the instant of its last update, epoch ms.
    """
    event_type, source, name = key
    found = _KINDS.get(event_type)
    told = found[1](record, t_ms) if found else None
    if found is None or told is None:
        return None
    start, end, text = told
    return Happening(
        kind=found[0],
        service=service,
        source=source,
        id=name,
        start=start // 1000,
        end=None if end is None else end // 1000,
        text=text[:_TEXT],
    )


class Happenings:
    """What changed of them since it was taken last, by identity: the last word counts."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, ...], Happening] = {}

    def note(self, before: Happening | None, after: Happening | None) -> None:
        """Note what an update made of an entity."""
        if before == after:
            return
        if before is not None and (after is None or before.identity != after.identity):
            self._changed[before.identity] = replace(before, gone=True)
        if after is not None:
            self._changed[after.identity] = after

    def take(self) -> Iterator[Happening]:
        """Yield what changed, once."""
        changed, self._changed = self._changed, {}
        yield from changed.values()
