"""From the bytes of a message to checked events: every rule an event must keep, with the reason it broke."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, get_args, get_type_hints

import msgspec

from pipeline.errors import InvalidEvent
from pipeline.events import families as f
from pipeline.events.envelope import Envelope
from pipeline.time.calendar import EPOCH, to_ms


def _holds(hint: Any, kind: Any) -> bool:
    """Return whether a type hint is a kind, or offers it."""
    return hint == kind or kind in get_args(hint)


#: An event time, or any time it tells as past, further than this after its arrival is impossible, ms.
FUTURE_LIMIT_MS = 24 * 3600 * 1000
#: Numbers beyond this are taken for errors of the source.
NUMBER_LIMIT = 1e12
#: Events in one batch at most.
BATCH_LIMIT = 65_536

#: Types that act on the pipeline itself.
CONTROL_TYPES = frozenset({"source.polled", "clock.ticked", "month.closed", "kpi.reported"})

#: The scale each survey kind is kept on; answers on others are mapped linearly.
CANONICAL_SCALES: dict[str, tuple[float, float]] = {
    "csat": (1, 5),
    "nps": (0, 10),
    "ces": (1, 7),
    "change_feedback": (1, 5),
}

#: Times before this are mistakes (an empty field of some systems), and beyond what every calendar holds.
_FIRST = EPOCH


def _fields_of(struct: type[msgspec.Struct], kind: Any) -> tuple[str, ...]:
    return tuple(name for name, hint in get_type_hints(struct).items() if _holds(hint, kind))


#: type → its fields that hold a time, and those that hold a list of times; types without any are not there
_TIMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    name: found
    for name, (_, struct) in f.TYPES.items()
    if any(found := (_fields_of(struct, datetime), _fields_of(struct, list[datetime])))
}
_batch_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_envelope_decoder = msgspec.json.Decoder(Envelope)
_DATA: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    name: (f.event_topic(family), msgspec.json.Decoder(struct)) for name, (family, struct) in f.TYPES.items()
}
_PATH = re.compile(r" - at `(?P<path>[^`]+)`$")


def split_message(value: bytes | None) -> list[bytes | msgspec.Raw]:
    """Return the events of a message, still raw.

    Raises:
        InvalidEvent: the message is no JSON, or a batch of too many events.
    """
    if not value:
        raise InvalidEvent("malformed-json", "the message is empty")
    if value.lstrip()[:1] != b"[":
        return [value]
    try:
        events = _batch_decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise InvalidEvent("malformed-json", f"the batch is no JSON array: {e}") from None
    if len(events) > BATCH_LIMIT:
        raise InvalidEvent("malformed-event", f"a batch holds at most {BATCH_LIMIT} events, this one {len(events)}")
    return list(events)


def decode_envelope(raw: bytes | msgspec.Raw) -> Envelope:
    """Return the envelope of one event.

    Raises:
        InvalidEvent: no JSON, or the envelope lacks or mistypes an attribute.
    """
    try:
        event = _envelope_decoder.decode(raw)
    except msgspec.ValidationError as e:
        raise InvalidEvent("malformed-event", str(e)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as e:
        raise InvalidEvent("malformed-json", str(e)) from None
    if event.specversion != "1.0":
        raise InvalidEvent("malformed-event", f"specversion is '{event.specversion}', allowed: '1.0'")
    if not event.id or not event.source:
        raise InvalidEvent("malformed-event", "id and source must not be empty")
    return event


def decode_data(event: Envelope, topic: str, arrival_ms: int) -> tuple[Any, int]:
    """Return the typed data of an event and its time in epoch ms, all rules of its family checked.

    Raises:
        InvalidEvent: with the reason code of ``docs/semantics.md``.
    """
    known = _DATA.get(event.type)
    if known is None:
        raise InvalidEvent("unknown-type", f"type '{event.type[:80]}' is none of the event types")
    home, decoder = known
    if home != topic and event.type not in {"clock.ticked", "month.closed"}:
        raise InvalidEvent("wrong-topic", f"type '{event.type}' belongs to topic {home}, not {topic}")
    try:
        data = decoder.decode(event.data)
        at_ms = to_ms(event.time)
    except msgspec.ValidationError as e:
        path = _PATH.search(str(e))
        number = "out of range" in str(e)
        where = f" ({path['path']})" if path else ""
        raise InvalidEvent("bad-number" if number else "bad-data", f"{str(e)[:300]}{where}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError) as e:
        reason = "bad-number" if "out of range" in str(e) else "bad-data"
        raise InvalidEvent(reason, str(e)[:300]) from None
    times = _TIMES.get(event.type)
    if times is not None:
        _not_before_1970(data, *times)
    latest = arrival_ms + FUTURE_LIMIT_MS
    if at_ms > latest:
        raise InvalidEvent("future-time", f"event time {event.time.isoformat()} is over 24 h after its arrival")
    check = _CHECKS.get(event.type)
    if check is not None:
        try:
            check(data, latest)
        except OverflowError:
            raise InvalidEvent("bad-data", "a time lies outside the calendar") from None
    return data, at_ms


def _not_before_1970(data: Any, single: tuple[str, ...], lists: tuple[str, ...]) -> None:
    for name in single:
        at: datetime | None = getattr(data, name)
        if at is not None and at < _FIRST:
            raise InvalidEvent("bad-data", f"{name} {at.isoformat()} is before 1970")
    for name in lists:
        if any(at < _FIRST for at in getattr(data, name) or ()):
            raise InvalidEvent("bad-data", f"{name} has a time before 1970")


def _ordered(data: Any, first: str, *later: str) -> None:
    start: datetime | None = getattr(data, first)
    if start is None:
        return
    for name in later:
        end: datetime | None = getattr(data, name)
        if end is not None and end < start:
            raise InvalidEvent("impossible-times", f"{name} {end.isoformat()} is before {first} {start.isoformat()}")


def _not_future(data: Any, latest_ms: int, *names: str) -> None:
    for name in names:
        at: datetime | None = getattr(data, name)
        if at is not None and to_ms(at) > latest_ms:
            raise InvalidEvent("future-time", f"{name} {at.isoformat()} is over 24 h after its arrival")


def _sane(data: Any, *names: str) -> None:
    for name in names:
        number = getattr(data, name)
        if number is not None and not (math.isfinite(number) and abs(number) <= NUMBER_LIMIT):
            raise InvalidEvent("bad-number", f"{name} is {number}; numbers must be finite and within ±1e12")


def _sane_number(name: str) -> Callable[[Any, int], None]:
    """Return the check of an event with one number, as fast as it can be: it is made for every page view."""
    read = attrgetter(name)

    def check(data: Any, _latest_ms: int) -> None:
        number = read(data)
        if number is not None and not -NUMBER_LIMIT <= number <= NUMBER_LIMIT:
            _sane(data, name)

    return check


def _sane_numbers(*names: str) -> Callable[[Any, int], None]:
    return lambda data, _latest_ms: _sane(data, *names)


def _incident(data: f.IncidentUpdated, latest: int) -> None:
    _ordered(data, "opened_at", "resolved_at", "closed_at")
    _not_future(data, latest, "opened_at", "updated_at", "acknowledged_at", "resolved_at", "closed_at")


def _security(data: f.SecurityIncidentUpdated, latest: int) -> None:
    _ordered(data, "occurred_at", "detected_at")
    _ordered(data, "detected_at", "responded_at", "contained_at", "resolved_at")
    _not_future(data, latest, "occurred_at", "detected_at", "updated_at", "responded_at", "contained_at", "resolved_at")


def _vulnerability(data: f.VulnerabilityUpdated, latest: int) -> None:
    _ordered(data, "found_at", "fixed_at")
    _not_future(data, latest, "found_at", "fixed_at", "updated_at")


def _change(data: f.ChangeUpdated, latest: int) -> None:
    _not_future(data, latest, "updated_at", "deployed_at", "committed_at")


def _feature(data: f.FeatureUpdated, latest: int) -> None:
    _ordered(data, "requested_at", "delivered_at")
    _not_future(data, latest, "requested_at", "delivered_at", "updated_at")


def _scaling(data: f.ScalingCompleted, latest: int) -> None:
    _ordered(data, "requested_at", "ready_at")
    _not_future(data, latest, "requested_at", "ready_at")


def _synced(data: f.RecordSynced, latest: int) -> None:
    _not_future(data, latest, "changed_at", "available_at")


def _maintenance(data: f.MaintenanceScheduled, _latest: int) -> None:
    if data.ends_at <= data.starts_at:
        raise InvalidEvent("impossible-times", "ends_at is not after starts_at")


def _survey(data: f.SurveyAnswered, _latest: int) -> None:
    """Check the score against its scale and map it onto the kind's own."""
    low, high = CANONICAL_SCALES[data.kind]
    lo, hi = low, high
    if data.scale is not None:
        first, _, second = data.scale[1:].partition("-")
        lo, hi = float(data.scale[0] + first), float(second)
        if lo >= hi:
            raise InvalidEvent("score-out-of-range", f"scale '{data.scale}' has no range")
    if not (math.isfinite(data.score) and lo <= data.score <= hi):
        raise InvalidEvent("score-out-of-range", f"score {data.score} is outside its scale {lo:g} to {hi:g}")
    if (lo, hi) != (low, high):
        data.score = low + (data.score - lo) * (high - low) / (hi - lo)


