"""The engine on worked examples: what each rule of docs/semantics.md comes to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.engine.plan import build_plan
from tests.core.bench_world import NOW, World, catalogue

H, M, D = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def incident(world: World, number: str, opened: datetime, updated: datetime, state: str, **more: Any) -> None:
    data = {
        "number": number, "state": state, "opened_at": opened.isoformat(), "updated_at": updated.isoformat(),
        **{k: v.isoformat() if isinstance(v, datetime) else v for k, v in more.items() if k not in {"subject", "arrival", "csfteam"}},
    }  # fmt: skip
    world.event(
        "incident.updated", updated, data, key=number, subject=more.get("subject", "shop"), arrival=more.get("arrival"),
        csfteam=more.get("csfteam"),
    )  # fmt: skip


def polled(world: World, start: datetime, end: datetime, types: list[str]) -> None:
    data = {"source": "s", "from": start.isoformat(), "to": end.isoformat(), "types": types}
    world.event("source.polled", end, data, subject="")


def test_an_incident_is_counted_where_it_was_opened_and_resolved() -> None:
    w = World()
    opened = datetime(2026, 10, 31, 22, tzinfo=UTC)
    incident(w, "I1", opened, opened, "new")
    incident(w, "I1", opened, opened + H, "in_progress")
    incident(w, "I1", opened, opened + 6 * H, "resolved", resolved_at=opened + 6 * H)
    w.tick()
    w.run()
    assert w.month("incidents", "2026-10").value == 1
    assert w.month("mttr", "2026-11").value == 6
    assert w.month("mtta", "2026-10").value == 1
    assert w.month("backlog", "2026-10").value == 1
    assert w.month("backlog", "2026-11").value == 1


def test_a_correction_replaces_what_was_counted() -> None:
    w = World()
    opened = NOW - 5 * D
    incident(w, "I1", opened, opened + H, "resolved", resolved_at=opened + H)
    incident(w, "I1", opened, opened + 2 * H, "in_progress", reopen_count=1)
    incident(
        w,
        "I1",
        opened,
        opened + 9 * H,
        "closed",
        resolved_at=opened + 8 * H,
        closed_at=opened + 9 * H,
        subject="portal",
    )
    w.tick()
    w.run()
    assert w.month("mttr").value == 8
    assert w.month("mttr", scope="service:shop").value is None
    assert w.month("mttr", scope="service:portal").value == 8
    assert w.month("reopen_rate").value == 100
    assert w.month("backlog").value == 0


def test_an_older_update_is_superseded_but_still_tells_the_acknowledgement() -> None:
    w = World()
    opened = NOW - 2 * D
    incident(w, "I1", opened, opened + 4 * H, "resolved", resolved_at=opened + 4 * H)
    incident(w, "I1", opened, opened + H, "in_progress")
    w.tick()
    w.run()
    assert w.month("mtta").value == 1
    exits = w.exits[("csf.events.incident", 0)]
    assert (exits.kpi, exits.ignored, exits.reasons) == (1, 1, {"ignored:superseded": 1})


def test_resolution_counts_only_when_the_state_says_so() -> None:
    w = World()
    opened = NOW - 2 * D
    incident(w, "I1", opened, opened + H, "in_progress", resolved_at=opened + 4 * H, closed_at=opened + 5 * H)
    w.tick()
    w.run()
    assert ("mttr", "org", "month", w.plan.calendar.parse_month("2026-11")) not in w.values or w.month(
        "mttr"
    ).value is None
    assert w.month("backlog").value == 1


def view(world: World, user: str, at: datetime, **more: Any) -> None:
    world.event("page.viewed", at, {"user": user, "path": "/"}, key=user, **more)


def test_a_gap_of_exactly_thirty_minutes_stays_one_session() -> None:
    w = World()
    view(w, "u", NOW - 5 * H)
    view(w, "u", NOW - 5 * H + 30 * M)
    view(w, "u", NOW - 5 * H + 61 * M)
    w.tick()
    w.run()
    assert w.month("pages_per_session").value == 1.5
    assert w.month("pages_per_session").count == 2
    assert w.month("bounce_rate").value == 50


def test_a_late_view_bridges_two_sessions() -> None:
    w = World()
    view(w, "u", NOW - 5 * H)
    view(w, "u", NOW - 4 * H)
    w.step(("csf.events.usage", 0), 2)
    view(w, "u", NOW - 5 * H + 30 * M, arrival=NOW - 3 * H)
    w.tick()
    w.run()
    assert w.month("pages_per_session").value == 3
    assert w.month("time_on_site").value == 60


def test_a_task_engages_its_session_before_or_after_the_view() -> None:
    w = World()
    w.event("task.finished", NOW - 2 * H, {"user": "a", "completed": True})
    view(w, "a", NOW - 2 * H)
    view(w, "b", NOW - 2 * H)
    w.event("task.finished", NOW - 2 * H, {"user": "b", "completed": False})
    view(w, "c", NOW - 2 * H)
    w.event("task.finished", NOW - 2 * H, {"user": "c", "completed": True})
    w.tick()
    w.run()
    assert w.month("engagement_rate").value == pytest.approx(200 / 3)


def test_reported_sessions_replace_derived_ones_where_the_service_says_so() -> None:
    w = World()
    view(w, "u", NOW - H, subject="mail")
    data = {"user": "u", "session": "s", "pages": 4, "duration_s": 60}
    w.event("session.ended", NOW - H, data, subject="mail")
    w.event("session.ended", NOW - H, data, subject="shop")
    w.tick()
    w.run()
    assert w.month("pages_per_session").value == 4
    assert w.month("pages_per_session").count == 1
    assert w.exits[("csf.events.usage", 0)].reasons == {"ignored:not-required": 1}


def check(world: World, at: datetime, up: bool | None, **more: Any) -> None:
    world.event("uptime.checked", at, {"up": up, "interval_s": 60, **more}, key="c")


def test_availability_is_time_not_checks() -> None:
    w = World()
    start = NOW - 10 * H
    check(w, start, True, valid_until="next")
    check(w, start + 6 * H, False, valid_until="next")
    check(w, start + 7 * H, True, valid_until="next")
    w.tick()
    w.run()
    value = w.live("availability")
    assert value.value == pytest.approx(90.0, abs=0.01)
    assert w.month("outages").value == 1
    assert w.month("mtbf").value == pytest.approx(9.0, abs=0.01)
    assert w.month("error_budget_remaining").value == pytest.approx(100 * (1 - 0.10 / 0.01), rel=0.01)


def test_unknown_time_is_neither_up_nor_down() -> None:
    w = World()
    check(w, NOW - 10 * H, True)  # good for 150 s
    check(w, NOW - 5 * H, False)
    check(w, NOW - 5 * H + 50 * timedelta(seconds=1), True)
    w.tick()
    w.run()
    value = w.month("availability")
    assert (value.numerator, value.denominator) == (300, 350)
    assert w.month("outages").value == 0  # 50 s are no outage


def test_a_down_check_makes_the_service_down_and_maintenance_is_taken_out() -> None:
    w = World()
    start = NOW - 4 * H
    check(w, start, True, check="a", valid_until="next")
    check(w, start, True, check="b", valid_until="next")
    check(w, start + H, False, check="b", valid_until="next")
    check(w, start + 2 * H, True, check="b", valid_until="next")
    w.event(
        "maintenance.scheduled",
        start - D,
        {"id": "m", "starts_at": start.isoformat(), "ends_at": (start + 90 * M).isoformat()},
    )
    late = {"id": "late", "starts_at": start.isoformat(), "ends_at": (start + 3 * H).isoformat()}
    w.event("maintenance.scheduled", start + H, late)  # announced after its start, no reason: excludes nothing
    w.tick()
    w.run()
    value = w.month("availability")
    assert (value.numerator, value.denominator) == (2 * 3600, 2.5 * 3600)


def test_a_major_incident_and_the_downtime_it_caused_are_one_outage() -> None:
    w = World()
    start = NOW - 6 * H
    check(w, start, True, valid_until="next")
    check(w, start + H, False, valid_until="next")
    check(w, start + 2 * H, True, valid_until="next")
    incident(w, "I1", start + 90 * M, start + 3 * H, "resolved", resolved_at=start + 3 * H, major=True)
    incident(w, "I2", start + 5 * H, start + 5 * H, "new", major=True)
    w.tick()
    w.run()
    assert w.month("outages").value == 2


def test_counts_are_zero_only_where_a_source_was_polled() -> None:
    w = World()
    check(w, NOW - H, True)
    polled(w, datetime(2026, 10, 1, tzinfo=UTC), NOW, ["security_incident.updated"])
    w.event(
        "security_incident.updated",
        NOW - 40 * D,
        {"number": "S", "detected_at": (NOW - 40 * D).isoformat(), "updated_at": (NOW - 40 * D).isoformat()},
    )
    w.tick()
    w.run()
    assert w.month("security_incidents", "2026-10").value == 1
    assert w.month("security_incidents", "2026-11").value == 0
    assert w.month("security_incidents", "2026-11").coverage == pytest.approx(1.0, abs=1e-4)
    assert ("incidents", "org", "month", w.plan.calendar.parse_month("2026-11")) not in w.values or w.month(
        "incidents"
    ).value is None


def test_coverage_is_the_polled_share_of_the_elapsed_period() -> None:
    w = World()
    view(w, "u", NOW - H)
    polled(w, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 13, 17, tzinfo=UTC), ["page.viewed"])
    w.tick()
    w.run()
    elapsed = NOW - datetime(2026, 11, 1, tzinfo=UTC)
    assert w.month("active_users").coverage == pytest.approx((12 * D + 17 * H) / elapsed, abs=1e-6)


def test_a_month_is_closed_and_restated_by_late_events() -> None:
    w = World()
    opened = datetime(2026, 10, 5, tzinfo=UTC)
    incident(w, "I1", opened, opened + H, "resolved", resolved_at=opened + H)
    view(w, "u", opened)
    w.close("2026-10")
    incident(w, "I2", opened, NOW, "resolved", resolved_at=opened + 3 * H)
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
    w = World()
    opened = datetime(2026, 10, 5, tzinfo=UTC)
    incident(w, "I1", opened, opened + H, "resolved", resolved_at=opened + H)
    view(w, "u", opened)
    w.close("2026-10")
    incident(w, "I2", opened, NOW, "resolved", resolved_at=opened + 3 * H)
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


def test_an_outage_that_was_another_services_is_taken_back_from_mtbf() -> None:
    w = World()
    w.event("uptime.checked", NOW - H, {"up": True, "check": "a", "interval_s": 60})
    incident(w, "I1", NOW - H, NOW - H, "in_progress", major=True)
    w.tick()
    w.run()
    assert w.month("mtbf", scope="service:shop").value is not None
    incident(w, "I1", NOW - H, NOW, "in_progress", major=True, subject="portal")
    w.run()
    assert w.month("mtbf", scope="service:shop").value is None


def test_that_there_was_no_outage_is_taken_back_where_the_only_time_checked_turns_out_to_be_planned() -> None:
    w = World()
    start = NOW - H
    check(w, start, True)
    w.tick()
    w.run()
    assert w.month("outages").value == 0
    planned = {"id": "m", "starts_at": (start - M).isoformat(), "ends_at": (start + H).isoformat()}
    w.event("maintenance.scheduled", start - D, planned)
    w.run()
    assert w.month("outages").value is None


def test_days_before_the_first_check_are_not_spoken_of() -> None:
    """A day that nothing is known of is not told to be unknown: nobody would tell it again when a source says what it covers."""
    w = World()
    view(w, "u", NOW - 3 * D)
    w.run()
    check(w, NOW - H, True)  # with it the clock moves on from where it stood
    w.run()
    first = NOW.replace(hour=0)
    days = {key[3] for key in w.values if key[0] == "availability" and key[2] == "day"}
    assert days == {int(first.timestamp())}


def test_availability_is_told_as_of_the_last_step_and_so_holds_until_the_next() -> None:
    w = World()
    w.event("uptime.checked", NOW - H, {"up": True, "check": "a", "interval_s": 3600})
    w.tick(NOW + 10 * timedelta(seconds=1))
    w.run()
    before = w.live("availability", "1h", "service:shop").numerator, w.month("availability").numerator
    w.tick(NOW + 50 * timedelta(seconds=1))
    w.run()
    assert before == (59 * 60, 3600)  # the hour that ends with the running minute; until the last whole one
    assert (w.live("availability", "1h", "service:shop").numerator, w.month("availability").numerator) == before


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


def test_survey_scales_are_mapped_and_the_last_answer_counts() -> None:
    w = World()
    for score, at in ((2, NOW - 3 * H), (9, NOW - H), (1, NOW - 2 * H)):
        data = {"kind": "csat", "score": score, "scale": "0-10", "respondent": "r", "survey": "s"}
        w.event("survey.answered", at, data, key="r")
    w.event("survey.answered", NOW - H, {"kind": "csat", "score": 3.9})
    w.tick()
    w.run()
    assert w.month("csat").value == 50
    assert w.month("csat").count == 2


def test_freshness_is_the_mean_age_of_the_last_success() -> None:
    w = World()
    for at, ok in ((NOW - 4 * H, True), (NOW - 3 * H, False), (NOW - 2 * H, True)):
        data = {"from": "crm", "to": "dwh", "changed_at": at.isoformat(), "available_at": at.isoformat(), "ok": ok}
        w.event("record.synced", at, data)
    w.tick()
    w.run()
    assert w.live("data_freshness", "24h").value == pytest.approx(3600, abs=60)


def test_the_peak_is_the_busiest_local_hour() -> None:
    w = World(build_plan(catalogue("Asia/Kolkata")))
    base = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # 10:00 in Kolkata
    for minute, count, latency in ((0, 60, 100.0), (59, 120, 900.0), (61, 170, 5.0)):
        w.event("request.measured", base + minute * M, {"latency_ms": latency, "count": count, "status": 200})
    w.tick()
    w.run()
    assert w.month("peak_throughput").value == 2
    assert w.month("peak_response_time").value == pytest.approx(900, rel=0.01)


def test_a_bad_event_ends_in_the_exit_its_rule_names() -> None:
    w = World()
    topic = "csf.events.incident"
    w.raw(topic, b"{nonsense", NOW)
    w.raw(topic, b"\xff\xfe", NOW)
    w.raw(topic, b"", NOW)
    w.raw(topic, b"[" * 5000, NOW)
    w.raw(topic, b'{"specversion":"1.0","data":' + b"[" * 5000, NOW)
    w.raw(topic, b'{"specversion":"1.0","id":"1","source":"s","type":"x.y","time":"2026-11-24T10:00:00Z"}', NOW)
    w.raw(topic, b'{"specversion":"1.0","id":"2","source":"s","type":"page.viewed","time":"2026-11-24T10:00:00Z"}', NOW)
    w.raw(topic, b'[{"specversion":"0.3","id":"2","source":"s","type":"t","time":"2026-11-24T10:00:00Z"}, 5]', NOW)
    opened = NOW - D
    incident(w, "I1", opened, opened, "closed", resolved_at=opened - H)
    incident(w, "I2", datetime(2200, 1, 1, tzinfo=UTC), NOW, "new")
    incident(w, "I3", opened, datetime(2200, 1, 1, tzinfo=UTC), "new", arrival=NOW)
    incident(w, "I4", opened, opened, "exploded")
    incident(w, "I5", opened, opened, "new", subject="nobody")
    incident(w, "I6", opened, opened, "new", subject="SHOP-1")
    w.event("incident.updated", opened, {}, ident="same")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    incident(w, "I7", epoch, epoch, "new", arrival=NOW)
    w.run()
    exits = w.exits[(topic, 0)]
    assert exits.reasons == {
        "dead_letter:malformed-json": 5,
        "dead_letter:unknown-type": 1,
        "dead_letter:wrong-topic": 1,
        "dead_letter:malformed-event": 2,
        "dead_letter:impossible-times": 1,
        "dead_letter:future-time": 2,
        "dead_letter:bad-data": 2,
        "unmapped:unknown-service": 1,
        "ignored:beyond-horizon": 1,
    }
    assert exits.kpi == 1
    total = exits.kpi + exits.dead_letter + exits.duplicate + exits.unmapped + exits.ignored
    assert exits.received == total == len(w.log[(topic, 0)]) + 1
    assert len(w.dead) == exits.dead_letter


def test_a_duplicate_counts_once_also_within_a_batch() -> None:
    w = World()
    for _ in range(3):
        view(w, "u", NOW - H, ident="same")
    w.tick()
    w.run()
    assert w.month("pages_per_session").value == 1
    assert w.exits[("csf.events.usage", 0)].duplicate == 2


def test_an_importer_may_register_a_service_within_the_limit() -> None:
    w = World(build_plan(catalogue(discovered_services=1)))
    view(w, "u", NOW - H, subject="Old Site", csfteam="Legacy")
    view(w, "v", NOW - H, subject="other", csfteam="legacy")
    w.tick()
    w.run()
    assert w.month("active_users", scope="team:legacy").value == 1
    assert w.month("active_users", scope="service:old-site").value == 1
    assert w.exits[("csf.events.usage", 0)].unmapped == 1
