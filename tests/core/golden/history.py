"""The history whose state is kept: something of every kind of state, in two halves.

It must never change: the files beside it were made from its first half.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.core.bench_world import NOW, World

HALF = 60
PARTITIONS = 2
_M = timedelta(minutes=1)


def history() -> list[tuple[str, int]]:
    """Return what happens, in order: kind and number."""
    kinds = ("view", "incident", "check", "survey", "sync", "maintenance", "task", "load", "score", "poll")
    return [(kinds[i % len(kinds)], i) for i in range(2 * HALF)]


def write(world: World, action: tuple[str, int]) -> None:
    """Write one happening."""
    kind, i = action
    at = NOW - timedelta(hours=50) + 25 * i * _M
    opened = NOW - timedelta(hours=60) + (i % 7) * _M
    if kind == "view":
        world.event("page.viewed", at, {"user": f"u{i % 4}", "path": "/"}, key=f"u{i % 4}")
    elif kind == "incident":
        data = {"number": f"I{i % 5}", "opened_at": opened.isoformat(), "updated_at": at.isoformat()}
        data |= {"state": "resolved", "resolved_at": at.isoformat()} if i % 3 else {"state": "in_progress"}
        world.event("incident.updated", at, data, key=str(i % 5), subject="SHOP-1" if i % 2 else "portal")
    elif kind == "check":
        world.event("uptime.checked", at, {"check": f"c{i % 2}", "up": i % 4 != 2, "interval_s": 900}, key="shop")
    elif kind == "survey":
        data = {"kind": "csat", "score": 1 + i % 5, "respondent": f"r{i % 3}"}
        world.event("survey.answered", at, data, key=f"r{i % 3}", subject="found", csfteam="finders")
    elif kind == "sync":
        data = {"from": "a", "to": "b", "changed_at": at.isoformat(), "available_at": at.isoformat()}
        world.event("record.synced", at, data)
    elif kind == "maintenance":
        data = {"id": f"m{i % 2}", "starts_at": (at + 30 * _M).isoformat(), "ends_at": (at + 90 * _M).isoformat()}
        world.event("maintenance.scheduled", at, data)
    elif kind == "task":
        world.event("task.finished", at, {"user": f"u{i % 4}", "completed": True}, key=f"u{i % 4}")
    elif kind == "load":
        world.event("request.measured", at, {"latency_ms": 40.0 + i, "status": 500 if i % 3 else 200, "count": i + 1})
    elif kind == "score":
        data = {"model": f"m{i % 2}", "predicted": 10.0 + i, "actual": 11.0, "unit": "MW"}
        world.event("prediction.scored", at, data)
    else:
        data = {"source": "s", "from": (at - 240 * _M).isoformat(), "to": at.isoformat(), "types": ["page.viewed"]}
        world.event("source.polled", at, data, subject="")
        world.tick(at)


def figures(world: World) -> dict[Any, Any]:
    """Return every known value."""
    return {k: (v.value, v.count, v.coverage, v.status) for k, v in world.values.items() if v.value is not None}
