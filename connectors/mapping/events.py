"""From a row to an event: the rules of a mapping compiled once, applied to each row or record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import msgspec

from connectors.mapping.conditions import condition
from connectors.mapping.model import Event, Mapping, Value
from connectors.mapping.values import BadValue, Lookups, Read, Row, compile_value
from pipeline.engine.plan import ENTITY_TYPES
from pipeline.engine.services import service_id
from pipeline.events.families import TYPES, event_topic

Check = Callable[[str, dict[str, Any]], None]
_encode = msgspec.json.Encoder().encode
#: Fields that name an entity: a survey's answers are one person's, a maintenance may be known by its begin alone.
_NAMES = ("number", "respondent", "id", "starts_at")


@dataclass
class MappedEvent:
    """One event made from a row, ready to be sent."""

    topic: str
    key: str
    raw: bytes
    type: str
    time: datetime
    service: str


@dataclass
class CompiledEvent:
    """One event of a mapping, ready to be read from rows."""

    event: Event
    topic: str
    time: Read
    service: Read
    data: list[tuple[str, Read, bool]]
    sequence: Read | None
    counts: Callable[[Row], bool]
    #: rows that count, where only the first of several does
    chosen: set[int] | None = None


@dataclass
class Fact:
    """What a row says: an event that has no identity yet."""

    topic: str
    type: str
    key: str
    at: datetime
    subject: str
    data: dict[str, Any]
    sequence: int | None


def compile_event(
    event: Event, mapping: Mapping, known: dict[str, str], lookups: Lookups | None = None, service: str | None = None
) -> CompiledEvent:
    """Return an event of a mapping ready to be read from rows; ``service`` overrides the mapping's.

    Raises:
        MappingError: it reads a variable that was not given.
    """
    struct = TYPES[event.type][1]
    #: fields for which "nothing" is a statement of its own: the check whose outcome nobody knows any more
    nullable = {f.encode_name for f in msgspec.structs.fields(struct) if f.required and _takes_none(f.type)}

    wanted = event.service if event.service is not None else mapping.service
    return CompiledEvent(
        event,
        event_topic(TYPES[event.type][0]),
        as_time(event.time, mapping, known),
        (lambda _row: service) if service else compile_value(wanted, mapping, known),
        [(name, compile_value(value, mapping, known, lookups), name in nullable) for name, value in event.data.items()],
        _order(event.sequence, mapping, known) if event.sequence else None,
        condition(event.when, mapping),
    )


def _order(sequence: str | Value, mapping: Mapping, known: dict[str, str]) -> Read:
    spec = Value(column=sequence) if isinstance(sequence, str) else sequence
    return compile_value(msgspec.structs.replace(spec, kind="int"), mapping, known)


def _takes_none(hint: Any) -> bool:
    return type(None) in get_args(hint)


def as_time(value: str | Value, mapping: Mapping, known: dict[str, str]) -> Read:
    """Return what reads a value as a time, in UTC."""
    spec = Value(column=value, kind="time") if isinstance(value, str) else msgspec.structs.replace(value, kind="time")
    return compile_value(spec, mapping, known)


def fact_of(c: CompiledEvent, row: Row, check: Check = lambda _type, _data: None) -> Fact:
    """Return what a row says.

    Raises:
        BadValue: it holds what its mapping cannot read, or lacks time or service, or ``check`` refuses it.
    """
    at = c.time(row)
    if at is None:
        raise BadValue("time", None, "an event needs a time")
    subject = c.service(row)
    if subject is None:
        raise BadValue("service", None, "an event needs a service")
    subject = str(subject)
    data: dict[str, Any] = {}
    for name, read, nullable in c.data:
        found = read(row)
        if found is not None or nullable:
            data[name] = found
    check(c.event.type, data)
    sequence = c.sequence(row) if c.sequence is not None else None
    return Fact(c.topic, c.event.type, _key(c, row, subject, data), at, subject, data, sequence)


def _key(c: CompiledEvent, row: Row, subject: str, data: dict[str, Any]) -> str:
    """Return what must stay in order: of an entity all it ever says, also when another service has it."""
    named = [str(row[k]).strip() for k in c.event.key]
    if c.event.type not in ENTITY_TYPES:
        return "|".join([subject, *named])
    return "|".join(named) or next((str(data[name]) for name in _NAMES if data.get(name) is not None), subject)


def written(fact: Fact, ident: str, source: str, team: str | None) -> MappedEvent:
    """Return a fact as the event that is sent.

    Raises:
        BadValue: it holds what JSON cannot say.
    """
    event: dict[str, Any] = {
        "specversion": "1.0", "id": ident, "source": source, "type": fact.type, "time": fact.at,
        "subject": fact.subject, "data": fact.data,
    }  # fmt: skip
    if team:
        event["csfteam"] = team
    if fact.sequence is not None:
        event["sequence"] = fact.sequence
    try:
        raw = _encode(event)
    except (msgspec.EncodeError, UnicodeError, ValueError) as e:
        raise BadValue("event", None, f"it cannot be written as JSON: {e}") from None
    return MappedEvent(fact.topic, fact.key, raw, fact.type, fact.at, service_id(fact.subject) or fact.subject)
