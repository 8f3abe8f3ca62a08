"""What happened to services: told of entities as they stand, moved and taken back with them, and told again after a crash."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.catalogue.loader import load_catalogue
from pipeline.engine.plan import build_plan
from tests.core import bench_world
from tests.core.bench_world import catalogue

H, M = timedelta(hours=1), timedelta(minutes=1)
AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
SECOND = int(AT.timestamp())
PLAN = build_plan(replace(catalogue(), kpis=load_catalogue().kpis))


def World() -> bench_world.World:  # noqa: N802 - as the class of which it is one
    """Return a world with the built-in KPIs: only events that a KPI reads are heard."""
    return bench_world.World(PLAN)


def change(w: bench_world.World, updated: datetime, *, subject: str = "shop", **data: Any) -> None:
    body = {"number": "CHG1", "updated_at": updated.isoformat(), **data}
    w.event("change.updated", updated, body, subject=subject, key="CHG1")


def incident(w: bench_world.World, updated: datetime, state: str, **data: Any) -> None:
    body = {"number": "INC1", "opened_at": AT.isoformat(), "updated_at": updated.isoformat(), "state": state, **data}
    w.event("incident.updated", updated, body, key="INC1")


def maintenance(w: bench_world.World, announced: datetime, **data: Any) -> None:
    body = {"id": "M1", "starts_at": AT.isoformat(), "ends_at": (AT + H).isoformat(), **data}
    w.event("maintenance.scheduled", announced, body, key="M1")


def told(w: bench_world.World) -> list[tuple[Any, ...]]:
    w.tick()
    w.run()
    return sorted(
        (h.kind, h.service, h.team, h.start - SECOND, h.end and h.end - SECOND, h.text) for h in w.happenings.values()
    )


def test_a_deployment_with_its_outcome() -> None:
    w = World()
    change(w, AT - H)
    assert told(w) == []
    change(w, AT, deployed_at=AT.isoformat())
    assert told(w) == [("deployment", "shop", "web", 0, None, "Deployment CHG1")]
    change(w, AT + H, deployed_at=AT.isoformat(), outcome="rolled_back")
    assert told(w) == [("deployment", "shop", "web", 0, None, "Deployment CHG1: rolled back")]


def test_what_moved_is_only_where_it_is_now_and_what_is_cancelled_is_nowhere() -> None:
    w = World()
    change(w, AT, deployed_at=AT.isoformat())
    change(w, AT + M, deployed_at=(AT + M).isoformat())
    change(w, AT + H, deployed_at=(AT + M).isoformat(), subject="portal")
    assert told(w) == [("deployment", "portal", "web", 60, None, "Deployment CHG1")]
    change(w, AT + 2 * H, deployed_at=(AT + M).isoformat(), subject="portal", outcome="cancelled")
    assert told(w) == []


def test_only_major_incidents_and_their_end_once_they_are_resolved() -> None:
    w = World()
    incident(w, AT, "new")
    assert told(w) == []
    incident(w, AT + M, "in_progress", major=True, resolved_at=(AT + M).isoformat())
    assert told(w) == [("incident", "shop", "web", 0, None, "Major incident INC1: in progress")]
    incident(w, AT + H, "resolved", major=True, resolved_at=(AT + H).isoformat())
    assert told(w) == [("incident", "shop", "web", 0, 3_600, "Major incident INC1: resolved")]


@pytest.mark.parametrize(
    ("announced", "more", "shown"),
    [
        (AT - H, {}, ["Planned maintenance"]),
        (AT + M, {}, []),
        (AT + M, {"reason": "disk full"}, ["Planned maintenance: disk full"]),
        (AT - H, {"cancelled": True}, []),
    ],
)
def test_maintenance_by_the_one_rule(announced: datetime, more: dict[str, Any], shown: list[str]) -> None:
    w = World()
    maintenance(w, announced, **more)
    assert [row[-1] for row in told(w)] == shown


def test_a_crash_anywhere_and_any_order_tell_the_same() -> None:
    updates = [(AT, AT), (AT + M, AT + H), (AT + 2 * M, AT + 2 * H)]
    for order in permutations(updates):
        for dies in range(3):
            w = World()
            for updated, deployed in order:
                change(w, updated, deployed_at=deployed.isoformat())
            topic = ("csf.events.change", 0)
            for upto in range(1, 4):
                if upto - 1 == dies:
                    w.step(topic, upto, tell=False)  # durable, and nobody heard of it: the outbox says it again
                    w.step(topic, upto)
                    w.crash_rollup()
                w.step(topic, upto)
            assert told(w) == [("deployment", "shop", "web", 7_200, None, "Deployment CHG1")]
