"""The ground truth: an independent recount of the events agrees, and the story can be seen in it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.simulator.truth import truth
from connectors.simulator.world import World
from tests.simulator.conftest import ANCHOR, Told

ZONE = ZoneInfo("Europe/Amsterdam")


def month(when: datetime) -> str:
    return when.astimezone(ZONE).strftime("%Y-%m")


def at(t: Told) -> str:
    return month(datetime.fromtimestamp(t.at, UTC))


def last_states(told: list[Told], kind: str) -> list[Told]:
    held: dict[str, Told] = {}
    for t in told:
        if t.event.type == kind:
            held[t.data.number] = t
    return list(held.values())


def row(figures: dict[str, Any], kpi: str, scope: str = "org") -> dict[str, float]:
    return {m: scopes[scope][kpi] for m, scopes in figures["months"].items() if kpi in scopes.get(scope, {})}


def story(figures: dict[str, Any], kpi: str) -> dict[int, float]:
    """Return a KPI by month of the story."""
    values = row(figures, kpi)
    return {i: values[m] for i, m in enumerate(figures["months"], 1) if m in values}


@pytest.mark.parametrize("scope", ["org", "service:claims", "team:workplace"])
def test_incidents_recounted(told: list[Told], figures: dict[str, Any], scope: str, world: World) -> None:
    from connectors.simulator.organisation import SERVICES

    opened: dict[str, int] = defaultdict(int)
    hours: dict[str, list[float]] = defaultdict(list)
    sla: dict[str, list[bool]] = defaultdict(list)
    for t in last_states(told, "incident.updated"):
        scopes = {"org", f"service:{t.event.subject}", f"team:{SERVICES[t.event.subject].team}"}
        if t.data.state == "cancelled" or scope not in scopes:
            continue
        opened[month(t.data.opened_at)] += 1
        if t.data.resolved_at:
            hours[month(t.data.resolved_at)].append((t.data.resolved_at - t.data.opened_at).total_seconds() / 3600)
            sla[month(t.data.resolved_at)].append(t.data.made_sla)
    assert row(figures, "incidents", scope) == pytest.approx(opened)
    assert row(figures, "mttr", scope) == pytest.approx({m: statistics.mean(h) for m, h in hours.items()})
    assert row(figures, "mttr_median", scope) == pytest.approx({m: statistics.median(h) for m, h in hours.items()})
    p90 = {m: statistics.quantiles(h, n=10, method="inclusive")[8] for m, h in hours.items() if len(h) > 1}
    found = row(figures, "mttr_p90", scope)
    assert {m: found[m] for m in p90} == pytest.approx(p90)
    assert row(figures, "sla_met", scope) == pytest.approx({m: 100 * statistics.mean(s) for m, s in sla.items()})


def test_backlog_recounted(told: list[Told], figures: dict[str, Any]) -> None:
    incidents = [t.data for t in last_states(told, "incident.updated") if t.data.state != "cancelled"]
    for label, value in row(figures, "backlog").items():
        if label not in figures["finished"]:
            continue
        year, number = map(int, label.split("-"))
        end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=ZONE)
        assert value == sum(d.opened_at < end and not (d.closed_at and d.closed_at < end) for d in incidents)


def test_surveys_recounted(told: list[Told], figures: dict[str, Any]) -> None:
    held: dict[Any, Told] = {}
    for t in told:
        if t.event.type == "survey.answered":
            held[t.data.survey or t.data.kind, t.data.about, t.data.respondent] = t
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for t in held.values():
        scores[t.data.kind][at(t)].append(t.data.score)  # mapped to the kind's scale when it was decoded
    csat = {m: 100 * sum(s >= 4 for s in v) / len(v) for m, v in scores["csat"].items()}
    nps = {m: 100 * (sum(s >= 9 for s in v) - sum(s <= 6 for s in v)) / len(v) for m, v in scores["nps"].items()}
    assert row(figures, "csat") == pytest.approx(csat)
    assert row(figures, "nps") == pytest.approx(nps)
    for kind in ("ces", "change_feedback"):
        assert row(figures, kind) == pytest.approx({m: statistics.mean(v) for m, v in scores[kind].items()})
    asked = sum(t.event.type == "survey.answered" for t in told)
    assert len(held) < asked, "some people answer again"


def test_changes_recounted(told: list[Told], figures: dict[str, Any]) -> None:
    deployed = [t.data for t in last_states(told, "change.updated") if t.data.deployed_at]
    good: dict[str, list[bool]] = defaultdict(list)
    lead: dict[str, list[float]] = defaultdict(list)
    for d in deployed:
        good[month(d.deployed_at)].append(d.outcome == "successful")
        for written in d.commits or [d.committed_at]:
            lead[month(d.deployed_at)].append((d.deployed_at - written).total_seconds() / 3600)
    assert row(figures, "change_success_rate") == pytest.approx({m: 100 * statistics.mean(g) for m, g in good.items()})
    assert row(figures, "change_lead_time") == pytest.approx({m: statistics.median(v) for m, v in lead.items()})


def test_sessions_recounted(told: list[Told], figures: dict[str, Any]) -> None:
    """Page views cut at gaps over half an hour give the visits that the world meant."""
    views: dict[tuple[str, str], list[int]] = defaultdict(list)
    found: dict[str, list[tuple[float, int]]] = defaultdict(list)
    users: dict[str, set[str]] = defaultdict(set)
    for t in told:
        if t.event.type == "page.viewed":
            views[t.event.subject, t.data.user].append(t.at)
            users[at(t)].add(t.data.user)
        elif t.event.type == "session.ended":
            found[month(t.data.started_at)].append((t.data.duration_s, t.data.pages))
            users[at(t)].add(t.data.user)
    for times in views.values():
        first = last = times[0]
        pages = 1
        for when in [*times[1:], 1 << 60]:
            if when - last > 1800:
                found[month(datetime.fromtimestamp(first, UTC))].append((float(last - first), pages))
                first, pages = when, 0
            last, pages = when, pages + 1
    assert row(figures, "session_duration") == pytest.approx(
        {m: statistics.mean(d for d, _ in v) for m, v in found.items()}
    )
    assert row(figures, "bounce_rate") == pytest.approx(
        {m: 100 * statistics.mean(p == 1 for _, p in v) for m, v in found.items()}
    )
    assert row(figures, "active_users") == pytest.approx({m: len(u) for m, u in users.items()})


def test_availability_recounted(told: list[Told], figures: dict[str, Any], world: World) -> None:
    """Second by second from the checks of one service in the month it broke."""
    first, last = world.calendar.month_start(5), world.calendar.month_start(6)
    maintenance = [t.data for t in told if t.event.type == "maintenance.scheduled" and t.event.subject == "payments"]
    held = {d.id: d for d in maintenance}
    planned = [(d.starts_at.timestamp(), d.ends_at.timestamp()) for d in held.values() if not d.cancelled]
    checks = [t for t in told if t.event.type == "uptime.checked" and t.event.subject == "payments"]
    up = down = 0
    for here, after in pairwise(checks):
        end = min(after.at, here.at + 2.5 * here.data.interval_s)
        for second in range(max(here.at, first), int(min(end, last))):
            if not any(a <= second < b for a, b in planned):
                up, down = up + (here.data.up is True), down + (here.data.up is False)
    assert down > 7200
    label = world.calendar.label(5)
    assert figures["months"][label]["service:payments"]["availability"] == pytest.approx(100 * up / (up + down))


def test_security_recounted(told: list[Told], figures: dict[str, Any]) -> None:
    count: dict[str, int] = defaultdict(int)
    breaches: dict[str, int] = defaultdict(int)
    for t in last_states(told, "security_incident.updated"):
        if not t.data.cancelled:
            count[month(t.data.detected_at)] += 1
            breaches[month(t.data.detected_at)] += t.data.breach
    assert {m: n for m, n in row(figures, "security_incidents").items() if n} == dict(count)
    assert row(figures, "breaches") == pytest.approx({m: breaches[m] for m in figures["months"]})


def test_as_of_a_month_end_the_truth_is_what_was_known_then(world: World, figures: dict[str, Any]) -> None:
    """What is corrected later changes closed months: cancelled incidents, changes that failed after all."""
    then = truth(world, until=world.calendar.month_start(6))
    assert then["finished"] == figures["finished"][:5]
    label = world.calendar.label(5)
    known, now = then["months"][label]["org"], figures["months"][label]["org"]
    assert now["incidents"] <= known["incidents"]
    assert now["mttr"] == pytest.approx(known["mttr"], rel=0.15)
    assert world.calendar.month_start(14) < ANCHOR


def test_redesign_pleases_and_confuses(figures: dict[str, Any]) -> None:
    """Month 9: satisfaction rises while visits shorten and effort grows; month 12 repairs it."""
    csat, ces = story(figures, "csat"), story(figures, "ces")
    duration, pages = story(figures, "session_duration"), story(figures, "pages_per_session")
    tasks = story(figures, "task_completion_rate")
    assert csat[9] > csat[8] + 4
    assert duration[9] < 0.7 * duration[8]
    assert pages[9] < pages[8] - 0.7
    assert ces[9] < ces[8] - 0.5
    assert tasks[9] < tasks[8] - 6
    assert ces[12] > ces[11] + 0.6
    assert duration[12] > 1.4 * duration[11]
    assert tasks[12] > tasks[11] + 10


def test_investment_scales(figures: dict[str, Any]) -> None:
    up, p95 = story(figures, "time_to_scale_up"), story(figures, "peak_response_time")
    load, errors = story(figures, "peak_throughput"), story(figures, "peak_error_rate")
    assert up[1] < up[6]
    assert up[8] < up[6] / 4
    assert p95[6] > 1.4 * p95[1]
    assert p95[8] < 0.75 * p95[6]
    assert load[13] > 1.3 * load[1]
    assert errors[8] < errors[6] / 2


def test_faster_delivery_has_a_price_for_two_months(figures: dict[str, Any]) -> None:
    good, lead = story(figures, "change_success_rate"), story(figures, "change_lead_time")
    assert max(good[8], good[9]) < min(good[m] for m in (6, 7, 11, 12, 13)) - 3
    assert lead[13] < lead[1] / 2.5


def test_data_sharing_stumbles_in_month_ten(figures: dict[str, Any]) -> None:
    p95, accuracy = story(figures, "sync_latency_p95"), story(figures, "data_accuracy")
    assert p95[10] > 5 * p95[9]
    assert accuracy[10] < accuracy[9] - 1


def test_security_measure_and_better_forecasts(figures: dict[str, Any]) -> None:
    attacks, accuracy = story(figures, "security_incidents"), story(figures, "forecast_accuracy")
    assert sum(attacks[m] for m in range(8, 14)) < 0.5 * sum(attacks[m] for m in range(1, 7))
    assert sum(story(figures, "breaches").values()) == 2
    assert accuracy[7] > accuracy[6] + 6


def test_repairs_get_faster(figures: dict[str, Any]) -> None:
    mttr = story(figures, "mttr")
    assert mttr[13] < 0.75 * mttr[1]
    availability = story(figures, "availability")
    assert min(availability, key=availability.__getitem__) in {5, 8}
