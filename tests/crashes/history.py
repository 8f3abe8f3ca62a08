"""A short history in which every kind of effect occurs: all families, doubles, dead letters, a month's close, late events."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from pipeline.events.families import TYPES
from tests.crashes.world import Place, Record

NOW = datetime(2026, 11, 1, 4, 17, 30, tzinfo=UTC)
PARTITIONS = 2
MONTH = "2026-10"
OCTOBER = datetime(2026, 10, 31, 20, 0, tzinfo=UTC)


def _event(number: int, kind: str, at: datetime, subject: str, data: dict[str, Any]) -> tuple[str, str, bytes]:
    event = {
        "specversion": "1.0", "id": f"e{number}", "source": "src", "type": kind, "time": at.isoformat(),
        "subject": subject, "data": data,
    }  # fmt: skip
    return f"csf.events.{TYPES[kind][0]}", str(data.get("number", subject)), json.dumps(event).encode()


def _incident(
    number: int, name: str, at: datetime, minutes: int | None, *, major: bool = False
) -> tuple[str, str, bytes]:
    data: dict[str, Any] = {"number": name, "priority": 2, "opened_at": at.isoformat(), "state": "new"}
    data |= {"updated_at": at.isoformat(), "major": major}
    if minutes is not None:
        done = (at + timedelta(minutes=minutes)).isoformat()
        data |= {"state": "resolved", "resolved_at": done, "updated_at": done}
    return _event(number, "incident.updated", at, "shop", data)


def _polled(number: int, upto: datetime) -> tuple[str, str, bytes]:
    data = {
        "source": "s1", "from": datetime(2026, 10, 1, tzinfo=UTC).isoformat(), "to": upto.isoformat(),
        "types": ["incident.updated", "survey.answered", "page.viewed"], "complete": True, "services": None,
    }  # fmt: skip
    return _event(number, "source.polled", upto, "", data)


def history() -> dict[Place, list[Record]]:
    """Return the event logs of two partitions."""
    hour = timedelta(hours=1)
    before = [
        _incident(1, "INC1", OCTOBER, None, major=True),
        _event(2, "survey.answered", OCTOBER, "shop", {"kind": "csat", "score": 5, "scale": "1-5"}),
        _event(3, "page.viewed", OCTOBER, "shop", {"user": "ann", "session": "s1"}),
        _event(3, "page.viewed", OCTOBER, "shop", {"user": "ann", "session": "s1"}),
        _event(4, "page.viewed", OCTOBER + hour, "portal", {"user": "bob", "session": "s2"}),
        ("csf.events.incident", "INC9", b"{broken"),
        _incident(5, "INC1", OCTOBER, 90, major=True),
        _incident(6, "INC2", OCTOBER, 30, major=True),
        _event(7, "request.measured", OCTOBER, "shop", {"status": 200, "count": 9, "latency_ms": 12.5}),
        _polled(8, datetime(2026, 11, 1, tzinfo=UTC)),
    ]
    after = [
        _incident(20, "INC2", OCTOBER, 300),  # a late correction: later, and no major one
        _event(21, "survey.answered", OCTOBER, "shop", {"kind": "csat", "score": 1, "scale": "1-5"}),  # late
        _incident(22, "INC3", NOW - hour, 20),
        _event(23, "page.viewed", NOW - hour, "shop", {"user": "cy", "session": "s3"}),
        ("csf.events.survey", "shop", b'{"specversion":"1.0"}'),
        _polled(24, NOW),
    ]
    logs: dict[Place, list[Record]] = defaultdict(list)

    def put(topic: str, partition: int, arrival: datetime, value: bytes) -> None:
        log = logs[(topic, partition)]
        log.append((len(log), int(arrival.timestamp() * 1000), value))

    for topic, key, value in before:
        put(topic, crc32(key.encode()) % PARTITIONS, NOW - 2 * hour, value)
    places = sorted({(t, p) for t in {t for t, _, _ in (*before, *after)} for p in range(PARTITIONS)})
    for number, (topic, partition) in enumerate(places):
        data = {"month": MONTH, "zone": "Europe/Zurich", "id": "b1", "barriers": len(places)}
        _, _, barrier = _event(100 + number, "month.closed", NOW - hour, "", data)
        put(topic, partition, NOW - hour, barrier)
    for topic, key, value in after:
        put(topic, crc32(key.encode()) % PARTITIONS, NOW, value)
    _, _, tick = _event(200, "clock.ticked", NOW, "", {"partition": 0, "time": NOW.isoformat()})
    put("csf.events.control", 0, NOW, tick)
    return dict(logs)
