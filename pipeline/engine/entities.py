"""Entities: incidents, changes, surveys ... whose last state counts.

"Last" is the greatest (sequence, updated_at, event time); an older update is superseded, yet may still tell when an
incident was first acknowledged or how often it was reopened. ``pipeline.engine.entitystore`` keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from pipeline.aggregate.base import pack_int
from pipeline.engine import records
from pipeline.engine.bases import Base
from pipeline.engine.cells import Cells
from pipeline.engine.entitystore import EntityStore, Key
from pipeline.engine.happenings import Happenings, happening
from pipeline.events.families import TYPES, IncidentUpdated, SurveyAnswered
from pipeline.events.validate import decode_stored
from pipeline.time.calendar import from_ms, to_ms
from pipeline.values import Happening

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder().decode
_json = msgspec.json.Encoder()


def entity_id(event_type: str, data: Any, event_id: str) -> str:
    """Return the id under which an event's entity is kept."""
    if isinstance(data, SurveyAnswered):
        if data.respondent is None:
            return event_id
        return "\x1f".join((data.survey or data.kind, data.kind, data.about or "", data.respondent))
    if event_type == "maintenance.scheduled":
        return data.id or str(to_ms(data.starts_at))
    return str(data.number)


def sequence_number(sequence: int | str | None) -> int | None:
    """Return a CloudEvents sequence where it is an integer, also as text."""
    if isinstance(sequence, str):
        return int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) <= 18 else None
    return sequence


@dataclass
class Entity:
    """The last state of one entity and what it contributes."""

    service: str
    t_ms: int
    sequence: int | None
    updated_ms: int
    data: Any
    acknowledged_ms: int | None = None
    reopened: int = 0
    held: records.Contributions = field(default_factory=dict)

    def superseded_by(self, data: Any, t_ms: int, sequence: int | None, updated_ms: int) -> bool:
        """Return whether an update replaces the state: a total order, so that arrival order does not matter."""
        mine = (-1 if self.sequence is None else self.sequence, self.updated_ms, self.t_ms)
        other = (-1 if sequence is None else sequence, updated_ms, t_ms)
        return other > mine or (other == mine and _json.encode(data) > _json.encode(self.data))


class HeldEntity(NamedTuple):
    """An entity as it stands, for who asks which entities a figure was made of."""

    type: str
    source: str
    id: str
    data: Any
    contributions: records.Contributions


class Entities:
    """All entities of one source partition."""

    def __init__(
        self, by_type: dict[str, tuple[Base, ...]], bases: dict[str, Base], cells: Cells, most: int
    ) -> None:  # fmt: skip
        self._most = most
        self._by_type = by_type
        self._bases = bases
        self._cells = cells
        self._store = EntityStore(_unpack, _pack)
        self.happenings = Happenings()

    def full(self, key: Key) -> bool:
        """Return whether an entity is one too many: it is new, and there are as many as may be."""
        return len(self._store) >= self._most and key not in self._store

    def update(self, key: Key, service: str, data: Any, t_ms: int, sequence: int | None, clock_ms: int) -> bool:
        """Fold one update; return False where it was superseded."""
        updated_ms = to_ms(data.updated_at) if hasattr(data, "updated_at") else t_ms
        entity = self._store.get(key)
        before = None if entity is None else _happening(key, entity)
        if entity is None:
            entity = Entity(service, t_ms, sequence, updated_ms, data)
            self._store.add(key, from_ms(updated_ms).strftime("%Y%m"), entity)
            newest = True
        else:
            newest = entity.superseded_by(data, t_ms, sequence, updated_ms)
            if newest:
                entity.service, entity.t_ms, entity.data = service, t_ms, data
                entity.sequence, entity.updated_ms = sequence, updated_ms
        told = isinstance(data, IncidentUpdated) and self._tell(entity, data, updated_ms)
        if newest or told:
            self._refold(key, entity, clock_ms)
            self.happenings.note(before, _happening(key, entity))
        return newest

    @staticmethod
    def _tell(entity: Entity, data: IncidentUpdated, updated_ms: int) -> bool:
        """Note what any update, also an older one, says about acknowledgement and reopening."""
        told = False
        if data.state != "new" and (entity.acknowledged_ms is None or updated_ms < entity.acknowledged_ms):
            entity.acknowledged_ms = updated_ms
            told = True
        if data.reopen_count > entity.reopened:
            entity.reopened = data.reopen_count
            told = True
        return told

    def _refold(self, key: Key, entity: Entity, clock_ms: int) -> None:
        record = _record(entity)
        new = records.contributions_of(
            self._by_type.get(key[0], ()), record, entity.service, entity.t_ms, "\x1f".join(key[1:])
        )
        entity.held = records.replace(self._cells, self._bases, entity.held, new, clock_ms)
        self._store.changed(key)

    def each(self) -> Iterator[HeldEntity]:
        """Yield every entity with what it contributes now."""
        for (event_type, source, name), e in self._store.each():
            yield HeldEntity(event_type, source, name, e.data, e.held)

    def restore(self, _key: bytes, value: bytes) -> None:
        """Take a recovered chunk."""
        self._store.restore(value)

    def chunks(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the chunks that changed since the last call."""
        return self._store.chunks()


def _pack(key: Key, e: Entity) -> bytes:
    """Return an entity as its row."""
    sequence = None if e.sequence is None else pack_int(e.sequence)
    row = [
        key[1], key[2], e.service, e.t_ms, sequence, e.updated_ms, _json.encode(e.data), e.acknowledged_ms, e.reopened,
        records.pack(e.held),
    ]  # fmt: skip
    return _encoder.encode(row)


def _unpack(event_type: str, row: bytes) -> Entity:
    """Return the entity of a row."""
    _, _, service, t_ms, sequence, updated_ms, raw, acknowledged_ms, reopened, held = _decode(row)
    data = decode_stored(TYPES[event_type][1], raw)
    number = None if sequence is None else int(sequence)
    return Entity(service, t_ms, number, updated_ms, data, acknowledged_ms, reopened, records.unpack(held))


def _record(entity: Entity) -> Any:
    """Return an entity's data as KPIs read it."""
    return _incident_record(entity) if isinstance(entity.data, IncidentUpdated) else entity.data


def _happening(key: Key, entity: Entity) -> Happening | None:
    return happening(key, _record(entity), entity.service, entity.t_ms)


def _incident_record(entity: Entity) -> IncidentUpdated:
    """Return an incident as KPIs read it: derived acknowledgement, and only resolutions its state confirms."""
    data: IncidentUpdated = entity.data
    acknowledged = data.acknowledged_at
    if acknowledged is None and entity.acknowledged_ms is not None:
        acknowledged = from_ms(entity.acknowledged_ms)
    return msgspec.structs.replace(
        data,
        acknowledged_at=acknowledged,
        resolved_at=data.resolved_at if data.state in {"resolved", "closed"} else None,
        closed_at=data.closed_at if data.state == "closed" else None,
        reopen_count=max(entity.reopened, data.reopen_count),
    )
