"""What the records are that measures read: their types, fields, times, and which ones are corrected."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec

from pipeline.events.families import TYPES

#: Event types whose records are entities: the last state counts and replaces what it contributed before.
ENTITY_TYPES = frozenset(
    {
        "incident.updated",
        "security_incident.updated",
        "vulnerability.updated",
        "change.updated",
        "feature.updated",
        "survey.answered",
        "maintenance.scheduled",
    }
)
#: The name under which visits, derived from page views or reported by their source, are records.
SESSION = "session"
FieldKind = Literal["time", "number", "bool", "text", "list"]

_SESSION: dict[str, FieldKind] = {
    "user": "text",
    "started_at": "time",
    "ended_at": "time",
    "duration_s": "number",
    "pages": "number",
    "tasks": "number",
    "engaged": "bool",
}

#: What measures may read: every event type but those of control, and sessions.
RECORD_TYPES: tuple[str, ...] = (
    *(name for name, (family, _) in TYPES.items() if family != "control"),
    SESSION,
)


def _parts(kind: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    """Return the alternatives of a field's type, None left out."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return _parts(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return [part for each in kind.types for part in _parts(each)]
    return [] if isinstance(kind, msgspec.inspect.NoneType) else [kind]


def _kind(field: msgspec.inspect.Type) -> FieldKind:
    part = _parts(field)[-1]
    match part:
        case msgspec.inspect.DateTimeType():
            return "time"
        case msgspec.inspect.BoolType():
            return "bool"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return "number"
        case msgspec.inspect.ListType():
            return "list"
    return "text"


def _types(event_type: str) -> dict[str, msgspec.inspect.Type]:
    # string annotations resolve in the module of the struct
    info = msgspec.inspect.type_info(TYPES[event_type][1])
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError(f"{event_type} is no struct")
    return {field.name: field.type for field in info.fields}


@lru_cache(maxsize=64)
def record_fields(event_type: str) -> dict[str, FieldKind]:
    """Return the fields of a record type, by the names expressions use, with what they hold."""
    if event_type == SESSION:
        return dict(_SESSION)
    return {name: _kind(kind) for name, kind in _types(event_type).items()}


@lru_cache(maxsize=64)
def literal_values(event_type: str) -> dict[str, frozenset[str]]:
    """Return the fields that hold one of a few words, and the words."""
    if event_type == SESSION:
        return {}
    found: dict[str, frozenset[str]] = {}
    for name, kind in _types(event_type).items():
        for part in _parts(kind):
            if isinstance(part, msgspec.inspect.LiteralType):
                found[name] = frozenset(str(value) for value in part.values)
    return found
