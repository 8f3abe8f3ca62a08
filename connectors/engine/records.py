"""From the records of a source to events: the mapping language of file imports, and identities that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from connectors.engine.config import Entry, Reading
from connectors.engine.declaration import Beside, Fold, Snapshot
from connectors.engine.load import REPLACING_TYPES
from connectors.mapping.conditions import condition
from connectors.mapping.events import CompiledEvent, Fact, MappedEvent, compile_event, fact_of, written
from connectors.mapping.fields import field_at, picked
from connectors.mapping.load import columns_of
from connectors.mapping.model import Mapping as FileMapping
from connectors.mapping.model import When
from connectors.mapping.values import BadValue, time_reader

_encode = msgspec.json.Encoder(order="deterministic").encode
Record = dict[str, Any]


class RecordMapper:
    """Makes the events of one stream.

    An event's id follows from source, stream, the record's id and its version (or what is said of it): a record that is
    read again makes the same event. All versions of an entity share a partition, whatever service they name.

    Args:
        reading: the stream.
        entry: services, team.
        source: what its events name as their source.
    """

    def __init__(self, reading: Reading, entry: Entry, source: str) -> None:
        self._stream, self._entry, self._source, self._name = reading.stream, entry, source, reading.name
        mapping = reading.mapping
        self._team = entry.team or mapping.team
        self._events: list[CompiledEvent] = [compile_event(e, mapping, reading.given) for e in mapping.events]
        needed, optional = columns_of(mapping)
        self.columns = sorted(needed | optional)
        cursor = reading.stream.cursor
        self._version = reading.stream.version or (cursor.change if isinstance(cursor, Snapshot) else [])
        self.types = sorted({e.type for e in mapping.events})
        self.entities = all(t in REPLACING_TYPES for t in self.types)
        #: vendor ids that the configuration does not name, with how often they came
        self.unnamed: dict[str, int] = {}

    def events(self, record: Record, refuse: Callable[[BadValue], None]) -> Iterator[MappedEvent]:
        """Yield the events of a record; ``refuse`` is told where it is none."""
        row = picked(record, self.columns)
        for index, compiled in enumerate(self._events):
            if not compiled.counts(row):
                continue
            try:
                fact = fact_of(compiled, row)
                fact.subject = self._service(fact.subject)
                if fact.type == "kpi.reported":  # a value counted elsewhere is its service's, where no scope is named
                    fact.data.setdefault("scope", f"service:{fact.subject}")
                entity = self._entity(record)
                if self.entities:
                    fact.key = "|".join([self._source, *(_answerer(fact) or entity)])
                yield written(fact, self._ident(record, entity, index, fact), self._source, self._team)
            except BadValue as e:
                refuse(e)
                return

    def _entity(self, record: Record) -> list[str]:
        found = picked(record, self._stream.id)
        for name, value in found.items():
            if value is None:
                raise BadValue(name, None, "it names the record")
        return [str(value) for value in found.values()]

    def _ident(self, record: Record, entity: list[str], index: int, fact: Fact) -> str:
        version: list[Any] = [picked(record, [name])[name] for name in self._version]
        if not version and self.entities:
            version = [fact.at, fact.subject, fact.data, fact.sequence]
        return sha256(_encode([self._source, self._name, entity, version, index])).hexdigest()[:32]

    def _service(self, said: str) -> str:
        named = self._entry.services.get(said)
        if named is not None:
            return named
        if self._entry.services or self._entry.other_service:
            self.unnamed[said] = self.unnamed.get(said, 0) + 1
        return self._entry.other_service or said


def _answerer(fact: Fact) -> list[str]:
    """Return what names the answers of which only the last counts, where a survey's answer says whose it is."""
    data = fact.data
    if fact.type != "survey.answered" or not data.get("respondent"):
        return []
    return [str(data.get(name) or "") for name in ("survey" if data.get("survey") else "kind", "about", "respondent")]


def holds(conditions: list[When], record: Record) -> bool:
    """Return whether all conditions hold of a record."""
    names = [when.column for when in conditions]
    return condition(conditions, _PLAIN)(picked(record, names))


_PLAIN = FileMapping(name="conditions", service="", events=[])


def completed_by(records: list[Any], body: Any, beside: Mapping[str, Beside]) -> list[Any]:
    """Return records, each with the elements of the answer's other arrays that belong to it."""
    for name, array in beside.items():
        elements: dict[tuple[str, ...], list[Record]] = {}
        found = body if not array.records else field_at(body, array.records) if isinstance(body, dict) else None
        for each in found if isinstance(found, list) else ():
            if isinstance(each, dict):
                elements.setdefault(_texts(each, array.match.values()), []).append(each)
        records = [{**r, name: elements.get(_texts(r, array.match), [])} if isinstance(r, dict) else r for r in records]
    return records


def _texts(record: Record, columns: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(field_at(record, column)) for column in columns)


def folded(record: Record, folds: Mapping[str, Fold]) -> Record:
    """Return a record with the columns that are made of its lists."""
    return record if not folds else {**record, **{name: _fold(record, fold) for name, fold in folds.items()}}


def _fold(record: Record, fold: Fold) -> Any:
    elements = field_at(record, fold.of)
    if not isinstance(elements, list):
        return None
    if fold.take == "count":
        return len(elements)
    said = [field_at(each, fold.column) for each in elements if isinstance(each, dict)]
    read = time_reader("iso", "UTC", 0.0, f"{fold.of}.{fold.column}")
    order = {text: read(text) for text in said if text}
    if not order:
        return None
    return (min if fold.take == "earliest" else max)(order, key=lambda text: order[text])


def exploded(records: list[Any], column: str | None) -> Iterator[Record]:
    """Yield records, one for every element of a column where one is named (the element as ``each``)."""
    for record in records:
        if not isinstance(record, dict):
            continue
        if column is None:
            yield record
            continue
        elements = picked(record, [column])[column]
        for element in elements if isinstance(elements, list) else ():
            yield {**record, "each": element}
