"""The engine on worked examples: what each rule of docs/semantics.md comes to."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.engine.plan import build_plan
from tests.core.bench_world import NOW, D, H, M, World, catalogue, check, incident, polled, view


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


def test_a_task_engages_its_session_though_one_fetch_goes_on_until_both_are_forgotten() -> None:
    at = NOW - 3 * D
    found = []
    for cuts in ([3], [2, 1]):
        w = World()
        view(w, "u", at)
        w.event("task.finished", at, {"user": "u", "completed": True}, key="u")
        view(w, "u", at + 26 * H)
        for count in cuts:
            w.step(("csf.events.usage", 0), count)
        w.tick()
        w.run()
        found.append(w.month("engagement_rate").value)
    assert found == [50, 50]


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


@pytest.mark.parametrize("delay", [timedelta(), 130 * M, 5 * D], ids=["minutes", "five minutes", "hours"])
def test_a_midnight_within_a_utc_hour_parts_the_days(delay: timedelta) -> None:
    """18:30 UTC is midnight in Kolkata: what lies before and after it in one UTC hour is of two days."""
    w = World(build_plan(catalogue("Asia/Kolkata")))
    for minute, user in ((15, "before"), (30, "after"), (59, "later")):
        at = datetime(2026, 11, 17, 18, minute, tzinfo=UTC)
        view(w, user, at, arrival=at + delay)
        w.event("request.measured", at, {"latency_ms": 5.0, "count": 1, "status": 200}, arrival=at + delay)
    w.tick()
    w.run()
    days = [int(datetime(2026, 11, day, 18, 30, tzinfo=UTC).timestamp()) for day in (16, 17)]
    for kpi in ("active_users", "pages_per_session", "peak_throughput"):
        assert [w.values[(kpi, "service:shop", "day", day)].count for day in days] == [1, 2], kpi
    hour = int(datetime(2026, 11, 17, 18, tzinfo=UTC).timestamp())
    assert w.values[("active_users", "service:shop", "hour", hour)].value == 3


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
