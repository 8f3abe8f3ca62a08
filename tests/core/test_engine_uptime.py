"""The engine on worked examples of uptime: availability, outages and the time between them."""

from datetime import timedelta

import pytest

from tests.core.bench_world import NOW, D, H, M, World, check, incident, view


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
