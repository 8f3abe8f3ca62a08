"""Drawn event histories over all families: late, doubled, corrected, conflicting, malformed and impossible."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from pipeline.catalogue import model as m
from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import Plan, build_plan
from pipeline.events.families import EVENT_TOPICS, TYPES
from tests.properties.harness import Cluster, Place

#: A Wednesday; summer time ended in Europe ten days before, a month began three days before.
NOW = datetime(2026, 11, 4, 10, 17, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
ZONES = ("UTC", "Europe/Zurich", "Asia/Kolkata", "America/St_Johns")
SUBJECTS = ["shop", "shop", "SHOP-1", "portal", "mail", "nobody", "Old Site"]
MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=8)
def catalogue(zone: str) -> m.Catalogue:
    """Return the built-in catalogue over three services, with small samples allowed."""
    built_in = load_catalogue()
    services = [
        m.Service(id="shop", name="Shop", team="web", vendor_ids=["SHOP-1"], required_checks=["a", "b"]),
        m.Service(id="portal", name="Portal", team="web"),
        m.Service(id="mail", name="Mail", team="work", sessions="reported"),
    ]
    targets = [
        m.Target(kpi="mttr", value=6.0, scope="team:web"),
        m.Target(kpi="availability", value=99.5, scope="service:shop", valid_from=NOW.date().replace(day=1)),
    ]
    kpis = {k: msgspec.structs.replace(v, min_sample=min(v.min_sample, 3)) for k, v in built_in.kpis.items()}
    return msgspec.structs.replace(
        built_in,
        organisation=msgspec.structs.replace(built_in.organisation, zone=zone, discovered_services=1),
        services={s.id: s for s in services},
        targets=targets,
        kpis=kpis,
    )


@lru_cache(maxsize=8)
def plan(zone: str) -> Plan:
    return build_plan(catalogue(zone))


@dataclass(frozen=True)
class Sent:
    """One message as its producer sends it: when it arrives, and what key places it."""

    topic: str
    key: str
    arrival: datetime
    value: bytes


def text(at: datetime) -> str:
    return at.isoformat()


#: Minutes before now, just before the last midnights in Kolkata and St. John's, which part hours of UTC.
_MIDNIGHTS = (948, 408)
_AROUND_MIDNIGHT = st.sampled_from(_MIDNIGHTS).flatmap(lambda minutes: st.integers(minutes - 30, minutes + 30))


def ago(longest: int = 42 * 1440) -> st.SearchStrategy[datetime]:
    """Return instants before now, most of them recent, in half minutes."""
    recent = st.one_of(st.integers(0, 180), st.integers(0, 3000), st.integers(0, longest), _AROUND_MIDNIGHT)
    return st.tuples(recent, st.sampled_from([0, 30])).map(lambda p: NOW - p[0] * MINUTE - timedelta(seconds=p[1]))


#: How long after its time an event arrives, minutes.
DELAYS = st.sampled_from([0, 0, 0, 1, 5, 130, 600, 1600, 6000])
NAMES = st.sampled_from(["u1", "u2", "u3"])
SUBJECT = st.sampled_from(SUBJECTS)


@st.composite
def page_views(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    near = draw(st.sampled_from([0, 1, 29, 30, 31, 59, 60, 61]))
    at = NOW - draw(st.sampled_from([60, 200, *_MIDNIGHTS, 1500, 20000])) * MINUTE + near * MINUTE
    user = draw(NAMES)
    if draw(st.integers(0, 3)) == 0:
        return "task.finished", at, {"user": user, "completed": draw(st.booleans())}, user
    if draw(st.integers(0, 4)) == 0:
        data = {"user": user, "session": "s", "pages": draw(st.integers(0, 5)), "duration_s": draw(st.integers(0, 90))}
        return "session.ended", at, data, user
    status = draw(st.sampled_from([None, 200, 404]))
    return "page.viewed", at, {"user": user, "error": draw(st.booleans()), "status": status}, user


@st.composite
def incidents(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    number = draw(st.sampled_from(["I1", "I2", "I3"]))
    opened = NOW - draw(st.sampled_from([100, 4000, 8000, 40000])) * MINUTE
    updated = opened + draw(st.integers(0, 400)) * MINUTE
    state = draw(st.sampled_from(["new", "in_progress", "resolved", "resolved", "closed", "cancelled"]))
    resolved = opened + draw(st.integers(-3, 300)) * MINUTE
    data: dict[str, Any] = {
        "number": number, "state": state, "opened_at": text(opened), "updated_at": text(updated),
        "priority": draw(st.sampled_from([None, 1, 2, 5])), "reopen_count": draw(st.integers(0, 1)),
        "made_sla": draw(st.sampled_from([None, True, False])), "major": draw(st.booleans()),
    }  # fmt: skip
    if draw(st.booleans()):
        data["resolved_at"] = text(resolved)
    if state == "closed":
        data["closed_at"] = text(max(resolved, opened) + draw(st.integers(0, 90)) * MINUTE)
    if draw(st.integers(0, 3)) == 0:
        data["acknowledged_at"] = text(opened + 2 * MINUTE)
    return "incident.updated", updated, data, number


@st.composite
def security(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    number, at = draw(st.sampled_from(["S1", "S2"])), draw(ago())
    updated = at + draw(st.integers(0, 200)) * MINUTE
    if draw(st.booleans()):
        data = {"number": number, "due_at": text(at), "updated_at": text(updated)}
        if draw(st.booleans()):
            data["fixed_at"] = text(at + draw(st.integers(-5, 200)) * MINUTE)
        return "vulnerability.updated", updated, data, number
    data = {
        "number": number, "detected_at": text(at), "updated_at": text(updated), "breach": draw(st.booleans()),
        "cancelled": draw(st.integers(0, 4)) == 0, "severity": draw(st.sampled_from(["low", "critical"])),
        "occurred_at": text(at - draw(st.integers(-1, 60)) * MINUTE), "resolved_at": text(at + 30 * MINUTE),
    }  # fmt: skip
    return "security_incident.updated", updated, data, number


@st.composite
def uptime(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    at = draw(ago(6000))
    if draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(["m1", "m2", ""]))
        data = {
            "id": name, "starts_at": text(at), "ends_at": text(at + draw(st.integers(0, 300)) * MINUTE),
            "cancelled": draw(st.integers(0, 4)) == 0, "reason": draw(st.sampled_from(["", "", "disk"])),
        }  # fmt: skip
        return "maintenance.scheduled", at + draw(st.integers(-60, 10)) * MINUTE, data, "maintenance"
    data = {
        "up": draw(st.sampled_from([True, True, False, None])), "check": draw(st.sampled_from(["a", "b", "c"])),
        "interval_s": draw(st.sampled_from([20, 60, 600, 3600])),
        "valid_until": draw(st.sampled_from(["interval", "interval", "next"])),
    }  # fmt: skip
    return "uptime.checked", at, data, data["check"]


@st.composite
def surveys(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    kind = draw(st.sampled_from(["csat", "nps", "ces", "change_feedback"]))
    data: dict[str, Any] = {"kind": kind, "score": draw(st.integers(0, 10))}
    scale = draw(st.sampled_from([None, "0-10", "1-5", "5-5", "-5-5"]))
    if scale:
        data["scale"] = scale
    respondent = draw(st.sampled_from([None, "r1", "r2"]))
    if respondent:
        data |= {"respondent": respondent, "survey": draw(st.sampled_from([None, "x"]))}
    return "survey.answered", draw(ago()), data, respondent or "anyone"


@st.composite
def changes(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    number, at = draw(st.sampled_from(["C1", "C2"])), draw(ago())
    updated = at + draw(st.integers(0, 100)) * MINUTE
    if draw(st.booleans()):
        outcome = draw(st.sampled_from(["planned", "delivered", "cancelled"]))
        data = {"number": number, "updated_at": text(updated), "requested_at": text(at), "outcome": outcome}
        if draw(st.booleans()):
            data["delivered_at"] = text(updated)
        return "feature.updated", updated, data, number
    outcome = draw(st.sampled_from(["planned", "successful", "failed", "rolled_back", "cancelled"]))
    data = {"number": number, "updated_at": text(updated), "outcome": outcome, "deployed_at": text(at)}
    if draw(st.booleans()):
        data["committed_at"] = text(at - 3 * MINUTE)
    commits = draw(st.sampled_from([None, 0, 1, 3]))
    if commits is not None:
        data["commits"] = [text(at - n * 7 * MINUTE) for n in range(commits)]
    return "change.updated", updated, data, number


@st.composite
def measurements(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    at, kind = draw(ago()), draw(st.integers(0, 5))
    number = draw(st.sampled_from([0, 0.5, -3, 17.25, 1000]))
    match kind:
        case 0:
            data = {"status": draw(st.sampled_from([200, 503])), "count": draw(st.integers(1, 40)), "latency_ms": 12.5}
            if draw(st.booleans()):
                del data["latency_ms"]
            return "request.measured", at, data, ""
        case 1:
            ready = at + draw(st.integers(-1, 5)) * MINUTE
            data = {"direction": draw(st.sampled_from(["up", "down"])), "requested_at": text(at)}
            data["outcome"] = draw(st.sampled_from(["successful", "failed"]))
            return "scaling.completed", at, data | ({"ready_at": text(ready)} if draw(st.booleans()) else {}), ""
        case 2:
            data = {"model": draw(st.sampled_from(["a", "b"])), "predicted": number, "actual": draw(st.integers(-5, 9))}
            return "prediction.scored", at, data | {"unit": draw(st.sampled_from(["", "MWh"]))}, ""
        case 3:
            data = {"metric": "m", "baseline": number, "outcome": draw(st.integers(-9, 9)), "unit": "EUR"}
            return "decision.evaluated", at, data | {"higher_is_better": draw(st.booleans())}, ""
        case 4:
            data = {"from": "crm", "to": draw(st.sampled_from(["dwh", "erp"])), "changed_at": text(at - MINUTE)}
            data |= {"available_at": text(at), "ok": draw(st.sampled_from([True, True, False]))}
            return "record.synced", at, data, ""
    data = {"from": "crm", "to": "dwh", "compared": 9, "matched": draw(st.integers(0, 10)), "missing": 1}
    if draw(st.booleans()):
        data |= {"records_compared": 5, "records_consistent": draw(st.integers(0, 6))}
    return "reconciliation.completed", at, data, ""


@st.composite
def control(draw: Any) -> tuple[str, datetime, dict[str, Any], str]:
    at = draw(ago(9000))
    if draw(st.integers(0, 4)) == 0:
        data = {"kpi": draw(st.sampled_from(["mttr", "csat", "nonsense"])), "month": "2026-10", "value": 3.5}
        return "kpi.reported", at, data, "kpi"
    types = draw(st.lists(st.sampled_from(sorted(set(TYPES) - {"kpi.reported"})), min_size=1, max_size=8, unique=True))
    data = {
        "source": draw(st.sampled_from(["s1", "s2"])), "from": text(at - draw(st.integers(0, 4000)) * MINUTE),
        "to": text(at), "types": types, "complete": draw(st.integers(0, 4)) > 0,
        "services": draw(st.sampled_from([None, None, ["shop"], ["shop", "mail"]])),
    }  # fmt: skip
    return "source.polled", at, data, "poll"


EVENTS = st.one_of(
    page_views(), page_views(), incidents(), incidents(), security(), uptime(), uptime(), surveys(), changes(),
    measurements(), measurements(), control(),
)  # fmt: skip
BROKEN = [
    b"", b"{", b"\xff\xfe", b"[1,2]", b"[]", b"null", b'{"specversion":"1.0"}', b'{"a":NaN}',
    b'{"specversion":"1.0","id":"x","source":"s","type":"no.such","time":"2026-11-01T00:00:00Z"}',
    b'{"specversion":"1.0","id":"x","source":"s","type":"page.viewed","time":"2026-11-01T00:00:00"}',
    b'{"specversion":"1.0","id":"x","source":"s","type":"page.viewed","time":"2026-11-01T00:00:00Z","data":{"user":5}}',
    b'{"specversion":"1.0","id":"x","source":"s","type":"page.viewed","time":"2200-11-01T00:00:00Z","data":{"user":"u"}}',
    b'{"specversion":"1.0","id":"x","source":"s","type":"page.viewed","time":"1999-11-01T00:00:00Z","data":{"user":"u"}}',
]  # fmt: skip


@st.composite
def messages(draw: Any, number: int) -> Sent:
    """Return one message: an event, or something broken."""
    kind, at, data, key = draw(EVENTS)
    topic = f"csf.events.{TYPES[kind][0]}"
    if draw(st.integers(0, 24)) == 0:
        return Sent(topic, "broken", at, draw(st.sampled_from(BROKEN)))
    subject = draw(SUBJECT)
    event = {
        "specversion": "1.0", "id": f"e{draw(st.sampled_from([number, number, number, number // 2]))}", "source": "src",
        "type": kind, "time": text(at), "subject": subject, "data": data,
    }  # fmt: skip
    if kind in {"source.polled", "kpi.reported"}:
        event["subject"] = ""
    if subject == "Old Site" and draw(st.booleans()):
        event["csfteam"] = "Legacy"
    sequence = draw(st.sampled_from([None, None, None, number, 5]))
    if sequence is not None:
        event["sequence"] = sequence
    arrival = min(NOW, at + draw(DELAYS) * MINUTE)
    return Sent(topic, f"{kind.split('.')[0]}|{key}" if key else f"any{number}", arrival, json.dumps(event).encode())


@st.composite
def histories(draw: Any, most: int = 40) -> list[Sent]:
    """Return messages in the order of their arrival, some sent twice."""
    sent = [draw(messages(n)) for n in range(draw(st.integers(1, most)))]
    again = draw(st.lists(st.sampled_from(sent), max_size=4))
    late = draw(st.sampled_from([0, 10, 1000, 3500]))
    sent += [Sent(s.topic, s.key, min(NOW, s.arrival + late * MINUTE), s.value) for s in again]
    return sorted(sent, key=lambda s: s.arrival)


#: Months closed, and how many hours after they ended.
closes = st.lists(
    st.tuples(st.sampled_from(["2026-09", "2026-10"]), st.integers(0, 80)), max_size=2, unique_by=lambda c: c[0]
)


def closing(month: str, hours: int, zone: str, partitions: int) -> list[tuple[Place, int, bytes]]:
    """Return the barriers of a month: place, arrival in ms, message."""
    at = datetime(2026, int(month[5:]) + 1, 1, 12, tzinfo=UTC) + timedelta(hours=hours)
    places = [(topic, number) for topic in EVENT_TOPICS for number in range(partitions)]
    event = {
        "specversion": "1.0", "id": f"closed-{month}", "source": "closing", "type": "month.closed", "time": text(at),
        "data": {"month": month, "zone": zone, "id": f"closed-{month}", "barriers": len(places)},
    }  # fmt: skip
    return [(place, int(at.timestamp() * 1000), json.dumps(event).encode()) for place in places]


def write(
    sent: list[Sent], zone: str, partitions: int = 1, rollups: int = 1, closed: Iterable[tuple[str, int]] = (),
    *, by_arrival: bool = True,
) -> Cluster:  # fmt: skip
    """Return a cluster whose log holds a history, months closed, and a tick of the clock at its end.

    Args:
        sent: the history.
        zone: in which months begin.
        partitions: of every topic.
        rollups: partitions of the partials.
        closed: months and how many hours after their end.
        by_arrival: without it the log keeps the order of ``sent``, whatever the broker's clock said.
    """
    cluster = Cluster(plan(zone), partitions, rollups)
    barriers = [b for month, hours in closed for b in closing(month, hours, zone, partitions) if b[1] <= NOW_MS]
    put = [(cluster.place(s.topic, s.key), int(s.arrival.timestamp() * 1000), s.value) for s in sent]
    for place, arrival_ms, value in sorted([*put, *barriers], key=lambda m: m[1]) if by_arrival else put:
        cluster.put(place, arrival_ms, value)
    tick(cluster, max([NOW, *(s.arrival for s in sent)]))  # what arrives late moves the clock of its own partition only
    return cluster


def tick(cluster: Cluster, at: datetime) -> None:
    """Let the clock move on: a tick in a control partition."""
    said = {
        "specversion": "1.0", "id": f"tick-{text(at)}", "source": "clock", "type": "clock.ticked", "time": text(at),
        "data": {"partition": 0, "time": text(at)},
    }  # fmt: skip
    cluster.put(("csf.events.control", 0), int(at.timestamp() * 1000), json.dumps(said).encode())
