"""The engine on worked examples of months and days: closed, restated, brought from elsewhere, told once their time is there."""

from datetime import UTC, datetime

from tests.core.bench_world import NOW, D, H, World, incident, polled, view


def with_an_incident_after_the_barriers() -> World:
    """Return a world whose October was closed between two incidents of one hour and of three."""
    w = World()
    opened = datetime(2026, 10, 5, tzinfo=UTC)
    incident(w, "I1", opened, opened + H, "resolved", resolved_at=opened + H)
    view(w, "u", opened)
    w.close("2026-10")
    incident(w, "I2", opened, NOW, "resolved", resolved_at=opened + 3 * H)
    return w


def test_a_month_is_closed_and_restated_by_late_events() -> None:
    w = with_an_incident_after_the_barriers()
    w.step(("csf.events.incident", 0), 2)
    w.evaluate()
    w.run()
    value = w.month("mttr", "2026-10")
    assert (value.value, value.state, value.revision) == (2, "restated", 2)
    assert value.reason
    old = next(r for r in w.revisions if r.kpi == "mttr" and r.scope == "org")
    assert (old.value, old.revision, old.replaced_by) == (1, 1, 2)
    assert (w.month("active_users", "2026-10").state, w.month("active_users", "2026-10").revision) == ("closed", 1)
    assert w.month("mttr", "2026-11" if ("mttr", "org", "month", 0) in w.values else "2026-10").revision == 2


def test_revision_one_is_exactly_what_lay_before_the_barriers() -> None:
    """A partition past its barrier goes on while another has not reached its own."""
    w = with_an_incident_after_the_barriers()
    w.step(("csf.events.incident", 0), len(w.log[("csf.events.incident", 0)]))  # far past its barrier
    w.evaluate()
    w.crash_rollup()
    w.run()
    first = next(r for r in w.revisions if r.kpi == "mttr" and r.scope == "org")
    assert (first.revision, first.value) == (1, 1)
    assert w.month("mttr", "2026-10").value == 2


def test_a_service_first_heard_of_after_the_barriers_is_not_in_revision_one() -> None:
    w = World()
    start = datetime(2026, 10, 1, tzinfo=UTC)
    view(w, "u", start + D)
    incident(w, "I1", start + D, start + D, "new")
    polled(w, start, NOW, ["incident.updated", "page.viewed"])
    w.close("2026-10")
    incident(w, "I2", NOW, NOW, "new", subject="Old Site", csfteam="Legacy")  # past its barrier
    w.step(("csf.events.incident", 0), len(w.log[("csf.events.incident", 0)]))
    w.crash_rollup()
    w.run()
    assert w.month("active_users", "2026-10", "team:web").revision == 1
    # nobody had such a team: its figures were unknown, and are known since
    for name in ("incidents", "active_users"):
        value = w.month(name, "2026-10", "team:legacy")
        first = next(r for r in w.revisions if r.kpi == name and r.scope == "team:legacy")
        assert (first.revision, first.value) == (1, None)
        assert (value.value, value.state, value.revision) == (0, "restated", 2)


def test_what_was_told_ahead_of_its_time_is_a_value_once_the_clock_is_there() -> None:
    w = World()
    incident(w, "I1", NOW - H, NOW - H, "resolved", resolved_at=NOW + 2 * H)  # a source's clock runs ahead
    w.tick()
    w.run()
    hour = ("mttr", "org", "hour", int((NOW + 2 * H).timestamp()))
    assert hour not in w.values
    w.crash_rollup()
    w.tick(NOW + 5 * H)  # nobody was there in between
    w.run()
    assert w.values[hour].value == 3


def test_days_of_what_lasts_are_told_though_a_worker_died_after_time_had_jumped() -> None:
    w = World()
    incident(w, "I1", NOW - H, NOW - H, "new")
    w.tick()
    w.run()
    w.tick(NOW + 5 * D)
    for at in sorted(w.log):
        w.step(at, len(w.log[at]))
    w.crash_rollup()
    w.evaluate()
    days = [key[3] for key, value in w.values.items() if key[:3] == ("backlog", "org", "day") and value.value == 1]
    assert len(days) == 6


def test_reported_months_carry_the_month_before_in_whatever_order_they_come() -> None:
    w = World()
    for month, value in (("2026-09", 3.0), ("2026-07", 1.0), ("2026-08", 2.0)):
        data = {"kpi": "csat", "month": month, "value": value, "scope": "org"}
        w.event("kpi.reported", NOW, data, subject="")
        w.run()
    assert [w.month("csat", m).previous for m in ("2026-07", "2026-08", "2026-09")] == [None, 1.0, 2.0]


def test_reported_values_fill_months_that_nothing_was_computed_for() -> None:
    w = World()
    data = {"kpi": "mttr", "month": "2026-09", "value": 11.5, "target": 10, "count": 40}
    w.event("kpi.reported", NOW, data, subject="")
    opened = datetime(2026, 10, 5, tzinfo=UTC)
    incident(w, "I1", opened, opened + H, "resolved", resolved_at=opened + H)
    w.event("kpi.reported", NOW, {**data, "month": "2026-10"}, subject="")
    w.event("kpi.reported", NOW, {**data, "kpi": "nonsense"}, subject="")
    w.tick()
    w.run()
    brought = w.month("mttr", "2026-09")
    assert (brought.value, brought.reported, brought.target, brought.count) == (11.5, True, 10, 40)
    assert (w.month("mttr", "2026-10").value, w.month("mttr", "2026-10").reported) == (1, False)
    assert len(w.dead) == 1
