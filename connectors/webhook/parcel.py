"""From the body of a delivery to events: pure, and a function of the body alone, since only the body is signed.

A delivery that is sent again so makes the same events with the same ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.engine.records import RecordMapper, exploded, holds
from connectors.mapping.events import MappedEvent
from connectors.mapping.fields import field_at
from connectors.mapping.values import BadValue
from connectors.webhook.load import Hook
from pipeline.engine.services import service_id
from pipeline.errors import InvalidEvent
from pipeline.events.families import TYPES, event_topic
from pipeline.events.validate import decode_data, decode_envelope, split_message

#: What is kept of a record that is no event, bytes.
_KEPT = 65_536
#: What orders and names an event of ours where it says no partition key.
_KEYS = ("number", "user", "check")
_UNMAPPABLE = "unmappable-row"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class NotReadable(Exception):
    """A body is none of the form's; the message says why."""


@dataclass(frozen=True)
class Letter:
    """What was sent and is no event: why, and what it was."""

    reason: str
    detail: str
    raw: bytes


@dataclass
class Parcel:
    """What one delivery becomes.

    Attributes:
        events: to be sent.
        letters: records that are no events.
        left_out: records that the sender says it left out.
    """

    events: list[MappedEvent] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    left_out: int = 0

    @property
    def nothing(self) -> bool:
        """Whether it says nothing that counts here."""
        return not (self.events or self.letters)


class Unpacker:
    """Makes the events of one sender.

    Args:
        hook: whose deliveries.
        now_ms: the time, epoch ms; events of ours are checked against it.
    """

    def __init__(self, hook: Hook, now_ms: Callable[[], int]) -> None:
        self._hook, self._now_ms = hook, now_ms
        self._mappers = [(told, RecordMapper(reading, hook.entry, hook.source)) for told, reading in hook.readings]
        #: event types that it may bring; of events of ours: those that came
        self.types = sorted({t for _, mapper in self._mappers for t in mapper.types})

    def open(self, body: bytes) -> Parcel:
        """Return what a body becomes.

        Raises:
            NotReadable: it is no JSON, or no object or array of objects.
        """
        if self._hook.form.cloudevents:
            return self._events_of_ours(body)
        try:
            document = _decode(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
            raise NotReadable(f"the body is no JSON: {e}") from None
        records = document if isinstance(document, list) else [document]
        if not all(isinstance(record, dict) for record in records):
            raise NotReadable("the body must be a JSON object, or an array of objects")
        parcel = Parcel()
        for record in records:
            self._read(record, parcel)
        return parcel

    @property
    def unnamed(self) -> dict[str, int]:
        """Vendor ids that the configuration does not name, with how often they came; asked for, they are forgotten."""
        found: dict[str, int] = {}
        for _, mapper in self._mappers:
            found |= mapper.unnamed
            mapper.unnamed.clear()
        return found

    def _read(self, record: dict[str, Any], parcel: Parcel) -> None:
        column = self._hook.form.left_out
        said = field_at(record, column) if column is not None else None
        parcel.left_out += said if isinstance(said, int) and said > 0 else 0
        for told, mapper in self._mappers:
            if not holds(told.when, record):
                continue
            for each in exploded([record], told.explode):
                parcel.events += mapper.events(each, self._refuser(told.name, each, parcel))

    def _refuser(self, name: str, record: dict[str, Any], parcel: Parcel) -> Callable[[BadValue], None]:
        def refuse(why: BadValue) -> None:
            detail = f"{self._hook.source}/{name}: {why}"
            parcel.letters.append(Letter(_UNMAPPABLE, detail, _encode(record)[:_KEPT]))

        return refuse

    # -- events of ours ----------------------------------------------------------------------------------------------

    def _events_of_ours(self, body: bytes) -> Parcel:
        try:
            raws = split_message(body)
        except InvalidEvent as e:
            raise NotReadable(e.detail) from None
        parcel = Parcel()
        for raw in raws:
            try:
                parcel.events.append(self._event(raw))
            except InvalidEvent as e:
                if e.reason == "malformed-json" and len(raws) == 1:
                    raise NotReadable(e.detail) from None
                letter = Letter(e.reason, f"{self._hook.source}: {e.detail}", bytes(raw)[:_KEPT])
                parcel.letters.append(letter)
        self.types = sorted({*self.types, *(event.type for event in parcel.events)})
        return parcel

    def _event(self, raw: bytes | msgspec.Raw) -> MappedEvent:
        """Return an event of ours, checked, under this sender's name: it cannot speak for another source.

        Raises:
            InvalidEvent: it breaks a rule of its type.
        """
        envelope = decode_envelope(raw)
        family = TYPES[envelope.type][0] if envelope.type in TYPES else ""
        if family == "control":
            raise InvalidEvent(
                "unknown-type", f"type '{envelope.type}' is the pipeline's own and not taken from a sender"
            )
        topic = event_topic(family)
        decode_data(envelope, topic, self._now_ms())
        try:
            event: dict[str, Any] = _decode(bytes(raw))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as e:  # in a field that no type has
            raise InvalidEvent("malformed-json", f"not valid JSON: {e}") from None
        entry = self._hook.entry
        subject = entry.services.get(envelope.subject) or entry.other_service or envelope.subject
        event |= {"source": f"{self._hook.source}/{envelope.source}", "subject": subject}
        event.pop("csfteam", None)
        if entry.team:
            event["csfteam"] = entry.team
        named = next((str(event["data"][name]) for name in _KEYS if event.get("data", {}).get(name)), subject)
        key = f"{self._hook.source}|{envelope.partitionkey or named}"
        return MappedEvent(topic, key, _encode(event), envelope.type, envelope.time, service_id(subject) or subject)
