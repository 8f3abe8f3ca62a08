"""From messages to facts: every event led to its exit by the order of docs/semantics.md."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from pipeline.catalogue.model import Catalogue
from pipeline.events.families import TYPES
from tests.oracle import zone

CONTROL = {"source.polled", "clock.ticked", "month.closed", "kpi.reported"}
ENTITIES = {
    "incident.updated", "security_incident.updated", "vulnerability.updated", "change.updated", "feature.updated",
    "survey.answered", "maintenance.scheduled",
}  # fmt: skip
SCALES = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "change_feedback": (1, 5)}
#: Per type: times in the order they must have (each not before the first), and times that are told as past.
ORDER = {
    "incident.updated": [("opened_at", "resolved_at", "closed_at")],
    "security_incident.updated": [
        ("occurred_at", "detected_at"),
        ("detected_at", "responded_at", "contained_at", "resolved_at"),
    ],
    "vulnerability.updated": [("found_at", "fixed_at")],
    "feature.updated": [("requested_at", "delivered_at")],
    "scaling.completed": [("requested_at", "ready_at")],
    "source.polled": [("from_", "to")],
}
PAST = {
    "incident.updated": "opened_at updated_at acknowledged_at resolved_at closed_at",
    "security_incident.updated": "occurred_at detected_at updated_at responded_at contained_at resolved_at",
    "vulnerability.updated": "found_at fixed_at updated_at",
    "change.updated": "updated_at deployed_at committed_at",
    "feature.updated": "requested_at delivered_at updated_at",
    "scaling.completed": "requested_at ready_at",
    "record.synced": "changed_at available_at",
    "source.polled": "to",
}
SANE = {
    "uptime.checked": "latency_ms interval_s", "page.viewed": "duration_ms", "session.ended": "duration_s",
    "task.finished": "duration_ms", "request.measured": "latency_ms", "prediction.scored": "predicted actual",
    "decision.evaluated": "baseline outcome", "kpi.reported": "value target numerator denominator",
}  # fmt: skip
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000

Message = tuple[str, int, int, int, bytes]  # topic, partition, offset, arrival ms, value


class _Envelope(msgspec.Struct):
    specversion: str
    id: str
    source: str
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    subject: str = ""
    data: Any = msgspec.field(default_factory=dict)
    datacontenttype: str = "application/json"
    sequence: int | str | None = None
    partitionkey: str | None = None
    csfteam: str | None = None


class Bad(Exception):
    """A dead letter, with its reason."""


@dataclass
class Fact:
    """One event that reached the facts."""

    place: tuple[str, int]
    type: str
    source: str
    id: str
    t_ms: int
    clock_ms: int
    service: str
    sequence: int
    data: Any
    offset: int


@dataclass
class Read:
    """What the messages hold."""

    facts: list[Fact] = field(default_factory=list)
    #: (topic, partition) → (offset, clock) after which sessions and ids are counted
    checkpoints: dict[tuple[str, int], list[tuple[int, int]]] = field(default_factory=dict)
    polls: list[Any] = field(default_factory=list)
    reported: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    exits: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    superseded: int = 0
    teams: dict[str, str] = field(default_factory=dict)
    now_ms: int = 0


def ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def us(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def split(value: bytes) -> list[Any]:
    """Return the events of a message as plain JSON values."""

    def no_constant(_: str) -> None:
        raise ValueError("no JSON")

    try:
        whole = json.loads(value.decode("utf-8"), parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Bad("malformed-json") from None
    if isinstance(whole, list):
        if len(whole) > 65_536:
            raise Bad("malformed-event")
        return whole
    return [whole]


def check(event: _Envelope, topic: str, arrival_ms: int) -> Any:
    """Return the typed data of an event that keeps every rule of its family."""
    if event.specversion != "1.0" or not event.id or not event.source:
        raise Bad("malformed-event")
    if event.type not in TYPES:
        raise Bad("unknown-type")
    family, struct = TYPES[event.type]
    if topic != f"csf.events.{family}" and event.type not in {"clock.ticked", "month.closed"}:
        raise Bad("wrong-topic")
    try:
        data = msgspec.json.decode(json.dumps(event.data), type=struct)
    except msgspec.ValidationError:
        raise Bad("bad-data") from None
    except msgspec.DecodeError:  # json writes an infinite number as no JSON
        raise Bad("bad-number") from None
    told = [v for n in struct.__struct_fields__ for v in _times(getattr(data, n))]
    if any(ms(at) < 0 for at in told):
        raise Bad("bad-data")
    latest = arrival_ms + DAY_MS
    if ms(event.time) > latest:
        raise Bad("future-time")
    for first, *others in ORDER.get(event.type, ()):
        start = getattr(data, first)
        if start is not None and any(getattr(data, o) is not None and getattr(data, o) < start for o in others):
            raise Bad("impossible-times")
    for name in PAST.get(event.type, "").split():
        if getattr(data, name) is not None and ms(getattr(data, name)) > latest:
            raise Bad("future-time")
    for name in SANE.get(event.type, "").split():
        number = getattr(data, name)
        if number is not None and not (math.isfinite(number) and abs(number) <= 1e12):
            raise Bad("bad-number")
    _special(event.type, data)
    return data


def _times(value: Any) -> list[datetime]:
    """Return the times a field tells."""
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, datetime)]


def _special(kind: str, data: Any) -> None:
    if kind == "maintenance.scheduled" and data.ends_at <= data.starts_at:
        raise Bad("impossible-times")
    if kind == "survey.answered":
        low, high = SCALES[data.kind]
        found = re.fullmatch(r"(-?\d+)-(\d+)", data.scale) if data.scale is not None else None
        lo, hi = (float(found[1]), float(found[2])) if found else (low, high)
        if lo >= hi or not (math.isfinite(data.score) and lo <= data.score <= hi):
            raise Bad("score-out-of-range")
        if (lo, hi) != (low, high):
            data.score = low + (data.score - lo) * (high - low) / (hi - lo)
    if kind == "reconciliation.completed":
        if data.matched > data.compared:
            raise Bad("bad-data")
        if data.records_compared is None or data.records_consistent is None:
            data.records_compared, data.records_consistent = data.compared, data.matched
        if data.records_consistent > data.records_compared:
            raise Bad("bad-data")


def cleaned(text: str) -> str | None:
    """Return a subject or team as an id."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    if len(name) > 64:
        name = name[:55] + "-" + hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return name if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) else None


