"""Valid inputs: one event of every type, with every field."""

from __future__ import annotations

from typing import Any

from pipeline.events.families import TYPES, event_topic

_AT, _LATER = "2026-10-30T10:00:00Z", "2026-10-30T11:30:00+01:00"
#: when the events below arrive, epoch ms
ARRIVAL_MS = 1_793_500_000_000

DATA: dict[str, dict[str, Any]] = {
    "uptime.checked": {"up": True, "check": "a", "latency_ms": 12.5, "interval_s": 60, "valid_until": "interval"},
    "maintenance.scheduled": {"starts_at": _AT, "ends_at": "2026-10-30T12:00:00Z", "id": "m", "announced_at": _AT, "reason": "r", "cancelled": False},
    "incident.updated": {
        "number": "INC1", "state": "closed", "opened_at": _AT, "updated_at": _LATER, "priority": 2, "acknowledged_at": _AT,
        "resolved_at": _LATER, "closed_at": _LATER, "reopen_count": 1, "made_sla": True, "major": True, "original_state": "Closed",
    },
    "security_incident.updated": {
        "number": "S1", "detected_at": _AT, "updated_at": _LATER, "severity": "critical", "breach": True, "cancelled": False,
        "occurred_at": _AT, "responded_at": _LATER, "contained_at": _LATER, "resolved_at": _LATER,
    },
    "vulnerability.updated": {"number": "V1", "due_at": _LATER, "updated_at": _AT, "found_at": _AT, "fixed_at": _LATER, "severity": "low"},
    "page.viewed": {"user": "u1", "path": "/a", "session": "s", "error": False, "status": 200, "duration_ms": 12.0},
    "session.ended": {"user": "u1", "session": "s", "pages": 4, "duration_s": 61.5, "engaged": True, "started_at": _AT},
    "task.finished": {"user": "u1", "completed": True, "task": "order", "session": "s", "duration_ms": 100},
    "request.measured": {"latency_ms": 12.5, "status": 503, "count": 3},
    "survey.answered": {"kind": "csat", "score": 4, "scale": "1-5", "about": "INC1", "respondent": "r", "survey": "x"},
    "change.updated": {"number": "C1", "updated_at": _LATER, "deployed_at": _AT, "committed_at": _AT, "commits": [_AT, _AT], "outcome": "failed"},
    "feature.updated": {"number": "F1", "updated_at": _LATER, "requested_at": _AT, "delivered_at": _LATER, "outcome": "delivered"},
    "scaling.completed": {"direction": "up", "requested_at": _AT, "ready_at": _LATER, "from": 1, "to": 2, "outcome": "successful"},
    "prediction.scored": {"model": "m", "predicted": 1.5, "actual": 2, "unit": "MWh"},
    "decision.evaluated": {"metric": "m", "baseline": 1, "outcome": 2, "unit": "EUR", "higher_is_better": True},
    "record.synced": {"from": "crm", "to": "dwh", "changed_at": _AT, "available_at": _LATER, "ok": True},
    "reconciliation.completed": {
        "from": "crm", "to": "dwh", "compared": 9, "matched": 8, "mismatched": 1, "missing": 0, "records_compared": 9, "records_consistent": 8,
    },
    "source.polled": {"source": "s1", "from": _AT, "to": _LATER, "types": ["incident.updated", "page.viewed"], "complete": True, "truncated": 0, "services": ["shop"]},
    "clock.ticked": {"partition": 0, "time": _AT},
    "month.closed": {"month": "2026-09", "zone": "UTC", "id": "b1", "offsets": {"0": 1}, "barriers": 2},
    "kpi.reported": {"kpi": "mttr", "month": "2026-09", "value": 3.5, "scope": "org", "target": 4, "numerator": 7, "denominator": 2, "count": 2},
}  # fmt: skip


def event(kind: str, number: int = 1, subject: str = "shop") -> dict[str, Any]:
    """Return a valid event with every attribute."""
    return {
        "specversion": "1.0", "id": f"e{number}", "source": "src", "type": kind, "time": _LATER, "subject": subject,
        "data": DATA[kind], "datacontenttype": "application/json", "sequence": 7, "partitionkey": "k", "csfteam": "web",
    }  # fmt: skip


def topic(kind: str) -> str:
    """Return the topic of an event type."""
    return event_topic(TYPES[kind][0])


KINDS = tuple(DATA)