def _reconciled(data: f.ReconciliationCompleted, _latest: int) -> None:
    """Check the counts; records default to what was compared and matched."""
    if data.matched > data.compared:
        raise InvalidEvent("bad-data", f"matched {data.matched} is more than compared {data.compared}")
    if data.records_compared is None or data.records_consistent is None:
        data.records_compared, data.records_consistent = data.compared, data.matched
    if data.records_consistent > data.records_compared:
        raise InvalidEvent("bad-data", "records_consistent is more than records_compared")


def _polled(data: f.SourcePolled, latest: int) -> None:
    _ordered(data, "from_", "to")
    _not_future(data, latest, "to")


#: Types whose only further rule is that these numbers are sane.
NUMBERS: dict[str, tuple[str, ...]] = {
    "uptime.checked": ("latency_ms", "interval_s"),
    "page.viewed": ("duration_ms",),
    "session.ended": ("duration_s",),
    "task.finished": ("duration_ms",),
    "request.measured": ("latency_ms",),
    "prediction.scored": ("predicted", "actual"),
    "decision.evaluated": ("baseline", "outcome"),
    "kpi.reported": ("value", "target", "numerator", "denominator"),
}

_CHECKS: dict[str, Callable[[Any, int], None]] = {
    "incident.updated": _incident,
    "security_incident.updated": _security,
    "vulnerability.updated": _vulnerability,
    "change.updated": _change,
    "feature.updated": _feature,
    "scaling.completed": _scaling,
    "record.synced": _synced,
    "maintenance.scheduled": _maintenance,
    "survey.answered": _survey,
    "reconciliation.completed": _reconciled,
    "source.polled": _polled,
}


for _type, _names in NUMBERS.items():
    _CHECKS[_type] = _sane_number(*_names) if len(_names) == 1 else _sane_numbers(*_names)


def check_of(event_type: str) -> Callable[[Any, int], None] | None:
    """Return what checks the rules of a type that its struct does not say: it takes data and the latest time, ms.

    It raises InvalidEvent.
    """
    return _CHECKS.get(event_type)


_stored: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {
    struct: decoder for _, (_, struct) in f.TYPES.items() for decoder in [msgspec.json.Decoder(struct)]
}


def decode_stored(struct: type[msgspec.Struct], raw: bytes) -> Any:
    """Return data that was checked and stored before; its rules are not checked again."""
    return _stored[struct].decode(raw)