class _Place:
    """What one partition remembers while its messages are read."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.vendor = {v: s.id for s in reversed(catalogue.services.values()) for v in s.vendor_ids}
        self.discovered: dict[str, str] = {}
        self.seen: dict[tuple[str, str], int] = {}
        self.names: dict[tuple[str, str], set[Any]] = {}
        self.refused = ""
        self.entities: dict[tuple[str, str, str], tuple[Any, ...]] = {}
        self.clock = 0

    def service(self, subject: str, team: str | None) -> str | None:
        if subject in self.catalogue.services:
            return subject
        if subject in self.vendor:
            return self.vendor[subject]
        name = cleaned(subject) if team else None
        self.refused = "unknown-service"
        if name is None or name in self.catalogue.services or name in self.discovered:
            return name
        owner = cleaned(team or "")
        if owner is None:
            return None
        if len(self.discovered) >= self.catalogue.organisation.discovered_services:
            self.refused = "service-limit"
            return None
        self.discovered[name] = owner
        return name

    def is_duplicate(self, key: tuple[str, str]) -> bool:
        hour = self.clock // 3_600_000
        if key in self.seen and hour - self.seen[key] <= 48:
            return True
        self.seen.pop(key, None)  # it takes its place among the newest
        self.seen[key] = hour
        return False

    def forget_ids(self) -> int:
        hour, most = self.clock // 3_600_000, self.catalogue.organisation.remembered_ids
        self.seen = {k: h for k, h in self.seen.items() if hour - h <= 48}
        if len(self.seen) > most:
            over = len(self.seen) - (most - most // 4)
            self.seen = dict(list(self.seen.items())[over:])
            return over
        return 0

    def one_too_many(self, kind: str, data: Any, service: str) -> str | None:
        listed = self.catalogue.services.get(service)
        if kind == "uptime.checked" and data.check not in (listed.required_checks if listed else []):
            what, name = "check", data.check
        elif kind == "record.synced":
            what, name = "pair", (data.from_, data.to)
        else:
            return None
        names = self.names.setdefault((what, service), set())
        if len(names) >= 256 and name not in names:
            return f"{what}-limit"
        names.add(name)
        return None


def entity_of(kind: str, data: Any, event_id: str) -> str:
    if kind == "survey.answered":
        # a survey asks several questions of one person: its kind is part of what is answered
        answer = [data.survey or data.kind, data.kind, data.about, data.respondent]
        return event_id if data.respondent is None else json.dumps(answer)
    if kind == "maintenance.scheduled":
        return data.id or str(ms(data.starts_at))
    return data.number


def rank(fact: Fact) -> tuple[Any, ...]:
    """Return what orders the updates of an entity."""
    updated = getattr(fact.data, "updated_at", None)
    return (
        fact.sequence, fact.t_ms if updated is None else ms(updated), fact.t_ms, msgspec.json.encode(fact.data),
    )  # fmt: skip


def read(catalogue: Catalogue, messages: list[Message], wanted: set[str]) -> Read:
    """Read messages, those of a partition in the order of their offsets.

    Args:
        catalogue: whose services count.
        messages: all of them.
        wanted: event types that some measure reads.
    """
    out, places = Read(), {}
    out.teams = {s.id: s.team for s in catalogue.services.values()}
    for topic, partition, offset, arrival, value in sorted(messages, key=lambda m: m[:3]):
        place = places.setdefault((topic, partition), _Place(catalogue))
        place.clock = max(place.clock, arrival)
        out.now_ms = max(out.now_ms, arrival)
        exits = out.exits.setdefault((topic, partition), Counter())
        try:
            events = split(value)
        except Bad as bad:
            exits[f"dead_letter:{bad}"] += 1
            events = []
        for event in events:
            try:
                exits[_one(catalogue, place, (topic, partition), offset, arrival, event, wanted, out)] += 1
            except Bad as bad:
                exits[f"dead_letter:{bad}"] += 1
        if value[:1] != b"{" or offset % 1024 == 0:
            over = place.forget_ids()
            if over:
                exits["forgotten:ids"] += over
            out.checkpoints.setdefault((topic, partition), []).append((offset, place.clock))
    for place in places.values():
        for name, team in place.discovered.items():
            out.teams.setdefault(name, team)
    return out


def _one(
    catalogue: Catalogue, place: _Place, at: tuple[str, int], offset: int, arrival: int, raw: Any,
    wanted: set[str], out: Read,
) -> str:  # fmt: skip
    try:
        event = msgspec.convert(raw, _Envelope)
    except msgspec.ValidationError:
        raise Bad("malformed-event") from None
    data = check(event, at[0], arrival)
    if event.type in CONTROL:
        _control(catalogue, event.type, data, out)
        return "ignored:control"
    t_ms = ms(event.time)
    horizon = zone.first_instant(catalogue.organisation.zone, catalogue.organisation.history_from)
    if t_ms < horizon * 1000:
        return "ignored:beyond-horizon"
    if place.is_duplicate((event.source, event.id)):
        return "duplicate"
    if event.type not in wanted:
        return "unmapped:no-kpi"
    service = place.service(event.subject, event.csfteam)
    if service is None:
        return f"unmapped:{place.refused}"
    refused = place.one_too_many(event.type, data, service)
    if refused:
        return f"unmapped:{refused}"
    sequence = event.sequence if isinstance(event.sequence, int) else -1
    fact = Fact(at, event.type, event.source, event.id, t_ms, place.clock, service, sequence, data, offset)
    if event.type in ENTITIES:
        key = (event.source, event.type, entity_of(event.type, data, event.id))
        held = place.entities.get(key)
        if held is None and len(place.entities) >= catalogue.organisation.entities:
            return "unmapped:entity-limit"
        out.facts.append(fact)
        if held is not None and rank(fact) <= held:
            return "ignored:superseded"
        place.entities[key] = rank(fact)
        return "kpi"
    known = catalogue.services.get(service)
    if event.type == "session.ended" and (known is None or known.sessions == "derived"):
        return "ignored:not-required"
    out.facts.append(fact)
    return "kpi"


def _control(catalogue: Catalogue, kind: str, data: Any, out: Read) -> None:
    if kind == "source.polled":
        out.polls.append(data)
    elif kind == "kpi.reported":
        team_or_service = re.fullmatch(r"(team|service):.+", data.scope)
        if data.kpi not in catalogue.kpis or not (data.scope == "org" or team_or_service):
            raise Bad("bad-data")
        out.reported[(data.kpi, data.scope, data.month)] = data
